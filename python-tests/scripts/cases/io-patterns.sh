# Writing patterns and verifying them, whole and in part.
qemu-img create -q -f qed disk.qed 10M
qemu-io -c 'write -P 0xaa 0 64k' -c 'write -P 17 64k 512' \
    -c 'write 1M 1k' disk.qed; echo "status $?"
qemu-io -c 'read -P 0xaa 0 64k' -c 'read -P 17 64k 512' \
    -c 'read -P 0xcd 1M 1k' disk.qed; echo "status $?"
qemu-io -c 'read -P 0 65k 1k' -c 'read -P 0 5M 5M' disk.qed; echo "status $?"
qemu-io -c 'read -P 17 60k 8k' disk.qed; echo "status $?"
qemu-io -c 'read -P 17 -s 4k -l 512 60k 8k' disk.qed; echo "status $?"
qemu-io -c 'read -P 0xaa -l 4k 60k 8k' -c 'read -P 0xaa -s 0 60k 8k' disk.qed; echo "status $?"
qemu-io -c 'read -P 0xab 0 512' -c 'read -P 0xaa 0 512' disk.qed; echo "status $?"
