# The progress of a comparison begins with nothing and ends with everything.
qemu-img create -q -f qed a.qed 4M
qemu-io -c 'write -q -P 1 0 2M' a.qed
qemu-img compare -p a.qed a.qed > out.txt; echo "status $?"
tr '\r' '\n' < out.txt | sed -n 1p
tr '\r' '\n' < out.txt | grep . | tail -n 2
