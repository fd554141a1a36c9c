# dd copies blocks: all of them, a count, from a place, formats told by -f and -O.
qemu-img create -q -f raw source.raw 1M
for i in 0 1 2 3 4 5 6 7; do
    qemu-io -f raw -c "write -q -P $i $((i * 4096)) 4096" source.raw
done
qemu-img dd -f raw if=source.raw of=all.raw; echo "status $?"
cmp source.raw all.raw && echo same
qemu-img dd -f raw -O raw if=source.raw of=part.raw bs=4096 count=3; echo "status $?"
od -A d -t x1 part.raw
qemu-img dd -f raw -O qed bs=1M if=source.raw of=disk.qed; echo "status $?"
qemu-img compare -f raw -F qed source.raw disk.qed
qemu-img dd -O raw if=disk.qed of=back.raw bs=4k skip=2; echo "status $?"
wc -c < back.raw
