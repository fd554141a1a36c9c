# quit, sleep and the short names of commands.
qemu-img create -q -f qed disk.qed 1M
qemu-io -c 'sleep 1' -c 'l' -c 'r 0 512' -c 'w 0 512' -c 'f' -c 'd 0 64k' -c 'q' \
    -c 'length' disk.qed; echo "status $?"
qemu-io -c 'sleep x' -c 'sleep 1 2' -c 'wv 0 512' -c 'rv 0 512' -c 'o disk.qed' \
    -c 'c' disk.qed; echo "status $?"
