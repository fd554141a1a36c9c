# A raw file's holes and data, by format and by default.
truncate -s 4M disk.raw
qemu-io -f raw -c 'write -q 1M 1M' -c 'write -q -P 7 3M 64k' disk.raw
qemu-img map -f raw disk.raw; echo "status $?"
qemu-img map --output=json -f raw disk.raw; echo "status $?"
qemu-img map disk.raw; echo "status $?"
