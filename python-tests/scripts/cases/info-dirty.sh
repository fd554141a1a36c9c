# An image whose last writer was killed says so.
# differs: QEMU sets the need-check bit and never reports it
# ours: cleanly shut down: no
qemu-img create -q -f qed disk.qed 1M
printf '\002' | dd of=disk.qed bs=1 seek=16 conv=notrunc 2> dd.log
qemu-img info disk.qed | grep -e format -e shut
rm dd.log
