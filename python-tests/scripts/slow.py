"""An image that takes long to read, made at once: every cluster is mapped, and lies in a hole."""

import struct
from array import array
from pathlib import Path

CLUSTER = 65536
TABLE = 4 * CLUSTER


def long_to_read(path: Path, size: int) -> None:
    """Make a sound QED image of `size` bytes, all of them allocated, all of them zero."""
    clusters = size // CLUSTER
    first_table = CLUSTER + TABLE
    first_data = first_table + -(-clusters * 8 // TABLE) * TABLE
    end = first_data + clusters * CLUSTER
    header = struct.pack("<4s3I5Q2I", b"QED\0", CLUSTER, 4, 1, 0, 0, 0, CLUSTER, size, 0, 0)
    with path.open("wb") as file:
        file.write(header)
        file.seek(CLUSTER)
        file.write(array("Q", range(first_table, first_data, TABLE)).tobytes())
        file.seek(first_table)
        file.write(array("Q", range(first_data, end, CLUSTER)).tobytes())
        file.truncate(end)
