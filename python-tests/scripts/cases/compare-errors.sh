# What cannot be compared is status 2 or more.
qemu-img create -q -f qed a.qed 1M
qemu-img compare; echo "status $?"
qemu-img compare a.qed; echo "status $?"
qemu-img compare a.qed nowhere.qed; echo "status $?"
qemu-img compare nowhere.qed a.qed; echo "status $?"
qemu-img compare -f qcow2 a.qed a.qed; echo "status $?"
qemu-img compare a.qed a.qed a.qed; echo "status $?"
