# Clusters that nobody refers to: counted, status 3.
qemu-img create -q -f qed disk.qed 10M
qemu-io -c 'write -q 0 1M' disk.qed
head -c 196608 /dev/zero >> disk.qed
qemu-img check disk.qed; echo "status $?"
qemu-img check --output=json disk.qed; echo "status $?"
qemu-img check -q disk.qed; echo "status $?"
