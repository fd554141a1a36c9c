# A chain of three formats, shown from the top down.
qemu-img create -q -f raw base.raw 1M
qemu-img create -q -f qcow2 -b base.raw -F raw middle.qcow2
qemu-img create -q -f qed -b middle.qcow2 -F qcow2 top.qed 2M
qemu-img info --backing-chain top.qed > chain.txt; echo "status $?"
grep -v -e 'disk size' -e 'file length' chain.txt
qemu-img info --backing-chain --output=json top.qed > chain.json; echo "status $?"
python3 -m json.tool --sort-keys chain.json | grep -v -e actual-size -e virtual-size
