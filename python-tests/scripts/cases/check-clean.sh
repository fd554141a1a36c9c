# Images without a fault: text, JSON, quiet, with and without data, written in one piece.
qemu-img create -q -f qed empty.qed 1G
qemu-img create -q -f qed disk.qed 10M
qemu-io -c 'write -q 0 1M' disk.qed
for image in empty.qed disk.qed; do
    qemu-img check "$image"; echo "status $?"
    qemu-img check -f qed "$image"; echo "status $?"
    qemu-img check --output=json "$image"; echo "status $?"
    qemu-img check -q "$image"; echo "status $?"
    qemu-img check -U "$image"; echo "status $?"
done
