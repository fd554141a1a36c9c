# Asynchronous requests, each waited for, since their order is nobody's promise.
qemu-img create -q -f qed disk.qed 10M
qemu-io -c 'aio_write -P 5 0 64k' -c aio_flush \
    -c 'aio_read -P 5 0 64k' -c aio_flush disk.qed; echo "status $?"
qemu-io -c 'aio_write -q -P 6 1M 512 512' -c aio_flush \
    -c 'aio_read -C -P 6 1M 1k' -c aio_flush disk.qed; echo "status $?"
qemu-io -c 'aio_read -P 7 1M 1k' -c aio_flush disk.qed; echo "status $?"
qemu-io -c 'aio_write -z 0 64k' -c aio_flush -c 'read -P 0 0 64k' disk.qed; echo "status $?"
qemu-io -c 'aio_write -P 8 2M 64k' disk.qed; echo "status $?"
qemu-io -c 'read -P 8 2M 64k' disk.qed; echo "status $?"
qemu-io -c 'aio_write -v 0 512' -c 'aio_read 0' \
    -c 'aio_read 20M 512' -c aio_flush disk.qed; echo "status $?"
