# A part of a zero cluster is written: the rest of it stays zero.
# differs: QEMU fills the rest from the backing file
# ours: status 0
qemu-img create -q -f raw base.raw 1M
qemu-io -f raw -c 'write -q -P 1 0 1M' base.raw
qemu-img create -q -f qed -b base.raw -F raw disk.qed
qemu-io -c 'write -q -z 0 64k' -c 'write -q -P 2 4k 4k' \
    -c 'read -P 0 8k 8k' disk.qed; echo "status $?"
