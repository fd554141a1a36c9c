# A raw disk takes any number of bytes, and shrinks where that is allowed.
qemu-img create -q -f raw disk.raw 1M
qemu-io -f raw -c 'write -q -P 3 0 1M' disk.raw
qemu-img resize -f raw disk.raw +513; echo "status $?"
wc -c < disk.raw
qemu-io -f raw -c 'read -P 3 0 1M' -c 'read -P 0 1M 513' disk.raw
qemu-img resize -f raw --shrink disk.raw 4k; echo "status $?"
wc -c < disk.raw
qemu-img resize -f raw disk.raw 1k; echo "status $?"
