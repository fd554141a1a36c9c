# dd with both skip and count copies that many blocks, counted from where it starts.
# differs: QEMU counts the blocks from the start of the input, so that skip eats them
# ours: 12288
qemu-img create -q -f raw source.raw 64k
qemu-img dd -f raw -O raw if=source.raw of=target.raw bs=4k skip=2 count=3; echo "status $?"
wc -c < target.raw
