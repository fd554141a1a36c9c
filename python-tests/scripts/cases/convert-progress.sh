# The progress of a conversion begins with nothing and ends with everything.
qemu-img create -q -f raw source.raw 4M
qemu-io -f raw -c 'write -q -P 1 0 2M' source.raw
qemu-img convert -p -f raw -O qed source.raw target.qed > out.txt; echo "status $?"
tr '\r' '\n' < out.txt | sed -n 1p
tr '\r' '\n' < out.txt | grep . | tail -n 1
tail -c 1 out.txt | od -c
