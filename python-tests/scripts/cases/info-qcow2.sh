# What info says of a qcow2 image, text and JSON, but for how long its file is.
qemu-img create -q -f qcow2 disk.qcow2 10G
for words in "" "-f qcow2"; do
    qemu-img info $words disk.qcow2 > info.txt; echo "status $?"
    grep -v -e 'disk size' -e 'file length' info.txt
done
qemu-img info --output=json disk.qcow2 > info.json; echo "status $?"
python3 -m json.tool --sort-keys info.json | grep -v -e actual-size -e virtual-size
