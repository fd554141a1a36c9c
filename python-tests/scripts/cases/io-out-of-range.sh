# Requests behind the end of the disk, and numbers that are none.
qemu-img create -q -f qed disk.qed 1M
for command in 'read 1M 512' 'write 1M 512' 'read 1048575 2' 'write 1048575 2' 'read 0 2M' \
    'write -z 1M 64k' 'read 100T 512' 'read -1 512' 'read 0 -1' 'read 0x 512' 'read 0 many' \
    'read 0 3G' 'write 0 9E' 'readv 1M 512' 'writev 1M 512' 'write -P 256 0 512' \
    'write -P x 0 512' 'read 0 0' 'write 0 0' 'read 1M 0'; do
    echo "$command:"
    qemu-io -c "$command" disk.qed; echo "status $?"
done
