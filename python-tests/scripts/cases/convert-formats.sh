# From each format into each, with the source's format given; content and size stay.
qemu-img create -q -f raw source.raw 3000k
qemu-io -f raw -c 'write -q -P 1 0 100k' -c 'write -q -P 2 1M 1k' \
    -c 'write -q -P 3 2999k 1k' source.raw
qemu-img convert -f raw -O qed source.raw source.qed; echo "status $?"
qemu-img convert -f raw -O qcow2 source.raw source.qcow2; echo "status $?"
for from in raw qed qcow2; do
    for to in raw qed qcow2; do
        qemu-img convert -f "$from" -O "$to" "source.$from" "$from.$to"; echo "status $?"
        qemu-img info "$from.$to" | grep -e format: -e virtual
        qemu-img compare -f raw -F "$to" source.raw "$from.$to"; echo "status $?"
    done
done
cmp source.raw qcow2.raw && cmp source.raw qed.raw && echo "the same bytes"
