# The first difference is named: within the common size, and behind it.
qemu-img create -q -f qed a.qed 4M
qemu-img create -q -f qed b.qed 4M
qemu-img create -q -f qed c.qed 6M
qemu-io -c 'write -q -P 1 1M 64k' a.qed
qemu-io -c 'write -q -P 1 1M 64k' -c 'write -q -P 2 1049000 1' b.qed
qemu-io -c 'write -q -P 1 1M 64k' -c 'write -q -P 2 5M 1k' c.qed
qemu-img compare a.qed b.qed; echo "status $?"
qemu-img compare -q a.qed b.qed; echo "status $?"
qemu-img compare a.qed c.qed; echo "status $?"
qemu-img compare c.qed a.qed; echo "status $?"
