"""Copying and comparing disks: paths, open images, pipes, progress, cancelling."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, TypeAlias

import pytest

import qed
from support.commands import Command
from support.images import CLUSTER, pattern

MIB = 1 << 20
Format: TypeAlias = Literal["raw", "qed"]


@pytest.fixture
def source(tmp_path: Path) -> Iterator[qed.Image]:
    """Return a disk of 10 MiB with data, zeroes and holes, open for reading."""
    path = tmp_path / "source.qed"
    qed.create(path, 10 * MIB)
    with qed.open(path, "r+") as image:
        image.pwrite(pattern(1, 3 * CLUSTER), CLUSTER)
        image.pwrite(bytes(CLUSTER), 5 * CLUSTER)
        image.pwrite(pattern(2, 1000), 4 * MIB + 500)
        image.write_zeroes(5 * MIB, MIB)
        image.pwrite(pattern(3, 512), 10 * MIB - 512)
    with qed.open(path) as image:
        yield image


def content(path: Path, kind: Format) -> bytes:
    with qed.open(path, format=kind) as image:
        return image.pread(image.size, 0)


@contextmanager
def drained(reader: int) -> Iterator[list[bytes]]:
    """Read a pipe to its end in a thread; the bytes are there when the block is left."""
    read: list[bytes] = []

    def drain() -> None:
        with os.fdopen(reader, "rb") as pipe:
            read.append(pipe.read())

    thread = threading.Thread(target=drain)
    thread.start()
    yield read
    thread.join()


@contextmanager
def fed(data: bytes) -> Iterator[int]:
    """Write bytes into a pipe from a thread; yield the descriptor to read."""
    reader, writer = os.pipe()

    def feed() -> None:
        try:
            with os.fdopen(writer, "wb") as pipe:
                pipe.write(data)
        except BrokenPipeError:
            pass  # who reads may stop early

    thread = threading.Thread(target=feed)
    thread.start()
    try:
        yield reader
    finally:
        os.close(reader)
        thread.join()


@pytest.mark.parametrize("kind", ["raw", "qed"])
def test_a_new_disk_reads_alike_and_holds_data_only(
    source: qed.Image, tmp_path: Path, qemu_img: Command, kind: Format
) -> None:
    target = tmp_path / "target"
    assert qed.convert(source, target, format=kind) == 0
    qemu_img.ok("compare", "-f", "qed", "-F", kind, "source.qed", "target")
    if kind == "qed":
        qemu_img.ok("check", "-f", "qed", "target")
        assert qed.check(target).allocated_clusters == 5
    else:
        assert target.stat().st_blocks * 512 <= 5 * CLUSTER


def test_a_dense_copy_writes_every_byte(source: qed.Image, tmp_path: Path) -> None:
    qed.convert(source, tmp_path / "target", sparse_size=0)
    assert qed.check(tmp_path / "target").allocated_clusters == 10 * MIB // CLUSTER
    assert content(tmp_path / "target", "qed") == source.pread(source.size, 0)


@pytest.mark.parametrize("in_order", [True, False])
def test_an_open_target_is_overwritten_and_what_lies_behind_stays(
    source: qed.Image, path: Path, in_order: bool
) -> None:
    qed.create(path, 12 * MIB)
    with qed.open(path, "r+") as target:
        target.pwrite(pattern(9, 12 * MIB), 0)
        qed.convert(source, target, in_order=in_order, workers=3)
        assert target.pread(10 * MIB, 0) == source.pread(10 * MIB, 0)
        assert target.pread(2 * MIB, 10 * MIB) == pattern(9, 12 * MIB)[10 * MIB :]
        kinds = {extent.kind for extent in target.extents(5 * MIB, MIB)}
        assert "data" not in kinds


def test_several_sources_are_one_behind_the_other_and_a_window_is_cut(
    source: qed.Image, tmp_path: Path
) -> None:
    qed.convert([source, source], tmp_path / "target", offset="9M", length="6M", format="raw")
    whole = source.pread(source.size, 0)
    assert content(tmp_path / "target", "raw") == (whole + whole)[9 * MIB : 15 * MIB]
    with pytest.raises(qed.InvalidArgumentError, match="passes the end"):
        qed.convert(source, tmp_path / "other", offset=1, length=source.size)
    assert not (tmp_path / "other").exists()


def test_an_overlay_gets_all_of_the_source(source: qed.Image, tmp_path: Path) -> None:
    (tmp_path / "base.raw").write_bytes(pattern(7, 10 * MIB))
    target = tmp_path / "target"
    qed.convert(source, target, backing="base.raw", backing_format="raw")
    assert qed.info(target).backing == "base.raw"
    assert content(target, "qed") == source.pread(source.size, 0)


def test_a_target_that_exists_stays_unless_overwriting_is_asked_for(
    source: qed.Image, path: Path
) -> None:
    path.write_bytes(b"precious")
    with pytest.raises(qed.ExistsError):
        qed.convert(source, path)
    assert path.read_bytes() == b"precious"
    qed.convert(source, path, overwrite=True)
    assert qed.compare(source, path).identical


@pytest.mark.parametrize("length", [None, 3 * MIB + 100])
@pytest.mark.parametrize("kind", ["raw", "qed"])
def test_a_pipe_becomes_a_disk(
    tmp_path: Path, qemu_img: Command, length: int | None, kind: Format
) -> None:
    data = pattern(4, MIB) + bytes(MIB) + pattern(5, MIB + 100)
    with fed(data) as reader:
        qed.convert(reader, tmp_path / "target", length=length, format=kind)
    padded = data + bytes(-len(data) % 512)
    assert content(tmp_path / "target", kind) == padded
    if kind == "qed":
        qemu_img.ok("check", "-f", "qed", "target")
        assert qed.check(tmp_path / "target").leaks == 0


def test_a_pipe_that_ends_early_leaves_nothing(tmp_path: Path) -> None:
    with fed(bytes(100)) as reader, pytest.raises(qed.Error, match="100 of 200 bytes"):
        qed.convert(reader, tmp_path / "target", length=200)
    assert list(tmp_path.iterdir()) == []


def test_a_disk_goes_through_a_pipe_as_raw_bytes(source: qed.Image) -> None:
    reader, writer = os.pipe()
    with drained(reader) as read:
        qed.convert(source, writer, format="raw")
        os.close(writer)
    assert read == [source.pread(source.size, 0)]


@pytest.mark.parametrize("sizes", [{}, {"cluster_size": 4096, "table_size": 1}])
def test_a_disk_goes_through_a_pipe_as_an_image(
    source: qed.Image, tmp_path: Path, qemu_img: Command, sizes: dict[str, int]
) -> None:
    reader, writer = os.pipe()
    with drained(reader) as read:
        qed.convert(source, writer, **sizes)  # type: ignore[arg-type]
        os.close(writer)
    (tmp_path / "target").write_bytes(read[0])
    report = qed.check(tmp_path / "target")
    assert (report.clean, report.leaks) == (True, 0)
    assert qed.compare(source, tmp_path / "target").identical
    if not sizes:  # QEMU cannot open what has tables of one cluster
        assert "No errors" in qemu_img.ok("check", "-f", "qed", "target")
        qemu_img.ok("compare", "-f", "qed", "-F", "qed", "source.qed", "target")


def test_a_pipe_becomes_an_image_in_a_pipe(tmp_path: Path) -> None:
    data = pattern(6, 2 * MIB + 300)
    out_reader, out_writer = os.pipe()
    with drained(out_reader) as read, fed(data) as reader:
        qed.convert(reader, out_writer, length=len(data))
        os.close(out_writer)
    (tmp_path / "target").write_bytes(read[0])
    assert qed.check(tmp_path / "target").leaks == 0
    assert content(tmp_path / "target", "qed") == data + bytes(-len(data) % 512)


def test_a_reader_that_goes_away_is_an_error(source: qed.Image) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with pytest.raises(qed.Error, match="Broken pipe"):
        qed.convert(source, writer, format="raw")
    os.close(writer)


def test_progress_is_told_on_the_calling_thread_and_ends_at_the_total(
    source: qed.Image, path: Path
) -> None:
    told: list[tuple[int, int]] = []
    threads = set()

    def progress(done: int, total: int) -> None:
        told.append((done, total))
        threads.add(threading.get_ident())
        assert source.size == 10 * MIB  # the images can be used meanwhile

    qed.convert(source, path, progress=progress)
    assert told[-1] == (10 * MIB, 10 * MIB)
    assert told == sorted(told)
    assert threads == {threading.get_ident()}
    with qed.open(path) as copy:
        assert qed.compare(source, copy, progress=progress).identical


def _stall(
    stop: Callable[[], None], tmp_path: Path, kind: Format, expected: type[BaseException]
) -> None:
    """Convert from a pipe that never says anything, and stop that from the progress function."""
    reader, writer = os.pipe()
    calls = 0

    def progress(done: int, total: int) -> None:
        nonlocal calls
        calls += 1
        if calls == 3:
            stop()

    with pytest.raises(expected):
        qed.convert(reader, tmp_path / "target", format=kind, progress=progress)
    os.close(reader)
    os.close(writer)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["raw", "qed"])
def test_what_progress_raises_stops_the_copy_and_leaves_nothing(
    tmp_path: Path, kind: Format
) -> None:
    def fail() -> None:
        raise RuntimeError("enough")

    _stall(fail, tmp_path, kind, RuntimeError)


def test_an_interrupt_stops_the_copy_and_leaves_nothing(tmp_path: Path) -> None:
    _stall(lambda: os.kill(os.getpid(), signal.SIGINT), tmp_path, "qed", KeyboardInterrupt)


def test_a_reader_that_takes_nothing_does_not_keep_a_copy_from_being_stopped(
    source: qed.Image,
) -> None:
    reader, writer = os.pipe()

    def progress(done: int, total: int) -> None:
        if done > 0:
            raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        qed.convert(source, writer, format="raw", sparse_size=0, progress=progress)
    os.close(reader)
    os.close(writer)


def test_progress_cannot_close_what_is_being_copied(source: qed.Image, path: Path) -> None:
    def progress(done: int, total: int) -> None:
        source.close()

    with pytest.raises(qed.InvalidArgumentError, match="cannot be closed by the progress"):
        qed.convert(source, path, progress=progress)
    assert not path.exists()


def test_misuse_is_told(source: qed.Image, image: qed.Image, tmp_path: Path) -> None:
    small = tmp_path / "small.qed"
    qed.create(small, MIB)
    with qed.open(small, "r+") as target:
        with pytest.raises(qed.InvalidArgumentError, match="smaller than"):
            qed.convert(source, target)
        with pytest.raises(qed.InvalidArgumentError, match="options of creating"):
            qed.convert(source, target, cluster_size=4096)
        with pytest.raises(qed.InvalidArgumentError, match="to itself"):
            qed.convert(target, target)
    with pytest.raises(qed.InvalidArgumentError, match="workers is 0"):
        qed.convert(source, tmp_path / "target", workers=0)
    with pytest.raises(qed.InvalidArgumentError, match="target_is_zero"):
        qed.convert(source, tmp_path / "target", target_is_zero=True)
    with pytest.raises(qed.ReadOnlyError):
        qed.convert(image, source)
    with pytest.raises(TypeError, match="a descriptor is wanted"):
        qed.convert("source.qed", tmp_path / "target")  # type: ignore[arg-type]
    reader, writer = os.pipe()
    with pytest.raises(qed.InvalidArgumentError, match="length is missing"):
        qed.convert(reader, writer)
    with pytest.raises(qed.InvalidArgumentError, match="no other option"):
        qed.convert(source, writer, overwrite=True)
    os.close(reader)
    os.close(writer)


def test_comparison_tells_the_first_difference(source: qed.Image, path: Path) -> None:
    qed.convert(source, path)
    assert qed.compare(source, path) == qed.Comparison(True, None, None)
    with qed.open(path, "r+") as changed:
        changed.pwrite(b"x", 9 * MIB + 77)
        changed.pwrite(b"x", 3 * MIB + 7)
        found = qed.compare(source, changed)
    assert found == qed.Comparison(False, "content", 3 * MIB + 7)


def test_a_shorter_disk_counts_as_padded_unless_comparing_strictly(
    source: qed.Image, path: Path
) -> None:
    qed.create(path, 12 * MIB)
    with qed.open(path, "r+") as longer:
        qed.convert(source, longer)
        assert qed.compare(source, longer).identical
        assert qed.compare(longer, source, strict=True) == qed.Comparison(False, "size", 10 * MIB)
        longer.pwrite(b"x", 11 * MIB)
        assert qed.compare(source, longer) == qed.Comparison(False, "content", 11 * MIB)


def test_strict_comparison_looks_at_allocation(source: qed.Image, path: Path) -> None:
    qed.convert(source, path)
    found = qed.compare(source, path, strict=True)
    # The cluster of written zeroes was left out of the copy.
    assert found == qed.Comparison(False, "allocation", 5 * CLUSTER)
