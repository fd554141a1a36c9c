# What map refuses, in what words.
qemu-img create -q -f qed disk.qed 1M
qemu-img map; echo "status $?"
qemu-img map nowhere.qed; echo "status $?"
qemu-img map -f qcow2 disk.qed; echo "status $?"
qemu-img map --start-offset=1x disk.qed; echo "status $?"
qemu-img map --max-length=-1 disk.qed; echo "status $?"
qemu-img map --output=xml disk.qed; echo "status $?"
qemu-img map disk.qed disk.qed; echo "status $?"
