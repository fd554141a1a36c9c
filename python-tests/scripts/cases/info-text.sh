# What info says of a raw and a QED image, with the format given and found.
qemu-img create -q -f raw disk.raw 1M
qemu-img create -q -f qed disk.qed 1G
for format in raw qed; do
    qemu-img info "disk.$format" > info.txt; echo "status $?"
    grep -v 'disk size' info.txt
    qemu-img info -f "$format" "disk.$format" > info.txt; echo "status $?"
    grep -v 'disk size' info.txt
done
