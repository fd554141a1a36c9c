# With -u only the name changes, whether the file is there or not.
qemu-img create -q -f raw base.raw 1M
qemu-img create -q -f qed -b base.raw -F raw top.qed 1M
qemu-img rebase -u -b nowhere -F qed top.qed; echo "status $?"
qemu-img info top.qed | grep backing
qemu-img rebase -u -b moved.raw -F raw top.qed; echo "status $?"
qemu-img info top.qed | grep backing
qemu-img rebase -u -b "" top.qed; echo "status $?"
qemu-img info top.qed | grep backing
qemu-img rebase -u -b nowhere top.qed; echo "status $?"
qemu-img rebase -b nowhere -F raw top.qed; echo "status $?"
qemu-img rebase -u -b base.raw -F foo top.qed; echo "status $?"
qemu-img rebase top.qed; echo "status $?"
qemu-img rebase; echo "status $?"
qemu-img rebase -f raw -b "" base.raw; echo "status $?"
