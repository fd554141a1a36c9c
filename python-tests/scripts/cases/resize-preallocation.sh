# What a raw disk grows by has its space; what cannot be preallocated is refused in the same words.
qemu-img create -q -f raw disk.raw 1M
qemu-img resize -f raw --preallocation=falloc disk.raw 2M; echo "status $?"
qemu-img resize -f raw --preallocation=full disk.raw +1M; echo "status $?"
test "$(stat -c %b disk.raw)" -ge 4096; echo "space $?"
qemu-img resize -f raw --preallocation=off disk.raw 4M; echo "status $?"
qemu-img resize -f raw --preallocation=metadata disk.raw 5M; echo "status $?"
qemu-img resize -f raw --preallocation=some disk.raw 5M; echo "status $?"
qemu-img resize -f raw --preallocation=full --shrink disk.raw 1M; echo "status $?"
qemu-img resize -f raw --preallocation=full disk.raw 1M; echo "status $?"
qemu-img resize -f raw --preallocation=full disk.raw 4M; echo "status $?"
wc -c < disk.raw
qemu-img create -q -f qed disk.qed 1M
qemu-img resize --preallocation=metadata disk.qed 2M; echo "status $?"
qemu-img resize --preallocation=full disk.qed 2M; echo "status $?"
qemu-img info disk.qed | grep virtual
