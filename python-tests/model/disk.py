"""A disk as plain bytes, with the rules by which requests change it and extents describe it."""

import random
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import qed

GAP = 30_000


def bytes_of(seed: int, length: int, kind: str = "random") -> bytes:
    """Return bytes that tell where they belong: random, zeroes, or the two by turns."""
    data = bytearray(length if kind == "zeroes" else random.Random(seed).randbytes(length))
    if kind == "gaps":
        for start in range(seed % GAP, length, 3 * GAP):
            data[start : start + GAP] = bytes(len(data[start : start + GAP]))
    return bytes(data)


def write_sparse(path: Path, data: bytes) -> None:
    """Make a raw file in which long zeroes are holes."""
    with path.open("wb") as file:
        file.truncate(len(data))
        for start in range(0, len(data), 4096):
            block = data[start : start + 4096]
            if any(block):
                file.seek(start)
                file.write(block)


@dataclass
class Disk:
    """What an image must read as, and what of that lies below it."""

    cluster_size: int
    below: bytes
    content: bytearray

    @property
    def size(self) -> int:
        return len(self.content)

    def whole(self, offset: int, length: int) -> range:
        """Return the clusters inside a range; what the disk has of its last one counts as whole."""
        end = offset + length
        last = -(-end // self.cluster_size) if end == self.size else end // self.cluster_size
        return range(-(-offset // self.cluster_size), last)

    def touched(self, offset: int, length: int) -> range:
        """Return the clusters that a range meets."""
        first = offset // self.cluster_size
        return range(first, -(-(offset + length) // self.cluster_size) if length else first)

    def span(self, cluster: int) -> slice:
        """Return where a cluster's bytes stand."""
        return slice(cluster * self.cluster_size, (cluster + 1) * self.cluster_size)

    def put(self, offset: int, data: bytes) -> None:
        """Write."""
        self.content[offset : offset + len(data)] = data

    def discard(self, offset: int, length: int) -> None:
        """Zero whole clusters; the others keep what they have."""
        for cluster in self.whole(offset, length):
            place = self.span(cluster)
            self.content[place] = bytes(len(self.content[place]))

    def clusters(self, extents: Iterable[qed.Extent]) -> set[int]:
        """Return the clusters that have data in the layer whose extents these are."""
        return {
            cluster
            for extent in extents
            if extent.kind == "data"
            for cluster in self.touched(extent.offset, extent.length)
        }


def judge_extents(
    disk: Disk, file: bytes, extents: Iterable[qed.Extent], offset: int, length: int
) -> None:
    """Insist that extents cover a range exactly, are merged, and tell what `file` holds."""
    at, previous = offset, None
    used: dict[int, int] = {}
    for extent in extents:
        assert extent.offset == at, f"a gap at {at}: {extent}"
        assert extent.length > 0, extent
        content = disk.content[extent.offset : extent.end]
        if extent.kind == "data":
            assert extent.file_offset is not None
            place = slice(extent.file_offset, extent.file_offset + extent.length)
            assert place.stop <= len(file), f"{extent} passes the end of {len(file)} bytes"
            assert file[place] == content, f"the file has other bytes for {extent}"
            shift = extent.file_offset - extent.offset
            assert shift % disk.cluster_size == 0, f"{extent} is not aligned"
            for cluster in disk.touched(extent.offset, extent.length):
                home = cluster * disk.cluster_size + shift
                assert used.setdefault(home, cluster) == cluster, f"{home} is used twice"
        elif extent.kind == "zero":
            assert not any(content), f"{extent} does not read as zeroes"
        else:
            below = disk.below[extent.offset : extent.end].ljust(extent.length, b"\0")
            assert content == below, f"{extent} does not read what lies below"
        assert previous is None or not _joins(previous, extent), f"{previous} and {extent} are one"
        at, previous = extent.end, extent
    assert at == offset + length, f"the extents end at {at}, not at {offset + length}"


def _joins(first: qed.Extent, second: qed.Extent) -> bool:
    if first.file_offset is None or second.file_offset is None:
        return first.kind == second.kind
    return first.file_offset + first.length == second.file_offset
