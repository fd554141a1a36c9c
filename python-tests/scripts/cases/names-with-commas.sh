# File names with blanks, commas, equals signs and a dash in front.
qemu-img create -f qed 'a b,c=d.qed' 1M; echo "status $?"
qemu-img info 'a b,c=d.qed' | grep image
qemu-img create -f qed -o backing_file='a b,,c=d.qed',backing_fmt=qed over.qed; echo "status $?"
qemu-img info over.qed | grep backing
qemu-io -c 'write -P 1 0 512' 'a b,c=d.qed'; echo "status $?"
qemu-img create -q -f qed -- -f 1M; echo "status $?"
qemu-img info -- -f | grep image
qemu-img convert -O raw -- -f 'a b.raw'; echo "status $?"
