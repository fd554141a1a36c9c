# A chain becomes one image without a backing file; with -B the target keeps its own.
qemu-img create -q -f raw base.raw 2M
qemu-io -f raw -c 'write -q -P 1 0 2M' base.raw
qemu-img create -q -f qcow2 -b base.raw -F raw middle.qcow2 3M
qemu-io -c 'write -q -P 2 1M 64k' middle.qcow2
qemu-img create -q -f qed -b middle.qcow2 -F qcow2 top.qed
qemu-io -c 'write -q -P 3 0 512' -c 'write -q -z 512k 64k' top.qed
qemu-img convert -O qed top.qed flat.qed; echo "status $?"
qemu-img info flat.qed | grep -c backing
qemu-img compare top.qed flat.qed; echo "status $?"
qemu-img convert -O qed -B middle.qcow2 -F qcow2 top.qed again.qed; echo "status $?"
qemu-img info again.qed | grep backing
qemu-img compare top.qed again.qed; echo "status $?"
