# What cannot be checked: a raw file, no file, no such format, words that make no sense.
qemu-img create -q -f raw disk.raw 1M
qemu-img check disk.raw; echo "status $?"
qemu-img check -f raw disk.raw; echo "status $?"
qemu-img check -f qed disk.raw; echo "status $?"
qemu-img check nowhere.qed; echo "status $?"
qemu-img check -f nosuch disk.raw; echo "status $?"
qemu-img check; echo "status $?"
qemu-img check disk.raw disk.raw; echo "status $?"
qemu-img check --output=xml disk.raw; echo "status $?"
