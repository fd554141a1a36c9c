# Without -f the format is found, without -O it is raw; an old target is replaced.
qemu-img create -q -f qed a.qed 1M
qemu-io -c 'write -q -P 1 0 100k' a.qed
echo old > b
qemu-img convert a.qed b; echo "status $?"
wc -c < b
qemu-img info b | grep format:
qemu-img convert -Oqed a.qed b; echo "status $?"
qemu-img info b | grep format:
qemu-img convert -q -O qcow2 a.qed b; echo "status $?"
qemu-img compare b a.qed
