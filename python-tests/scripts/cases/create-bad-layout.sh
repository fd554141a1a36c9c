# A layout that QED cannot have is refused, and the old image stays.
# differs: QEMU empties the file before it looks at the sizes
# ours: 327680 old.qed
qemu-img create -q -f qed old.qed 1M
qemu-img create -f qed -o cluster_size=5000 old.qed 1M; echo "status $?"
qemu-img create -f qed -o cluster_size=4096,table_size=2 old.qed 1T; echo "status $?"
wc -c old.qed
