"""Every operation on whole images, one after the other, in a directory.

python examples/python/whole_images.py DIRECTORY
"""

import os
import shutil
import sys
from pathlib import Path

import qed


def progress(done: int, total: int) -> None:
    """Hear how far a long operation is; an exception would break it off."""


def make() -> None:
    """create, with all tables laid out; resize, while the disk is used; extents."""
    qed.create("base.qed", "10M", preallocation="metadata")
    with qed.open("base.qed", "r+") as disk:
        disk.pwrite(b"\x07" * 300_000, 1 << 20)
        disk.resize("20M")
        for extent in disk.extents():
            print(f"{extent.kind} from {extent.offset} on: {extent.length} bytes")


def copy() -> None:
    """measure, convert, compare."""
    with qed.open("base.qed") as disk:
        print(f"a copy takes {qed.measure(disk).required} bytes")
        qed.convert(disk, "copy.raw", format="raw", progress=progress)
        with qed.open("copy.raw", format="raw") as raw:
            assert qed.compare(disk, raw, progress=progress).identical


def move_between_layers() -> None:
    """Overlays: commit and rebase, after which they read the same."""
    qed.create("over.qed", backing="base.qed")
    with qed.open("over.qed", "r+") as disk:
        disk.pwrite(b"kept", 5 << 20)
    qed.commit("over.qed", progress=progress)
    qed.rebase("over.qed", "copy.raw", backing_format="raw", progress=progress)
    with qed.open("over.qed") as disk:
        assert disk.pread(4, 5 << 20) == b"kept"


def work_beside_a_guest() -> None:
    """add_overlay, stream and compact, all of them while the disk is used; quiesce."""
    with qed.open("over.qed", "r+", copy_on_read=True) as disk:
        disk.add_overlay("snapshot.qed")
        disk.pwrite(b"after", 6 << 20)
        disk.stream(rate="1G", progress=progress)
        report = disk.compact(progress=progress)
        print(f"compacted from {report.length_before} to {report.length_after} bytes")
        with disk.quiesced():
            shutil.copyfile("snapshot.qed", "backup.qed")


def judge_and_repair() -> None:
    """probe, safety_check, lint; check, and repair with a way back."""
    assert qed.probe("backup.qed") == "qed"
    assert qed.safety_check("backup.qed").safe
    assert qed.lint("backup.qed", "qemu").clean
    assert qed.check("backup.qed").clean
    with Path("backup.qed").open("ab") as file:
        file.write(b"nobody's" * 100_000)
    report = qed.check("backup.qed", repair="all", undo="undo", progress=progress)
    print(f"{report.corruptions_fixed} mended, {report.leaks_fixed} given back")
    qed.undo_repair("backup.qed", "undo")


def measure_speed() -> None:
    """bench: requests through a queue."""
    with qed.open("base.qed", "r+") as disk:
        result = qed.bench(disk, count=1000, depth=8)
        print(f"{result.requests} requests, {result.bytes} bytes")


if __name__ == "__main__":
    os.chdir(sys.argv[1])
    for step in (make, copy, move_between_layers, work_beside_a_guest, judge_and_repair):
        step()
    measure_speed()
