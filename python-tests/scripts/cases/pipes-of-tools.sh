# Output is read by other programs: a reader that leaves early, variables, loops over lines.
qemu-img create -q -f qed disk.qed 10M
for start in 0 2 4 6 8; do
    qemu-io -c "write -q ${start}M 64k" disk.qed
done
qemu-img map disk.qed | while read -r offset length rest; do echo "$offset+$length"; done
qemu-img map --output=json disk.qed | head -n 1 | cut -d , -f 1-4
size=$(qemu-img info --output=json disk.qed | grep virtual-size | tail -n 1 | tr -dc 0-9)
echo "size $size"
qemu-img check -q disk.qed && echo clean || echo damaged
test "$(qemu-img info disk.qed | sed -n 's/^file format: //p')" = qed && echo "it is qed"
