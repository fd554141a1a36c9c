# A raw file whose length is no multiple of a sector: its size, its content, its copy.
head -c 12345 /dev/zero | tr '\0' x > odd.raw
qemu-img info odd.raw | grep virtual
qemu-img map --output=json -f raw odd.raw; echo "status $?"
qemu-img convert -f raw -O qed odd.raw odd.qed; echo "status $?"
qemu-img info odd.qed | grep virtual
qemu-io -c 'read -P 120 0 12345' -c 'read -P 0 12345 455' odd.qed; echo "status $?"
qemu-img convert -f raw -O raw odd.raw copy.raw; echo "status $?"
wc -c < copy.raw
qemu-img compare -f raw -F raw odd.raw copy.raw; echo "status $?"
qemu-img create -q -f qed -b odd.raw -F raw over.qed
qemu-img info over.qed | grep virtual
qemu-io -f raw -c length -c 'write -P 1 12344 1' -c 'write -P 1 12345 1' odd.raw; echo "status $?"
wc -c < odd.raw
