# A qcow2 image that is in order: text, JSON, status.
qemu-img create -q -f qcow2 disk.qcow2 10M
qemu-io -c 'write -q 0 1M' disk.qcow2
qemu-img check disk.qcow2; echo "status $?"
qemu-img check --output=json disk.qcow2; echo "status $?"
