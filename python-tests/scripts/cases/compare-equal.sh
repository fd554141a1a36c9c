# The same content in other formats, clusters, allocations and lengths.
qemu-img create -q -f raw a.raw 4M
qemu-img create -q -f qed b.qed 4M
qemu-img create -q -f qcow2 c.qcow2 4M
qemu-img create -q -f qed -o cluster_size=4k d.qed 6M
for image in b.qed c.qcow2 d.qed; do
    qemu-io -c 'write -q -P 5 1M 64k' -c 'write -q -z 2M 64k' "$image"
done
qemu-io -f raw -c 'write -q -P 5 1M 64k' a.raw
qemu-img compare -f raw a.raw b.qed; echo "status $?"
qemu-img compare b.qed c.qcow2; echo "status $?"
qemu-img compare -f qed -F qcow2 b.qed c.qcow2; echo "status $?"
qemu-img compare b.qed d.qed; echo "status $?"
qemu-img compare d.qed b.qed; echo "status $?"
qemu-img compare -q b.qed d.qed; echo "status $?"
