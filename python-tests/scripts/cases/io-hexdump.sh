# read -v shows the bytes: of a pattern, of zeroes, from an odd offset.
qemu-img create -q -f qed disk.qed 1M
qemu-io -c 'write -q -P 0x41 512 512' -c 'write -q -P 0x7e 1000 30' disk.qed
qemu-io -c 'read -v 480 96' -c 'read -qv 996 40' \
    -c 'readv -v 496 16 17' disk.qed; echo "status $?"
