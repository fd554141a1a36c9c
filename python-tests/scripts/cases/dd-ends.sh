# dd at the ends: odd block sizes, more than there is, nothing left to copy.
qemu-img create -q -f raw source.raw 10000
qemu-io -f raw -c 'write -q -P 7 0 10000' source.raw
qemu-img dd -f raw -O raw if=source.raw of=a.raw bs=4k; echo "status $?"
wc -c < a.raw
qemu-img dd -f raw -O raw if=source.raw of=b.raw bs=1000 count=100; echo "status $?"
wc -c < b.raw
qemu-img dd -f raw -O raw if=source.raw of=d.raw bs=5000 skip=2; echo "status $?"
wc -c < d.raw
qemu-img dd -f raw -O raw if=source.raw of=e.raw bs=5000 skip=9; echo "status $?"
wc -c < e.raw
qemu-img dd -f raw -O raw if=source.raw of=f.raw bs=512 count=0; echo "status $?"
wc -c < f.raw
