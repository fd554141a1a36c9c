# The same as JSON, line by line as qemu-img prints it.
qemu-img create -q -f qed -o cluster_size=4k,table_size=2 disk.qed 10M
qemu-io -c 'write -q 0 10k' -c 'write -q -z 1M 4k' -c 'write -q 2M 512' disk.qed
qemu-img map --output=json disk.qed; echo "status $?"
qemu-img map --output=json --start-offset=5k --max-length=1M disk.qed; echo "status $?"
qemu-img map --output=json --max-length=0 disk.qed; echo "status $?"
qemu-img map --output=json --start-offset=100T disk.qed; echo "status $?"
