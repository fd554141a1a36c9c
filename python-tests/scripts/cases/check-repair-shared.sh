# A cluster that is referenced twice is told apart by -r, in the words of any repair.
# differs: QEMU's driver finds it and leaves it; the two go on being one cluster
# ours: status 0
qemu-img create -q -f qed disk.qed 10M
qemu-io -c 'write -q -P 7 0 1M' disk.qed
table=$(od -An -t u8 -j 65536 -N 8 disk.qed)
dd if=disk.qed of=entry bs=1 skip=$((table)) count=8 2> dd
dd if=entry of=disk.qed bs=1 seek=$((table + 8 * 40)) conv=notrunc 2> dd
qemu-img check -r all disk.qed; echo "status $?"
qemu-io -c 'write -q -P 8 0 64k' -c 'read -P 7 2560k 64k' disk.qed
qemu-img check disk.qed; echo "status $?"
