# A chain of three formats: each run names the file that holds it, and its depth.
# (Where in the file it lies is the writer's business.)
qemu-img create -q -f raw base.raw 4M
qemu-img create -q -f qcow2 -b base.raw -F raw middle.qcow2 6M
qemu-img create -q -f qed -b middle.qcow2 -F qcow2 top.qed 8M
qemu-io -f raw -c 'write -q -P 1 0 1M' base.raw
qemu-io -c 'write -q -P 2 512k 1M' -c 'write -q -z 3M 64k' middle.qcow2
qemu-io -c 'write -q -P 3 1M 64k' -c 'write -q -z 0 64k' -c 'write -q -P 4 7M 1k' top.qed
qemu-img map top.qed > map.txt; echo "status $?"
awk '{ print $1, $2, $4 }' map.txt
qemu-img map --output=json top.qed > map.json; echo "status $?"
sed 's/, "offset": [0-9]*//' map.json
qemu-img map --output=json middle.qcow2 > map.json; echo "status $?"
sed 's/, "offset": [0-9]*//' map.json
