# A chain with a missing end: info of the top needs no backing file, --backing-chain does.
qemu-img create -q -f raw base.raw 1M
qemu-img create -q -f qcow2 -b base.raw -F raw middle.qcow2
qemu-img create -q -f qed -b middle.qcow2 -F qcow2 top.qed 2M
rm base.raw
qemu-img info top.qed | grep backing
qemu-img info middle.qcow2 | grep backing
qemu-img info --backing-chain top.qed; echo "status $?"
qemu-img info --backing-chain --output=json top.qed; echo "status $?"
