# Many requests in flight at once end all, in whatever order.
qemu-img create -q -f qed disk.qed 20M
# (QEMU may abort where several of them allocate.)
qemu-io -c 'write -q 0 10M' disk.qed
for i in 1 2 3 4 5 6 7 8; do
    echo "aio_write -P $i $((i * 1000000)) 999999"
done > commands
echo aio_flush >> commands
sed 's/write/read/' commands >> commands.2
cat commands commands.2 | qemu-io disk.qed > out.txt; echo "status $?"
sed 's/^\(qemu-io> \)*//' out.txt | grep -e wrote -e read | sort
grep -c failed out.txt
