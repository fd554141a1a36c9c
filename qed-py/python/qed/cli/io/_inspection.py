"""Commands that look at the disk: its length, its facts, and what of it is allocated.

`map` and `alloc` speak of the image alone, as qemu-io does: what lies in a backing file is not
allocated in it.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import qed
from qed.cli.io._disk import Disk
from qed.cli.io._language import Request
from qed.cli.io._numbers import human, number
from qed.cli.io._transfer import disk_of

if TYPE_CHECKING:
    from qed.cli.io._session import Session

_SECTOR = 512
_ENTRY, _LONG_ENTRY = 8, 16
"""Bytes of an entry of qcow2's L2 tables, without subclusters and with them."""


def length(session: "Session", request: Request) -> None:
    """`length`."""
    session.say(f"{human(disk_of(session).size)}\n")


def info(session: "Session", request: Request) -> None:
    """`info`."""
    disk = disk_of(session)
    facts = disk.image.info()
    cluster_size = facts.cluster_size or 0
    session.say(
        f"format name: {facts.format}\n"
        f"cluster size: {human(cluster_size)}\n"
        f"vm state offset: {human(_vm_state_offset(facts))}\n"
    )
    if facts.qcow2 is not None:
        lines = [f"    {name}: {word}\n" for name, word in _specific(facts.qcow2).items()]
        session.say("Format specific information:\n" + "".join(lines))


def _vm_state_offset(info: qed.Info) -> int:
    """Return where saved machine states would begin: in qcow2, where no L1 entry of the disk is."""
    if info.qcow2 is None or not info.cluster_size:
        return 0
    entry = _LONG_ENTRY if info.qcow2.extended_l2 else _ENTRY
    span = info.cluster_size * (info.cluster_size // entry)
    return -(-info.virtual_size // span) * span


def _specific(info: qed.Qcow2Info) -> dict[str, str]:
    """Return what only qcow2 has, in the order of qemu-io."""
    words = {
        "compat": info.compat,
        "compression type": info.compression_type,
        "lazy refcounts": str(info.lazy_refcounts).lower(),
        "refcount bits": str(info.refcount_bits),
        "corrupt": str(info.corrupt).lower(),
        "extended l2": str(info.extended_l2).lower(),
    }
    if info.compat == "0.10":
        for name in ("lazy refcounts", "corrupt", "extended l2"):
            del words[name]
    return words


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
