# What measuring refuses is refused in the same words.
qemu-img create -q -f qed disk.qed 1M
qemu-img measure; echo "status $?"
qemu-img measure -O qcow2 --size 1G disk.qed; echo "status $?"
qemu-img measure disk.qed disk.qed; echo "status $?"
qemu-img measure -f raw --size 1G; echo "status $?"
qemu-img measure --size -1; echo "status $?"
qemu-img measure --size nonsense; echo "status $?"
qemu-img measure -O nosuch --size 1; echo "status $?"
qemu-img measure nobody.qed; echo "status $?"
