# A raw file whose length is no multiple of a sector: its copy has its length.
# differs: QEMU rounds up to whole sectors, so that the disk and its copy are longer than the file
# ours: virtual size: 12.1 KiB (12345 bytes)
head -c 12345 /dev/zero | tr '\0' x > odd.raw
qemu-img info odd.raw | grep virtual
qemu-img map --output=json -f raw odd.raw; echo "status $?"
qemu-img convert -f raw -O raw odd.raw copy.raw; echo "status $?"
cmp odd.raw copy.raw && echo same
