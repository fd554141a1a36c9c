# Options of a QED image, given in one -o, in several, and with sizes in every notation.
qemu-img create -f qed a.qed -o cluster_size=4096,table_size=2 1M; echo "status $?"
qemu-img create -f qed -o cluster_size=128k -o table_size=8 b.qed 2T; echo "status $?"
qemu-img create -fqed -ocluster_size=64K,size=5M c.qed; echo "status $?"
qemu-img create -q -f qed d.qed 1M; echo "status $?"
for image in a b c d; do
    qemu-img info "$image.qed" | grep -v 'disk size'
done
