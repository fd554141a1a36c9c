"""Disks that change their size, and tables that move: QEMU reads what is left, and grows it."""

import random
from pathlib import Path

import pytest

import qed
from support.commands import Command
from support.images import words

MIB = 1 << 20


def _checked(qemu_img: Command, path: Path) -> None:
    """Assert that QEMU finds nothing broken."""
    outcome = qemu_img.run("check", "-f", "qed", path)
    assert outcome.status in (0, 3), outcome


def _content(path: Path) -> bytes:
    with qed.open(path) as disk:
        return disk.pread(disk.size, 0)


def _same(qemu_img: Command, path: Path, content: bytes) -> None:
    """Assert that QEMU and libqed read this of an image."""
    assert _content(path) == content
    raw = path.with_suffix(".content")
    raw.write_bytes(content)
    qemu_img.ok("compare", "-q", "-f", "qed", "-F", "raw", path, raw)
    _checked(qemu_img, path)


@pytest.mark.parametrize(
    ("kind", "overlay"),
    # Over a backing file no data is preallocated.
    [(kind, False) for kind in ("off", "metadata", "falloc", "full")]
    + [(kind, True) for kind in ("off", "metadata")],
)
def test_qemu_reads_and_grows_what_was_resized(
    tmp_path: Path, qemu_img: Command, qemu_io: Command, kind: str, overlay: bool
) -> None:
    # Goal: QEMU sees a sound image of the same bytes after each change. Method: a disk over five
    # tables, written here and there, shrinks, is grown by QEMU, shrinks and grows again by libqed;
    # QEMU then writes into what is new.
    chance = random.Random(f"{kind} {overlay}")
    path = tmp_path / "disk.qed"
    content = bytearray(20 * MIB)
    backing: dict[str, str] = {}
    if overlay:
        below = chance.randbytes(9 * MIB)
        (tmp_path / "below.raw").write_bytes(below)
        content[: len(below)] = below
        backing = {"backing": "below.raw", "backing_format": "raw"}
    qed.create(path, 20 * MIB, cluster_size=4096, table_size=2, **backing)  # type: ignore[arg-type]
    with qed.open(path, "r+") as disk:
        for _ in range(30):
            offset, length = chance.randrange(19 * MIB), chance.randrange(1, 9000)
            data = chance.randbytes(length)
            disk.pwrite(data, offset)
            content[offset : offset + length] = data
        full = path.stat().st_size
        disk.resize(5 * MIB + 512, shrink=True)
    del content[5 * MIB + 512 :]
    _same(qemu_img, path, bytes(content))
    tables = words(path, words(path, 40, 1)[0], 5)
    assert not any(tables[2:])
    assert path.stat().st_size < full
    if not overlay:
        # Over a backing file that is longer QEMU shows what lies below; libqed shows zeroes.
        qemu_img.ok("resize", "-q", "-f", "qed", path, str(12 * MIB))
        content.extend(bytes(12 * MIB - len(content)))
        _same(qemu_img, path, bytes(content))
    with qed.open(path, "r+") as disk:
        disk.resize(3 * MIB, shrink=True)
        disk.resize(16 * MIB, preallocation=kind)  # type: ignore[arg-type]
    del content[3 * MIB :]
    content.extend(bytes(16 * MIB - len(content)))
    _same(qemu_img, path, bytes(content))
    tables = words(path, words(path, 40, 1)[0], 4)
    assert all(tables) or kind == "off"
    qemu_io.ok("-f", "qed", "-c", f"write -q -P 9 {15 * MIB} 70000", path)
    content[15 * MIB : 15 * MIB + 70000] = b"\x09" * 70000
    _same(qemu_img, path, bytes(content))


def test_an_l1_table_that_rebasing_moved_comes_back(
    tmp_path: Path, qemu_img: Command, qemu_io: Command
) -> None:
    # Goal: header, L1, L2, data after a compaction, as QEMU reads it. Method: a name that needs a
    # wider header drives the L1 table to the end; compaction brings it back behind the header.
    path = tmp_path / "disk.qed"
    name = "/" + "d/" * 1900 + "base.raw"
    qed.create(path, "8M", cluster_size=4096, table_size=2)
    chance = random.Random(7)
    with qed.open(path, "r+") as disk:
        for _ in range(60):
            disk.pwrite(chance.randbytes(5000), chance.randrange(7 * MIB))
    content = _content(path)
    qed.rebase(path, name, backing_format="raw", name_only=True)
    qed.rebase(path, None, name_only=True)
    (l1,) = words(path, 40, 1)
    assert l1 > 3 * 4096, "the name did not drive the table away"
    with qed.open(path, "r+") as disk:
        report = disk.compact()
    assert report.tables_moved > 0
    (size_words, l1) = words(path, 8, 1) + words(path, 40, 1)
    header_clusters = size_words >> 32
    tables = [table for table in words(path, l1, 1024) if table]
    assert l1 == header_clusters * 4096
    assert tables == [l1 + 8192 * (index + 1) for index in range(len(tables))]
    _same(qemu_img, path, content)
    assert qed.check(path).fragmented_clusters == 0
    qemu_io.ok("-f", "qed", "-c", "write -q -P 3 7M 4k", path)
    _checked(qemu_img, path)


def test_an_incomplete_map_is_used_and_qemu_ends_it(
    tmp_path: Path, qemu_img: Command, qemu_io: Command
) -> None:
    # Goal: QEMU clears the bit of a map that has no room for all, as it does with any. Method: more
    # free runs than a header cluster holds; the next session writes into them, then QEMU does.
    path = tmp_path / "disk.qed"
    qed.create(path, "4M", cluster_size=4096, table_size=2)
    with qed.open(path, "r+") as disk:
        disk.pwrite(b"x" * (500 * 4096), 0)
        disk.flush()
        for cluster in range(1, 500, 2):
            disk.discard(cluster * 4096, 4096)
    assert words(path, 32, 1)[0] >> 32 == 3, "the map is announced"
    assert words(path, 520, 1)[0] >> 32 == 0, "it has no room for all runs"
    length = path.stat().st_size
    with qed.open(path, "r+") as disk:
        disk.pwrite(b"y" * (200 * 4096), 600 * 4096)
    assert path.stat().st_size == length
    content = _content(path)
    _same(qemu_img, path, content)
    qemu_io.ok("-f", "qed", "-c", "write -q -P 3 0 4k", path)
    assert words(path, 32, 1)[0] == 0
    _checked(qemu_img, path)
