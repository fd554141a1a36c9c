# -n writes into an image that exists: it keeps its layout, and must be large enough.
qemu-img create -q -f raw source.raw 1M
qemu-io -f raw -c 'write -q -P 1 64k 100k' source.raw
qemu-img create -q -f qed -o cluster_size=4k target.qed 1M
qemu-io -c 'write -q -P 9 0 1M' target.qed
qemu-img convert -n -f raw -O qed source.raw target.qed; echo "status $?"
qemu-img compare -f raw -F qed source.raw target.qed; echo "status $?"
qemu-img info target.qed | grep cluster
qemu-img create -q -f qed large.qed 2M
qemu-img convert -n -f raw -O qed source.raw large.qed; echo "status $?"
qemu-img compare -f raw -F qed source.raw large.qed; echo "status $?"
qemu-img create -q -f qed small.qed 512k
qemu-img convert -n -f raw -O qed source.raw small.qed; echo "status $?"
qemu-img convert -n -f raw -O qed source.raw nowhere.qed; echo "status $?"
