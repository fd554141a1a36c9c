# With -s other sizes and other allocations count as a difference.
qemu-img create -q -f qed a.qed 4M
qemu-img create -q -f qed b.qed 6M
qemu-img create -q -f qed c.qed 4M
qemu-io -c 'write -q -P 1 3M 1M' a.qed
qemu-io -c 'write -q -P 1 3M 1M' b.qed
qemu-io -c 'write -q -P 1 3M 1M' -c 'write -q -P 0 1M 64k' c.qed
qemu-img compare -s a.qed b.qed; echo "status $?"
qemu-img compare -s a.qed a.qed; echo "status $?"
qemu-img compare -s a.qed c.qed; echo "status $?"
qemu-img compare a.qed c.qed; echo "status $?"
