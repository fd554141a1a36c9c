# Zeroes written where nothing is, and nothing is below, need no cluster.
# differs: QEMU marks a cluster as zero that reads as zeroes anyway
# ours: 1 MiB (0x100000) bytes not allocated at offset 0 bytes (0x0)
qemu-img create -q -f qed disk.qed 1M
qemu-io -c 'write -z 0 64k' -c map -c 'read -P 0 0 1M' disk.qed; echo "status $?"
