# open, close and reopen inside one session.
qemu-img create -q -f qed a.qed 1M
qemu-img create -q -f qed b.qed 2M
qemu-io -c 'length' -c 'close' -c 'open b.qed' -c 'length' -c 'write -P 5 1M 512' \
    -c 'close' a.qed; echo "status $?"
qemu-io -c 'open a.qed' -c 'length' -c 'open b.qed' -c 'close' -c 'length' \
    -c 'close'; echo "status $?"
qemu-io -c 'open -r b.qed' -c 'read -P 5 1M 512' -c 'write 0 512' -c close; echo "status $?"
qemu-io -c 'open nowhere.qed' -c 'length' -c 'open'; echo "status $?"
qemu-io -c 'open -o driver=qed a.qed' -c 'length' -c close -c 'open -o driver=raw a.qed' \
    -c 'length'; echo "status $?"
qemu-io -c 'reopen -r' -c 'write 0 512' -c 'reopen -w' -c 'write -P 6 0 512' \
    -c 'read -P 6 0 512' a.qed; echo "status $?"
