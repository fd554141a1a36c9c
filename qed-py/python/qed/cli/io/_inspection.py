"""Commands that look at the disk: its length, its facts, and what of it is allocated.

`map` and `alloc` speak of the image alone, as qemu-io does: what lies in a backing file is not
allocated in it.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from qed.cli.io._disk import Disk
from qed.cli.io._language import Request
from qed.cli.io._numbers import human, number
from qed.cli.io._transfer import disk_of

if TYPE_CHECKING:
    from qed.cli.io._session import Session

_SECTOR = 512
_QCOW2_ENTRY = 8


def length(session: "Session", request: Request) -> None:
    """`length`."""
    session.say(f"{human(disk_of(session).size)}\n")


def info(session: "Session", request: Request) -> None:
    """`info`."""
    disk = disk_of(session)
    cluster_size = disk.image.info().cluster_size or 0
    session.say(
        f"format name: {disk.image.format}\n"
        f"cluster size: {human(cluster_size)}\n"
        f"vm state offset: {human(_vm_state_offset(disk, cluster_size))}\n"
    )


def _vm_state_offset(disk: Disk, cluster_size: int) -> int:
    """Return where saved machine states would begin: in qcow2, where no L1 entry of the disk is."""
    if disk.image.format != "qcow2" or not cluster_size:
        return 0
    span = cluster_size * (cluster_size // _QCOW2_ENTRY)
    return -(-disk.size // span) * span


def alloc(session: "Session", request: Request) -> None:
    """`alloc`."""
    disk, words = disk_of(session), request.operands
    offset = number(words[0])
    count = number(words[1]) if len(words) > 1 else _SECTOR
    count = min(count, max(0, disk.size - offset))
    allocated = sum(size for _, size, present in _runs(disk, offset, count) if present)
    session.say(f"{allocated}/{count} bytes allocated at offset {human(offset)}\n")


def map_(session: "Session", request: Request) -> None:
    """`map`."""
    disk = disk_of(session)
    for offset, size, present in _runs(disk, 0, disk.size):
        word = "    allocated" if present else "not allocated"
        session.say(
            f"{human(size)} ({size:#x}) bytes {word} at offset {human(offset)} ({offset:#x})\n"
        )


def _runs(disk: Disk, offset: int, count: int) -> Iterator[tuple[int, int, bool]]:
    """Yield runs of the range: offset, bytes, and whether they are allocated."""
    start, size, state = offset, 0, False
    for extent in disk.image.extents(offset, count) if count else ():
        present = extent.kind != "unallocated"
        if size and present != state:
            yield start, size, state
            start, size = start + size, 0
        size, state = size + extent.length, present
    if size:
        yield start, size, state
