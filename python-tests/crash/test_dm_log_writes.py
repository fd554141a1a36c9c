"""Our logs as files, read by a reader that knows the format's description and nothing of us."""

import struct
from dataclasses import dataclass
from pathlib import Path

import pytest

import qed
import qed.crash as qc

FLUSH, FUA, DISCARD, MARK = 1, 2, 4, 8


@dataclass(frozen=True)
class Entry:
    """An entry of a dm-log-writes file, version 1."""

    offset: int
    length: int
    flags: int
    data: bytes
    text: bytes


def read(log: bytes) -> tuple[int, list[Entry]]:
    """Return the sector size and the entries."""
    magic, version, count, size = struct.unpack_from("<QQQI", log)
    assert (magic, version) == (0x6A736677736872, 1)
    entries, at = [], size
    for _ in range(count):
        sector, sectors, flags, length = struct.unpack_from("<QQQQ", log, at)
        text = log[at + 32 : at + 32 + length] if flags & MARK else b""
        at += size
        carried = 0 if flags & (DISCARD | MARK) else sectors * size
        data = log[at : at + carried]
        assert len(data) == carried
        at += carried
        entries.append(Entry(sector * size, sectors * size, flags, data, text))
    assert at == len(log)
    return size, entries


def replay(entries: list[Entry], length: int) -> bytes:
    """Return what a device of this length holds behind the entries."""
    device = bytearray(max(length, *(entry.offset + entry.length for entry in entries)))
    for entry in entries:
        if entry.flags & DISCARD:
            device[entry.offset : entry.offset + entry.length] = bytes(entry.length)
        elif not entry.flags & MARK:
            device[entry.offset : entry.offset + len(entry.data)] = entry.data
    return bytes(device[:length])


@pytest.fixture
def log(path: Path) -> qc.Log:
    """Return a log with every kind of operation, of the image at `path`."""
    with qc.record(path, size="1M", cluster_size=4096, table_size=1) as rec:
        rec.image.pwrite(b"a" * 9000, 100)
        rec.image.flush()
        rec.mark("stable: ünïcode too")
        rec.image.discard(0, 8192)
        rec.image.pwrite(b"b" * 512, 65536, fua=True)
        rec.image.write_zeroes(65536, 4096)
    return rec.log


@pytest.mark.parametrize("sector_size", [512, 4096])
def test_an_independent_reader_gets_the_images_file(
    log: qc.Log, path: Path, tmp_path: Path, sector_size: int
) -> None:
    log.save(tmp_path / "a.log", sector_size=sector_size)
    size, entries = read((tmp_path / "a.log").read_bytes())
    assert size == sector_size
    content = path.read_bytes()
    assert replay(entries, len(content)) == content
    assert sum(bool(entry.flags & FLUSH) for entry in entries) > 2
    assert any("ünïcode".encode() in entry.text for entry in entries)


@pytest.mark.parametrize("sector_size", [512, 4096])
def test_a_saved_log_comes_back_whole(log: qc.Log, tmp_path: Path, sector_size: int) -> None:
    log.save(tmp_path / "a.log", sector_size=sector_size)
    again = qc.Log.open(tmp_path / "a.log")
    assert (again.digest, again.calls, again.marks) == (log.digest, log.calls, log.marks)
    assert again.explore() == log.explore()
    assert not again.foreign


def test_a_log_that_was_cut_off_is_read_leniently(log: qc.Log, tmp_path: Path) -> None:
    log.save(tmp_path / "a.log")
    content = (tmp_path / "a.log").read_bytes()
    (tmp_path / "a.log").write_bytes(content[:-700])
    with pytest.raises(qed.InvalidArgumentError, match="cut off"):
        qc.Log.open(tmp_path / "a.log")
    assert qc.Log.open(tmp_path / "a.log", lenient=True).marks == log.marks
    with pytest.raises(FileNotFoundError):
        qc.Log.open(tmp_path / "b.log")
    (tmp_path / "b.log").write_bytes(b"no log at all" * 100)
    with pytest.raises(qed.InvalidArgumentError):
        qc.Log.open(tmp_path / "b.log", lenient=True)


def test_a_log_without_marks_is_anybodys(tmp_path: Path) -> None:
    # Goal: a log of another writer, built by hand, is judged by its entries alone. Method: a write,
    # a flush, a write, on a raw disk; the calls come from outside.
    def entry(sector: int, sectors: int, flags: int, data: bytes = b"") -> bytes:
        return struct.pack("<QQQQ", sector, sectors, flags, 0).ljust(512, b"\0") + data

    head = struct.pack("<QQQI", 0x6A736677736872, 1, 3, 512).ljust(512, b"\0")
    (tmp_path / "a.log").write_bytes(
        head + entry(0, 1, 0, b"\x11" * 512) + entry(0, 0, FLUSH) + entry(1, 1, 0, b"\x22" * 512)
    )
    (tmp_path / "base").write_bytes(bytes(4096))
    (tmp_path / "a.calls").write_text("1 write 0+512 fill=11\n2 flush\n3 write 512+512 fill=22\n")
    log = qc.Log.open(
        tmp_path / "a.log",
        base=tmp_path / "base",
        workload=tmp_path / "a.calls",
        format="raw",
    )
    assert (log.foreign, log.calls[1]) == (True, "flush")
    contents = set()
    for state in log.states():
        with state.open("r") as image:
            contents.add((image.pread(1, 0), image.pread(1, 512)))
    assert contents == {(b"\0", b"\0"), (b"\x11", b"\0"), (b"\x11", b"\x22")}
    pairs = [("write 0+512 fill=11", 1), ("flush", 2), ("write 512+512 fill=22", 3)]
    again = qc.Log.open(tmp_path / "a.log", base=tmp_path / "base", workload=pairs, format="raw")
    assert again.digest == log.digest
    (tmp_path / "a.calls").write_text("flush\n")
    with pytest.raises(ValueError, match="entries call"):
        qc.Log.open(tmp_path / "a.log", workload=tmp_path / "a.calls", format="raw")
