# Numbers: hexadecimal, octal to the eye, fractions, every suffix.
qemu-img create -q -f qed disk.qed 4G
qemu-io -c 'write -P 0x1f 0x200 0x400' -c 'read -P 31 512 1k' \
    -c 'write -P 010 1.5k 512' disk.qed; echo "status $?"
qemu-io -c 'read -P 10 1.5k 512' -c 'read -P 010 1536 512' -c 'read 2G 1k' \
    -c 'read 0.5M 1K' disk.qed; echo "status $?"
qemu-io -c 'read 1b 512' -c 'read 1k 512B' -c 'read 1.5 512' -c 'read 0x1k 512' \
    -c 'read 1kk 512' disk.qed; echo "status $?"
