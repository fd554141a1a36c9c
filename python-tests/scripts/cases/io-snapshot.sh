# -s: what is written in the session is gone after it.
qemu-img create -q -f qed disk.qed 1M
qemu-io -s -c 'write -P 1 0 64k' -c 'read -P 1 0 64k' disk.qed; echo "status $?"
qemu-io -c 'read -P 0 0 1M' disk.qed; echo "status $?"
