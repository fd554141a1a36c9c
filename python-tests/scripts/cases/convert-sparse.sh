# Zeroes are left out; -S says how many in a row, 0 writes them all.
allocated() { # How many clusters, of how many.
    qemu-img check "$1" | sed -n 's/ = .*//p'
}
qemu-img create -q -f raw source.raw 4M
qemu-io -f raw -c 'write -q -P 1 0 4k' -c 'write -q -P 0 4k 60k' -c 'write -q -P 2 1M 64k' \
    -c 'write -q -P 0 2M 1M' source.raw
qemu-img convert -f raw -O qed source.raw a.qed; echo "status $?"
allocated a.qed
qemu-img convert -f raw -O qed -S 64k source.raw b.qed; echo "status $?"
allocated b.qed
qemu-img convert -f raw -O qed -S 0 source.raw c.qed; echo "status $?"
allocated c.qed
qemu-img convert -f raw -O qed -S 100 source.raw d.qed; echo "status $?"
qemu-img convert -f raw -O raw -S 4k source.raw e.raw; echo "status $?"
qemu-img map --output=json -f raw e.raw
