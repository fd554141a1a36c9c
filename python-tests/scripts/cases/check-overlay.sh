# An overlay is checked alone; its backing file need not be there.
qemu-img create -q -f qed base.qed 10M
qemu-img create -q -f qed -b base.qed -F qed over.qed
qemu-io -c 'write -q 1M 64k' -c 'write -q 3M 512' over.qed
qemu-img check over.qed > report; echo "status $?"
# What counts as a fragment is a matter of where clusters were put.
cut -d , -f 1 report
