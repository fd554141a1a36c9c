# A disk grows to a size and by a size; what makes no sense is refused in the same words.
qemu-img create -q -f qed disk.qed 10M
qemu-io -c 'write -q -P 7 9M 1M' disk.qed
qemu-img resize disk.qed 20M; echo "status $?"
qemu-img resize disk.qed +1M; echo "status $?"
qemu-img resize -q disk.qed 22M; echo "status $?"
qemu-img resize --preallocation=off -f qed disk.qed 23M; echo "status $?"
qemu-img info disk.qed | grep virtual
qemu-io -c 'read -P 7 9M 1M' -c 'read -P 0 10M 13M' disk.qed
qemu-img resize disk.qed 5M; echo "status $?"
qemu-img resize -f qed -- disk.qed -1M; echo "status $?"
qemu-img resize disk.qed 24117761; echo "status $?"
qemu-img resize disk.qed foo; echo "status $?"
qemu-img resize disk.qed; echo "status $?"
qemu-img resize disk.qed 1M 2M; echo "status $?"
qemu-img resize --shrink -- disk.qed -99M; echo "status $?"
qemu-img resize nowhere.qed 5M; echo "status $?"
qemu-img info disk.qed | grep virtual
