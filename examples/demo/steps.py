"""What Python does in the demo. Each step prints one line; anything unexpected is an error."""

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
        longest = max(runs, key=lambda extent: extent.length)
        return (
            f"opened {disk}: {data // MIB} MiB in {len(runs)} extents, "
            f"the longest {longest.length // MIB} MiB at {longest.offset // MIB} MiB"
        )


def overlay(base: str, top: str, raw: str) -> str:
    """Write to an overlay, and the same to a raw copy of what lies below it; verify by reading."""
    choose = random.Random(2026)
    qed.create(top, backing=base)
    with qed.open(top, "r+") as image, Path(raw).open("r+b") as copy:
        places = choose.sample(range(image.size // 4096), 1000)
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
    """Read what QEMU wrote, then write where it had not."""
    with qed.open(disk, "r+") as image, Path(raw).open("r+b") as copy:
        for offset, length in [(0, 8 * MIB), (1024 * MIB, 1000 << 10)]:
            copy.seek(offset)
            if image.pread(length, offset) != copy.read(length):
                raise SystemExit(f"what QEMU wrote at {offset} reads differently")
        for index in range(64):
            offset = (1536 + index) * MIB + 12345
            block = bytes([index + 1]) * 500_000
            image.pwrite(block, offset)
            copy.seek(offset)
            copy.write(block)
        image.discard(4 * MIB, MIB)
        copy.seek(4 * MIB)
        copy.write(bytes(MIB))
    return f"{disk}: read what QEMU wrote, added {64 * 500_000 // 10**6} MB, freed 1 MiB"


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["extents", disk]:
            print(extents(disk))
        case ["overlay", base, top, raw]:
            print(overlay(base, top, raw))
        case ["extend", disk, raw]:
            print(extend(disk, raw))
        case words:
            raise SystemExit(f"not a step of the demo: {words}")
