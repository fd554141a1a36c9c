# What is discarded whole cluster by whole cluster is given back.
# differs: QEMU accepts discard on QED images and does nothing
# ours: 0x80000 0x80000
qemu-img create -q -f qed disk.qed 1M
qemu-io -c 'write -q -P 3 0 1M' -c 'discard 0 512k' disk.qed
qemu-img map disk.qed | awk '{ print $1, $2 }'
qemu-io -c 'read -P 0 0 512k' disk.qed
