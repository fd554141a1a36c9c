# write -z -n must not write zeroes as data; where it cannot do otherwise, it fails.
qemu-img create -q -f qed disk.qed 1M
qemu-io -c 'write -q -P 1 0 128k' -c 'write -z -n 1k 512' disk.qed; echo "status $?"
qemu-io -c 'read -q -P 1 0 128k' disk.qed; echo "status $?"
