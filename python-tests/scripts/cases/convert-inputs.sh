# Several inputs become one disk, one behind the other.
qemu-img create -q -f qed a.qed 1M
qemu-img create -q -f qed b.qed 512k
qemu-img create -q -f qed -o cluster_size=4k c.qed 3k
qemu-io -c 'write -q -P 1 0 100k' a.qed
qemu-io -c 'write -q -P 2 0 512k' b.qed
qemu-io -c 'write -q -P 3 0 3k' c.qed
qemu-img convert -O raw a.qed b.qed c.qed all.raw; echo "status $?"
wc -c < all.raw
qemu-io -f raw -c 'read -q -P 1 0 100k' -c 'read -q -P 2 1M 512k' \
    -c 'read -q -P 3 1536k 3k' all.raw
qemu-img convert -f qed -O qed a.qed c.qed b.qed all.qed; echo "status $?"
qemu-img info all.qed | grep virtual
