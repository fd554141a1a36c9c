# Sizes as people write them: suffixes, fractions, odd bytes, nothing.
for size in 0 1 511 512 1000 1k 64K 1.5M 10M 1G; do
    qemu-img create -f raw disk.raw "$size"; echo "status $?"
    qemu-img create -f qed disk.qed "$size"; echo "status $?"
    qemu-img info disk.qed | grep virtual
done
qemu-img create -f qed disk.qed 60T; echo "status $?"
qemu-img create -f qcow2 disk.qcow2 100T; echo "status $?"
