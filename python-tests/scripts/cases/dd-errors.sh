# What dd refuses, and that it leaves no target.
qemu-img create -q -f raw source.raw 1M
qemu-img dd; echo "status $?"
qemu-img dd if=source.raw; echo "status $?"
qemu-img dd of=target.raw; echo "status $?"
qemu-img dd if=nowhere.raw of=target.raw; echo "status $?"
qemu-img dd if=source.raw of=target.raw bs=0; echo "status $?"
qemu-img dd if=source.raw of=target.raw bs=many; echo "status $?"
qemu-img dd if=source.raw of=target.raw count=-1; echo "status $?"
qemu-img dd if=source.raw of=target.raw seek=1; echo "status $?"
qemu-img dd if=source.raw of=target.raw nonsense; echo "status $?"
qemu-img dd -f qed if=source.raw of=target.raw; echo "status $?"
qemu-img dd -O nosuch if=source.raw of=target.raw; echo "status $?"
