# What info refuses, in what words.
qemu-img create -q -f raw disk.raw 1M
qemu-img info; echo "status $?"
qemu-img info nowhere.qed; echo "status $?"
qemu-img info -f qed nowhere.qed; echo "status $?"
qemu-img info disk.raw disk.raw; echo "status $?"
qemu-img info -f qed disk.raw; echo "status $?"
qemu-img info -f qcow2 disk.raw; echo "status $?"
qemu-img info -f nosuch disk.raw; echo "status $?"
qemu-img info --output=xml disk.raw; echo "status $?"
qemu-img info --nosuch disk.raw; echo "status $?"
qemu-img info .; echo "status $?"
