# Backing files that are missing, of no known format, or named twice.
qemu-img create -q -f raw base.raw 1M
qemu-img create -f qed -b nowhere.raw -F raw none.qed; echo "status $?"
qemu-img create -f qed -b nowhere.raw -F raw none.qed 1M; echo "status $?"
qemu-img create -f qed -b base.raw none.qed; echo "status $?"
qemu-img create -f qed -b base.raw -F nosuch none.qed; echo "status $?"
qemu-img create -f qed -b base.raw -F qed none.qed; echo "status $?"
qemu-img create -f qed -b base.raw -F raw -o backing_file=base.raw none.qed; echo "status $?"
qemu-img create -f raw -b base.raw -F raw none.raw; echo "status $?"
qemu-img create -f qed -F raw none.qed 1M; echo "status $?"
