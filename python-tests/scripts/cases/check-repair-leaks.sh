# Leaked clusters are given back to the file system by -r.
# differs: QEMU's driver counts them and leaves them where they are
# ours: The following inconsistencies were found and repaired
qemu-img create -q -f qed disk.qed 10M
qemu-io -c 'write -q 0 1M' disk.qed
head -c 196608 /dev/zero | tr '\0' x >> disk.qed
qemu-img check -r leaks disk.qed; echo "status $?"
qemu-img check -r all --output=json disk.qed; echo "status $?"
qemu-io -c 'read -P 205 0 1M' disk.qed
