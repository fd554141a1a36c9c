# The same as JSON, line by line as qemu-img prints it, but for where in the file data lies.
qemu-img create -q -f raw base.raw 10M
qemu-io -f raw -c 'write -q -P 1 1M 2M' base.raw
qemu-img create -q -f qed -o cluster_size=4k,table_size=2 -b base.raw -F raw disk.qed 12M
qemu-io -c 'write -q 0 10k' -c 'write -q -z 1M 4k' -c 'write -q 2M 512' -c 'write -q 11M 1' disk.qed
for window in "" "--start-offset=5k --max-length=1M" "-s 1M -l 1" "--max-length=0" "-s 100T"; do
    qemu-img map --output=json $window disk.qed > map.json; echo "status $?"
    sed 's/, "offset": [0-9]*//' map.json
done
