# A QED image shrinks, and shows nothing of what was cut off when it grows again.
# differs: QEMU cannot shrink QED images
# ours: virtual size: 5 MiB (5242880 bytes)
qemu-img create -q -f qed disk.qed 10M
qemu-io -c 'write -q -P 7 0 10M' disk.qed
qemu-img resize --shrink disk.qed 5M; echo "status $?"
qemu-img info disk.qed | grep virtual
qemu-img resize disk.qed 10M
qemu-io -c 'read -P 7 0 5M' -c 'read -P 0 5M 5M' disk.qed
qemu-img check disk.qed
