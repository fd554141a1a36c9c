# Where data lies, as text: empty, written, zeroed, part of it.
qemu-img create -q -f qed disk.qed 10M
qemu-img map disk.qed; echo "status $?"
qemu-io -c 'write -q 0 1M' -c 'write -q 3M 1k' -c 'write -q 2M 1k' -c 'write -q -z 5M 1M' disk.qed
qemu-img map disk.qed; echo "status $?"
qemu-img map -f qed disk.qed; echo "status $?"
qemu-img map --start-offset=1000 --max-length=5000 disk.qed; echo "status $?"
qemu-img map -s 2M -l 2M disk.qed; echo "status $?"
