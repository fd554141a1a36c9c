"""Disks at rest and external snapshots, with a guest's threads and a queue beside."""

import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import pytest

import qed
from support.images import CLUSTER


@contextmanager
def guest(image: qed.Image) -> Iterator[list[int]]:
    """Write counters from three threads while the block runs; yield the last each has written."""
    written, stop, running = [0] * 3, threading.Event(), threading.Barrier(4)

    def work(number: int) -> None:
        value = 0
        while not stop.is_set():
            value += 1
            place = (number * 8 + value % 8) * CLUSTER
            image.pwrite(value.to_bytes(8, "little"), place)
            assert image.pread(8, place) == value.to_bytes(8, "little")
            written[number] = value
            if value == 8:
                running.wait()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    running.wait()
    try:
        yield written
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def newest(path: Path) -> list[int]:
    """Return the newest counter of each thread on the disk in a file that is complete."""
    with qed.open(path, lock=False) as image:
        values = [int.from_bytes(image.pread(8, n * CLUSTER), "little") for n in range(24)]
    return [max(values[n : n + 8]) for n in (0, 8, 16)]


def test_a_quiesced_file_may_be_copied_while_the_guest_waits(image: qed.Image, path: Path) -> None:
    copy = path.with_name("copy.qed")
    with guest(image) as written:
        with image.quiesced():
            with pytest.raises(qed.BusyError, match="by this very thread"):
                image.flush()
            with pytest.raises(qed.BusyError, match="already"):
                image.quiesce()
            shutil.copyfile(path, copy)
            with qed.open(path, "r+") as other:
                other.pwrite(b"other", 100 * CLUSTER)
            before = list(written)
        image.flush()
    assert image.pread(5, 100 * CLUSTER) == b"other"
    assert qed.check(copy).clean
    seen = newest(copy)
    # A write counts itself when it has returned: one of each thread may be ahead.
    assert all(value <= found <= value + 1 for value, found in zip(before, seen, strict=True))
    with pytest.raises(qed.InvalidArgumentError, match="not quiesced"):
        image.resume()


def test_an_exception_resumes(image: qed.Image) -> None:
    def fail() -> None:
        with image.quiesced():
            raise LookupError

    with pytest.raises(LookupError):
        fail()
    image.pwrite(b"x", 0)


@pytest.mark.parametrize("aio", ["io_uring", "threads"])
def test_an_overlay_under_a_running_guest(
    image: qed.Image, path: Path, aio: Literal["io_uring", "threads"]
) -> None:
    # Goal: the old file keeps what was written before, the new one takes the rest, and the guest
    # sees no seam. Method: threads that read back what they write, and requests in a queue.
    overlay = path.with_name("overlay.qed")
    with guest(image) as written, image.queue(aio=aio) as queue:
        for turn in range(32):
            queue.pwrite(bytes([turn]) * 512, (100 + turn % 4) * CLUSTER)
        queue.submit()
        image.add_overlay(overlay, cluster_size="4K")
        after = list(written)
        assert all(done.error is None for done in queue.do_io(min=queue.pending))
        frozen = newest(path)
    assert (image.path, image.info().backing) == (str(overlay), "disk.qed")
    assert image.info().cluster_size == 4096
    assert [layer.path for layer in image.layers()] == [str(overlay), str(path)]
    image.close()
    assert frozen == newest(path)
    assert all(value <= now + 1 for value, now in zip(frozen, after, strict=True))
    assert newest(overlay) == written
    assert qed.check(path).clean
    assert qed.check(overlay).clean


def test_overlays_are_stacked_and_named_as_asked(image: qed.Image, path: Path) -> None:
    image.pwrite(b"base", 0)
    image.add_overlay(path.with_name("one.qed"))
    image.pwrite(b"one", 4096)
    (path.parent / "deeper").mkdir()
    image.add_overlay(path.parent / "deeper" / "two.qcow2", format="qcow2", backing="../one.qed")
    image.pwrite(b"two", 8192)
    assert [image.pread(4, 0), image.pread(3, 4096), image.pread(3, 8192)] == [
        *(b"base", b"one", b"two"),
    ]
    assert (image.format, image.info().backing) == ("qcow2", "../one.qed")
    image.close()
    with qed.open(path.with_name("one.qed")) as one:
        assert one.pread(3, 8192) == bytes(3)


def test_an_overlay_that_cannot_be_leaves_the_disk_as_it_is(image: qed.Image, path: Path) -> None:
    overlay = path.with_name("overlay.qed")
    overlay.write_bytes(b"mine")
    with pytest.raises(FileExistsError):
        image.add_overlay(overlay)
    assert overlay.read_bytes() == b"mine"
    wrong: list[dict[str, Any]] = [{"format": "raw"}, {"cluster_size": 5}, {"trust": "normal"}]
    for options in wrong:
        with pytest.raises(qed.InvalidArgumentError):
            image.add_overlay(path.with_name("x.qed"), **options)
    assert not path.with_name("x.qed").exists()
    image.pwrite(b"goes on", 0)
    assert image.path == str(path)
    image.close()
    with qed.open(path) as reader, pytest.raises(qed.InvalidArgumentError, match="read-only"):
        reader.add_overlay(path.with_name("x.qed"))
