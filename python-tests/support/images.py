"""Bytes to write, and image files read or bent word by word, without the library."""

import struct
from pathlib import Path

CLUSTER = 65536


def pattern(seed: int, length: int) -> bytes:
    """Return bytes that tell where they belong: no two 8-byte words of a test are the same."""
    words = range(seed << 32, (seed << 32) + length // 8 + 1)
    return b"".join(struct.pack("<Q", word) for word in words)[:length]


def words(path: Path, offset: int, count: int) -> tuple[int, ...]:
    """Return `count` little-endian 64-bit words of a file."""
    data = path.read_bytes()[offset : offset + 8 * count]
    return struct.unpack(f"<{count}Q", data)


def put_word(path: Path, offset: int, word: int) -> None:
    """Overwrite one little-endian 64-bit word of a file."""
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(struct.pack("<Q", word))


def l2_entry(path: Path, cluster: int) -> int:
    """Return where in the file the L2 entry of a guest cluster below the first 2 GiB stands."""
    (l1_offset,) = words(path, 40, 1)
    (l2_offset,) = words(path, l1_offset, 1)
    assert l2_offset != 0, "the image has no L2 table yet"
    return l2_offset + 8 * cluster
