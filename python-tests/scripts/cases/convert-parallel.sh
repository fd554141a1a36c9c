# -m and -W change the order of the writes and nothing that a reader sees.
qemu-img create -q -f raw source.raw 20M
qemu-io -f raw -c 'write -q -P 1 0 5M' -c 'write -q -P 2 7M 1k' \
    -c 'write -q -P 3 10M 7M' source.raw
copy() {
    qemu-img convert $1 -f raw -O "$2" source.raw target; echo "status $?"
    qemu-img compare -f raw -F "$2" source.raw target; echo "status $?"
}
copy "-m 1" qed
copy "-m 4" qed
# (QEMU may abort where it writes to a new QED image out of order.)
copy "-m 16 -W" qcow2
copy "-W" raw
qemu-img convert -m 0 -f raw -O qed source.raw target; echo "status $?"
qemu-img convert -m 17 -f raw -O qed source.raw target; echo "status $?"
