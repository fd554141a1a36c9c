"""What Python does in the demo, on images of any size. Each step prints one line.

demo.py extents IMAGE              lists where its data stands
demo.py overlay BASE OVERLAY RAW   writes to a new overlay, and the same to RAW, a copy of BASE
demo.py extend IMAGE RAW           reads what QEMU wrote to both, then writes where it had not
"""

import random
import sys
from pathlib import Path

import qed

MIB = 1 << 20


def extents(disk: str) -> str:
    """List where the data of an image stands."""
    with qed.open(disk) as image:
        runs = [extent for extent in image.extents() if extent.kind == "data"]
    data = sum(extent.length for extent in runs)
    longest = max((extent.length for extent in runs), default=0)
    return (
        f"opened {disk}: {data // MIB} MiB in {len(runs)} extents, the longest {longest // MIB} MiB"
    )


def overlay(base: str, top: str, raw: str) -> str:
    """Write to an overlay, and the same to a raw copy of what lies below it; verify by reading."""
    choose = random.Random(2026)
    qed.create(top, backing=base)
    with qed.open(top, "r+") as image, Path(raw).open("r+b") as copy:
        blocks = range(image.size // 4096)
        places = choose.sample(blocks, min(1000, len(blocks)))
        for place in places:
            block = choose.randbytes(4096)
            image.pwrite(block, place * 4096)
            copy.seek(place * 4096)
            copy.write(block)
        image.flush()
    with qed.open(top) as image, Path(raw).open("rb") as copy:
        for place in places:
            start = max(0, place * 4096 - 65536)
            copy.seek(start)
            expected = copy.read(min(135168, image.size - start))
            if image.pread(len(expected), start) != expected:
                raise SystemExit(f"the overlay differs near {start}")
    return f"{top} over {base}: {len(places)} blocks written, flushed, reopened, read back"


def extend(disk: str, raw: str) -> str:
    """Read what QEMU wrote, add to it in the second half, and free a little in the first."""
    with qed.open(disk, "r+") as image, Path(raw).open("r+b") as copy:
        for extent in list(image.extents()):
            if extent.kind == "data":
                copy.seek(extent.offset)
                if image.pread(extent.length, extent.offset) != copy.read(extent.length):
                    raise SystemExit(f"what QEMU wrote at {extent.offset} reads differently")
        added = 0
        for index in range(64):
            offset = min(image.size // 2 + index * (image.size // 128) + 12345, image.size)
            block = bytes([index + 1]) * min(500_000, image.size - offset)
            image.pwrite(block, offset)
            copy.seek(offset)
            copy.write(block)
            added += len(block)
        # Whole clusters are freed, and read as zeroes from then on.
        cluster = image.info().cluster_size
        assert cluster is not None  # a QED image has clusters
        start, length = (image.size // part // cluster * cluster for part in (512, 2048))
        image.discard(start, length)
        copy.seek(start)
        copy.write(bytes(length))
    return f"{disk}: read what QEMU wrote, added {added // 10**6} MB, freed {length >> 10} KiB"


def main(words: list[str]) -> str:
    """Take the step that the words name."""
    match words:
        case ["extents", disk]:
            return extents(disk)
        case ["overlay", base, top, raw]:
            return overlay(base, top, raw)
        case ["extend", disk, raw]:
            return extend(disk, raw)
        case _:
            raise SystemExit(__doc__)


if __name__ == "__main__":
    print(main(sys.argv[1:]))
