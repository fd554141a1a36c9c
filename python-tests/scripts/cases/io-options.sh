# The options of qemu-io itself: formats, cache modes, files that are not there.
qemu-img create -q -f qed disk.qed 1M
qemu-img create -q -f raw disk.raw 1M
qemu-io -f qed -c length disk.qed; echo "status $?"
qemu-io -f raw -c length disk.raw; echo "status $?"
qemu-io -f qed -c length disk.raw; echo "status $?"
qemu-io -f nosuch -c length disk.qed; echo "status $?"
qemu-io -c length nowhere.qed; echo "status $?"
for cache in writeback writethrough unsafe nosuch; do
    qemu-io -t "$cache" -c 'write -P 1 0 512' disk.qed; echo "status $?"
done
qemu-io --image-opts -c length driver=qed,file.driver=file,file.filename=disk.qed; \
    echo "status $?"
qemu-io --image-opts -r -c 'write 0 512' driver=qed,file.filename=disk.qed; echo "status $?"
qemu-io --nosuch disk.qed > usage.txt 2> messages.txt; echo "status $?"
grep nosuch messages.txt
qemu-io -c length disk.qed disk.raw > usage.txt 2> messages.txt; echo "status $?"
