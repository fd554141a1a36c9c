# A raw file whose length is no multiple of a sector, as source and as base of images with sectors.
head -c 12345 /dev/zero | tr '\0' x > odd.raw
qemu-img convert -f raw -O qed odd.raw odd.qed; echo "status $?"
qemu-img info odd.qed | grep virtual
qemu-io -c 'read -P 120 0 12345' -c 'read -P 0 12345 455' odd.qed; echo "status $?"
qemu-img create -q -f qed -b odd.raw -F raw over.qed; echo "status $?"
qemu-img info over.qed | grep virtual
qemu-io -c 'read -P 120 0 12345' -c 'write -q -P 1 12000 1' \
    -c "read -P 120 12001 344" over.qed; echo "status $?"
qemu-img compare odd.qed over.qed; echo "status $?"
