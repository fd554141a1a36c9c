# Zeroes: over data, over nothing, in part of a cluster, over a backing file.
qemu-img create -q -f raw base.raw 1M
qemu-io -f raw -c 'write -q -P 3 0 1M' base.raw
qemu-img create -q -f qed -b base.raw -F raw disk.qed 2M
qemu-io -c 'write -q -P 4 0 200k' disk.qed
qemu-io -c 'write -z 64k 64k' -c 'write -z 10k 1k' -c 'write -z 300k 100k' \
    -c 'write -z 1M 1M' disk.qed; echo "status $?"
qemu-io -c 'read -P 4 0 10k' -c 'read -P 0 10k 1k' -c 'read -P 4 11k 53k' \
    -c 'read -P 0 64k 64k' disk.qed; echo "status $?"
qemu-io -c 'read -P 3 200k 100k' -c 'read -P 0 300k 100k' -c 'read -P 3 400k 624k' \
    -c 'read -P 0 1M 1M' disk.qed; echo "status $?"
qemu-io -c 'write -z -u 0 64k' -c 'write -zu 128k 64k' \
    -c 'read -P 0 0 192k' disk.qed; echo "status $?"
qemu-io -c 'write -z -P 3 0 64k' -c 'write -u 0 64k' disk.qed; echo "status $?"
