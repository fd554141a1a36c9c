# Sizes as people write them: suffixes, fractions, odd bytes, nothing.
for size in 0 1 511 512 1000 1k 64K 1.5M 10M 1G 100T; do
    qemu-img create -f raw disk.raw "$size"
    echo "status $?"
done
