# An image reads the same over another backing file, over a shorter one, and over none.
qemu-img create -q -f raw base.raw 1M
qemu-io -f raw -c 'write -q -P 1 0 1M' base.raw
qemu-img create -q -f raw other.raw 4M
qemu-io -f raw -c 'write -q -P 9 512k 2M' other.raw
qemu-img create -q -f qed -b base.raw -F raw middle.qed 2M
qemu-io -c 'write -q -P 2 64k 64k' middle.qed
qemu-img create -q -f qed -b middle.qed -F qed top.qed 3M
qemu-io -c 'write -q -P 3 128k 64k' -c 'write -q -z 256k 64k' top.qed
qemu-img convert -O raw top.qed before.raw
for new in base.raw other.raw base.raw; do
  qemu-img rebase -b $new -F raw top.qed; echo "status $?"
  qemu-img info top.qed | grep backing
  qemu-img compare -f raw -F qed before.raw top.qed; echo "status $?"
done
qemu-img rebase -b "" top.qed; echo "status $?"
qemu-img info top.qed | grep backing
qemu-img compare -f raw -F qed before.raw top.qed; echo "status $?"
