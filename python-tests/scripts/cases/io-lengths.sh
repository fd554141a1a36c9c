# length and the units of sizes.
for size in 0 512 1023k 1M 1500k 5G 3T; do
    qemu-img create -q -f qed disk.qed "$size"
    qemu-io -c length disk.qed; echo "status $?"
done
