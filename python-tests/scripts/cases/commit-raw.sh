# An overlay goes into a raw file, which grows; -d keeps the overlay, -b skips a layer.
qemu-img create -q -f raw base.raw 1M
qemu-io -f raw -c 'write -q -P 1 0 1M' base.raw
qemu-img create -q -f qed -b base.raw -F raw middle.qed 2M
qemu-io -c 'write -q -P 2 64k 64k' middle.qed
qemu-img create -q -f qed -b middle.qed -F qed top.qed 3M
qemu-io -c 'write -q -P 3 128k 64k' -c 'write -q -z 256k 64k' -c 'write -q -P 4 2M 512' top.qed
qemu-img convert -O raw top.qed before.raw
qemu-img commit -b base.raw top.qed; echo "status $?"
wc -c < base.raw
qemu-img compare -f raw -F raw before.raw base.raw; echo "status $?"
qemu-img compare -f raw -F qed before.raw top.qed; echo "status $?"
qemu-img create -q -f qed -b base.raw -F raw over.qed
qemu-io -c 'write -q -P 5 1M 64k' over.qed
qemu-img commit -d over.qed; echo "status $?"
qemu-io -f raw -c 'read -P 5 1M 64k' base.raw
qemu-img commit -q over.qed; echo "status $?"
qemu-io -c 'read -P 5 1M 64k' over.qed
