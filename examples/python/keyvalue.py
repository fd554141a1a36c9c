"""A tiny key-value store on any disk image: somebody's own format, to be crash-tested.

Sector 0 says how many records there are, one sector each, from sector 1 on. `careful` is the fix of
a bug that no test finds which only restarts the program: without it the count may reach the disk
before the record that it counts.

    python examples/python/keyvalue.py [--careful]
"""

import sys
import tempfile
from pathlib import Path

import qed
import qed.crash as qc

SECTOR = 512


class KeyValue:
    """The store; opening it reads what is there."""

    def __init__(self, image: qed.Image, *, careful: bool) -> None:
        self.image = image
        self.careful = careful
        self.records: dict[str, str] = {}
        self.count = int.from_bytes(image.pread(8, 0), "little")
        for number in range(1, self.count + 1):
            record = image.pread(SECTOR, number * SECTOR).rstrip(b"\0")
            key, separator, value = record.decode("ascii").partition("=")
            if not separator:
                raise ValueError(f"record {number} of {self.count} is empty")
            self.records[key] = value

    def put(self, key: str, value: str) -> None:
        """Store a value; it is stable when this returns."""
        record = f"{key}={value}".encode("ascii").ljust(SECTOR, b"\0")
        self.count += 1
        self.image.pwrite(record, self.count * SECTOR)
        if self.careful:
            self.image.flush()
        self.image.pwrite(self.count.to_bytes(8, "little").ljust(SECTOR, b"\0"), 0)
        self.image.flush()
        self.records[key] = value


def holds(image: qed.Image, view: qc.View) -> None:
    """Judge a state: the store opens, and has whatever it had said was stored."""
    store = KeyValue(image, careful=True)
    for mark in view.marks:
        key, _, value = mark.partition("=")
        assert store.records.get(key) == value, f"{mark} is lost"


def run(path: Path, *, careful: bool) -> qc.Log:
    """Use the store, recorded."""
    with qc.record(path, size="64K", format="raw") as rec:
        store = KeyValue(rec.image, careful=careful)
        for key, value in (("name", "qed"), ("colour", "blue")):
            store.put(key, value)
            rec.mark(f"{key}={value}")
    return rec.log


def main() -> int:
    """Say what the explorer finds."""
    with tempfile.TemporaryDirectory() as folder:
        log = run(Path(folder) / "store.raw", careful="--careful" in sys.argv[1:])
        result = log.explore(oracles=[holds])
    print(result)
    return 0 if result.ok else 1


if __name__ == "__main__":
    sys.exit(main())
