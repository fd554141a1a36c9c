# What convert refuses, and that it leaves no target.
qemu-img create -q -f raw source.raw 1M
qemu-img convert; echo "status $?"
qemu-img convert source.raw; echo "status $?"
qemu-img convert -f raw -O qed nowhere.raw target; echo "status $?"
qemu-img convert -f qed -O raw source.raw target; echo "status $?"
qemu-img convert -f nosuch -O raw source.raw target; echo "status $?"
qemu-img convert -f raw -O nosuch source.raw target; echo "status $?"
qemu-img convert -f raw -O qed source.raw nowhere/target; echo "status $?"
qemu-img convert -f raw -O qed -S 1x source.raw target; echo "status $?"
qemu-img convert -f raw -O qed -m many source.raw target; echo "status $?"
qemu-img convert -f raw -O raw -o cluster_size=4k source.raw target; echo "status $?"
