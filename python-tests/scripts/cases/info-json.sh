# The JSON of info: raw, QED, an overlay. The order of its keys is nobody's business.
qemu-img create -q -f raw disk.raw 1M
qemu-img create -q -f qed -o cluster_size=4k disk.qed 1G
qemu-img create -q -f qed -b disk.raw -F raw over.qed 2M
for image in disk.raw disk.qed over.qed; do
    qemu-img info --output=json "$image" > info.json; echo "status $?"
    python3 -m json.tool --sort-keys info.json | grep -v actual-size
done
qemu-img info --output json -U disk.raw | grep -c format
