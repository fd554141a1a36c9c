# -q prints nothing, -C a line for programs; a failed verification is told all the same.
qemu-img create -q -f qed disk.qed 1M
qemu-io -c 'write -q -P 1 0 64k' -c 'read -q -P 1 0 64k' disk.qed; echo "status $?"
qemu-io -c 'write -C -P 1 0 64k' -c 'read -C -P 1 0 64k' disk.qed; echo "status $?"
qemu-io -c 'read -q -P 2 0 64k' disk.qed; echo "status $?"
qemu-io -c 'discard -q 0 64k' -c 'discard -C 0 64k' -c 'writev -q 0 512' \
    -c 'readv -C 0 512' disk.qed; echo "status $?"
qemu-io -c 'flush' disk.qed; echo "status $?"
