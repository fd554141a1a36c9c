# With -s the difference in allocation is found where it is, also in a run up to the disk's end.
# differs: QEMU counts it as a difference that one of two equal runs reaches the end of the disk
# ours: Strict mode: Offset 1048576 block status mismatch!
qemu-img create -q -f qed a.qed 4M
qemu-img create -q -f qed b.qed 4M
qemu-io -c 'write -q -P 0 1M 64k' b.qed
qemu-img compare -s a.qed b.qed; echo "status $?"
