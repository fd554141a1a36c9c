# A killed writer leaves an image that opens, with all that was flushed.
qemu-img create -q -f qed disk.qed 10M
(ulimit -c 0; qemu-io -c 'write -q -P 7 1M 64k' -c flush -c abort disk.qed) 2> messages
echo "status $?"
qemu-io -c 'read -P 7 1M 64k' disk.qed; echo "status $?"
