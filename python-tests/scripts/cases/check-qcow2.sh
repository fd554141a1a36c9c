# A qcow2 image is checked: text, JSON, status.
# differs: libqed checks QED images alone, and says so
# ours: status 63
qemu-img create -q -f qcow2 disk.qcow2 10M
qemu-io -c 'write -q 0 1M' disk.qcow2
qemu-img check disk.qcow2; echo "status $?"
qemu-img check --output=json disk.qcow2; echo "status $?"
