# Commands that make no sense.
qemu-img create -q -f qed disk.qed 1M
for command in 'nosuch' 'read' 'write 0' 'read 0 1 2' 'read -x 0 512' 'read -s 0 0 512' \
    'read -P 1 -s 1k 0 512' 'read -P 1 -l 1k 0 512' 'read -P 1 -s 1x 0 512' 'write -b 0 512' \
    'write -c 0 100' 'flush now' 'length now' 'quit now' 'alloc' 'sleep' 'map now' \
    'read -b 0 512' \
    'write -P 1 -z 0 512' 'truncate' 'discard 0'; do
    echo "$command:"
    qemu-io -c "$command" disk.qed; echo "status $?"
done
