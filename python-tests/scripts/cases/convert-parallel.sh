# -m and -W change the order of the writes and nothing that a reader sees.
qemu-img create -q -f raw source.raw 20M
qemu-io -f raw -c 'write -q -P 1 0 5M' -c 'write -q -P 2 7M 1k' \
    -c 'write -q -P 3 10M 7M' source.raw
for flags in "-m 1" "-m 4" "-m 16 -W" "-W"; do
    qemu-img convert $flags -f raw -O qed source.raw target.qed; echo "status $?"
    qemu-img compare -f raw -F qed source.raw target.qed; echo "status $?"
    qemu-img check target.qed | head -n 1
done
qemu-img convert -m 0 -f raw -O qed source.raw target.qed; echo "status $?"
qemu-img convert -m 17 -f raw -O qed source.raw target.qed; echo "status $?"
