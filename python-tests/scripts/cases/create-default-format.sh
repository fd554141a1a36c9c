# Without -f an image is raw, and an old file is replaced without a question.
echo "something old that is longer than nothing" > disk
qemu-img create disk 64k; echo "status $?"
wc -c < disk
qemu-img create -f qed disk 64k; echo "status $?"
qemu-img info disk | grep format
qemu-img create -f raw disk 3k; echo "status $?"
wc -c < disk
