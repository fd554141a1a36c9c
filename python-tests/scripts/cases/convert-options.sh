# -o shapes the target as it does for create.
qemu-img create -q -f raw source.raw 1M
qemu-io -f raw -c 'write -q -P 1 0 100k' source.raw
qemu-img convert -f raw -O qed -o cluster_size=4k,table_size=2 source.raw a.qed; echo "status $?"
qemu-img info a.qed | grep -e cluster -e virtual
qemu-img convert -f raw -O qed -o nosuch=1 source.raw b.qed; echo "status $?"
qemu-img convert -f raw -O qcow2 -o cluster_size=128k source.raw c.qcow2; echo "status $?"
qemu-img info c.qcow2 | grep -e cluster -e virtual
