# What cannot be committed, and how that is told.
qemu-img create -q -f raw base.raw 1M
qemu-img create -q -f qed -b base.raw -F raw top.qed 1M
qemu-img create -q -f qed alone.qed 1M
qemu-img commit alone.qed; echo "status $?"
qemu-img commit -f raw base.raw; echo "status $?"
qemu-img commit -b nowhere top.qed; echo "status $?"
qemu-img commit -b top.qed top.qed; echo "status $?"
qemu-img commit nowhere.qed; echo "status $?"
qemu-img commit; echo "status $?"
qemu-img commit -r x top.qed; echo "status $?"
qemu-img commit -t foo top.qed; echo "status $?"
