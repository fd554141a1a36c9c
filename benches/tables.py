"""Large images of which only the tables are written: the data they map is one hole."""

import struct
from array import array
from pathlib import Path

CLUSTER = 65536
TABLE_CLUSTERS = 4
ENTRIES = TABLE_CLUSTERS * CLUSTER // 8


def mapped(path: Path, size: int) -> None:
    """Write a QED image of `size` bytes (a multiple of 2 GiB) whose every cluster is mapped."""
    tables = size // (ENTRIES * CLUSTER)
    first_table = (1 + TABLE_CLUSTERS) * CLUSTER
    table_bytes = TABLE_CLUSTERS * CLUSTER
    first_data = first_table + tables * table_bytes
    with path.open("wb") as file:
        file.write(_header(size).ljust(CLUSTER, b"\0"))
        l1 = array("Q", range(first_table, first_data, table_bytes))
        file.write(l1.tobytes().ljust(table_bytes, b"\0"))
        for table in range(tables):
            start = first_data + table * ENTRIES * CLUSTER
            file.write(array("Q", range(start, start + ENTRIES * CLUSTER, CLUSTER)).tobytes())
        file.truncate(first_data + size)


def _header(size: int) -> bytes:
    numbers = (CLUSTER, TABLE_CLUSTERS, 1, 0, 0, 0, CLUSTER, size, 0, 0)
    return b"QED\0" + struct.pack("<III QQQQQ II", *numbers)
