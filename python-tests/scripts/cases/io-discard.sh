# Discard is accepted anywhere in the disk, and refused behind it.
qemu-img create -q -f qed disk.qed 1M
qemu-io -c 'write -q -P 3 0 1M' disk.qed
qemu-io -c 'discard 0 64k' -c 'discard 100k 300k' -c 'discard 1M 0' \
    -c 'discard 1023k 1k' disk.qed; echo "status $?"
qemu-io -c 'discard 1M 1k' -c 'discard 0 2M' -c 'discard 0' \
    -c 'discard -x 0 1k' disk.qed; echo "status $?"
qemu-io -c 'read -P 3 64k 36k' -c 'read -P 3 401k 512k' disk.qed; echo "status $?"
