# Which parts of the disk are data, as text: empty, written, a part of it.
qemu-img create -q -f qed disk.qed 10M
qemu-img map disk.qed; echo "status $?"
qemu-io -c 'write -q 0 1M' -c 'write -q 3M 1k' -c 'write -q 2M 1k' -c 'write -q -z 5M 1M' disk.qed
for window in "" "-f qed" "--start-offset=1000 --max-length=5000" "-s 2M -l 2M" "-s 2100k"; do
    qemu-img map $window disk.qed > map.txt; echo "status $?"
    # Where in the file it lies is the writer's business.
    awk '{ print $1, $2, $4 }' map.txt
done
