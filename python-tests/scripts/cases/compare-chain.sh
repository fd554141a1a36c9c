# An overlay is compared with what a reader of it sees.
qemu-img create -q -f raw base.raw 2M
qemu-io -f raw -c 'write -q -P 9 0 2M' base.raw
qemu-img create -q -f qed -b base.raw -F raw over.qed 3M
qemu-img compare -F raw over.qed base.raw; echo "status $?"
qemu-io -c 'write -q -P 8 1M 512' over.qed
qemu-img compare -F raw over.qed base.raw; echo "status $?"
qemu-io -c 'write -q -P 9 1M 512' -c 'write -q -P 1 2500k 1k' over.qed
qemu-img compare -F raw over.qed base.raw; echo "status $?"
