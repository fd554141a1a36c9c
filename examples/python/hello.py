"""Create an image, write to it, read it back, check it."""

import sys

import qed

path = sys.argv[1]
qed.create(path, "10G")
with qed.open(path, "r+") as image:
    image.pwrite(b"hello", 4096)
    image.flush()
    print(image.pread(5, 4096).decode(), "from a disk of", image.size, "bytes")
print("corruptions:", qed.check(path).corruptions)
