# alloc and map tell what is allocated: in an empty image, a written one, an overlay, a raw file.
qemu-img create -q -f raw base.raw 1M
qemu-io -f raw -c 'write -q -P 1 0 1M' base.raw
qemu-img create -q -f qed -b base.raw -F raw disk.qed 4M
qemu-io -c map -c 'alloc 0' -c 'alloc 0 1M' -c 'alloc 4M' disk.qed; echo "status $?"
qemu-io -c 'write -q 64k 128k' -c 'write -q 1M 512' -c 'write -q -z 512k 64k' disk.qed
qemu-io -c map -c 'alloc 0 1M' -c 'alloc 64k' -c 'alloc 64k 64k' -c 'alloc 100000 200000' \
    -c 'alloc 512k 1M' disk.qed; echo "status $?"
qemu-io -f raw -c map -c 'alloc 0 1M' base.raw; echo "status $?"
