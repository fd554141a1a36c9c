# Requests across clusters and tables of the smallest layout, and at the ends of the disk.
qemu-img create -q -f qed -o cluster_size=4k,table_size=2 disk.qed 9M
qemu-io -c 'write -P 1 4095 2' -c 'write -P 2 8k 4k' -c 'write -P 3 4194303 2' \
    -c 'write -P 4 4190000 9000' disk.qed; echo "status $?"
qemu-io -c 'write -P 5 9437183 1' -c 'write -P 6 9433088 512' \
    -c 'write -P 7 0 1' disk.qed; echo "status $?"
qemu-io -c 'read -P 7 0 1' -c 'read -P 0 1 4094' -c 'read -P 1 4095 2' \
    -c 'read -P 0 4097 4095' disk.qed; echo "status $?"
qemu-io -c 'read -P 2 8k 4k' -c 'read -P 0 12k 4k' -c 'read -P 4 4190000 9000' \
    -c 'read -P 5 9437183 1' disk.qed; echo "status $?"
qemu-img check disk.qed | head -n 1
