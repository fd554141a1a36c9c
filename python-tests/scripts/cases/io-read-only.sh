# -r: reading works, every change is refused.
qemu-img create -q -f qed disk.qed 1M
qemu-io -r -c 'read -P 0 0 64k' -c 'write 0 512' -c 'writev 0 512' -c 'write -z 0 64k' \
    -c 'discard 0 64k' -c 'aio_write 0 512' -c aio_flush -c flush disk.qed; echo "status $?"
chmod 444 disk.qed
qemu-io -r -c length disk.qed; echo "status $?"
