# Vectored requests: one request, many buffers.
qemu-img create -q -f qed disk.qed 10M
qemu-io -c 'writev -P 5 64k 512 1k 4k 64k' \
    -c 'readv -P 5 64k 64k 512 5k' disk.qed; echo "status $?"
qemu-io -c 'readv -P 6 64k 512 512' disk.qed; echo "status $?"
qemu-io -c 'writev -P 7 1M 3 5 7' -c 'readv -P 7 1M 15' disk.qed; echo "status $?"
qemu-io -c 'writev 0' -c 'readv 0' -c 'writev 0 1x' -c 'readv 0 512 -1' disk.qed; echo "status $?"
