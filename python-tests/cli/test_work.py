"""`qed compact` and `qed stream`, and `-o preallocation`: what they leave, as QEMU sees it."""

import json
import os
from pathlib import Path

import pytest

import qed
from support.commands import Command


@pytest.fixture
def scattered(tmp_path: Path) -> Path:
    """Give an image whose clusters lie in no order, with holes."""
    path = tmp_path / "disk.qed"
    qed.create(path, "8M", cluster_size="4K", table_size=2)
    with qed.open(path, "r+") as image:
        for number in range(200):
            image.pwrite(bytes([number % 255 + 1]) * 4096, (number * 37 % 200) * 8192)
        for number in range(0, 200, 3):
            image.discard(number * 8192, 4096)
    return path


def content(path: Path) -> bytes:
    with qed.open(path, backing_policy="follow") as image:
        return image.pread(image.size, 0)


def test_compaction_shrinks_the_file_and_keeps_the_disk(qed_cli: Command, scattered: Path) -> None:
    before, length = content(scattered), scattered.stat().st_size
    said = json.loads(qed_cli.ok("compact", "--output=json", str(scattered)))
    assert said["clusters_moved"] > 50
    assert said["length_after"] == scattered.stat().st_size < length
    report = qed.check(scattered)
    assert (report.corruptions, report.leaks, report.fragmented_clusters) == (0, 0, 0)
    assert content(scattered) == before
    again = qed_cli.ok("compact", str(scattered))
    assert again.startswith("0 clusters and 0 tables moved.\n")


def test_a_streamed_image_needs_no_other_file(qed_cli: Command, scattered: Path) -> None:
    top = scattered.parent / "top.qed"
    qed.create(top, backing=scattered.name)
    with qed.open(top, "r+") as image:
        image.pwrite(b"x" * 100, 12345)
    before = content(top)
    assert qed_cli.ok("stream", str(top)) == "Image streamed.\n"
    scattered.unlink()
    assert qed.info(top).backing is None
    assert content(top) == before


def test_a_base_stays_below(qed_cli: Command, scattered: Path) -> None:
    middle, top = scattered.parent / "middle.qed", scattered.parent / "top.qed"
    qed.create(middle, backing=scattered.name)
    qed.create(top, backing=middle.name)
    with qed.open(middle, "r+") as image:
        image.pwrite(b"m" * 9000, 1 << 20)
    before = content(top)
    qed_cli.ok("stream", "-q", "-b", str(scattered), "-r", "100M", str(top))
    middle.unlink()
    assert qed.info(top).backing == scattered.name
    assert content(top) == before


def test_discards_give_space_back_and_freed_space_is_used_again(tmp_path: Path) -> None:
    # Goal: `du` falls with a discard, and the file does not grow by what is written afterwards.
    path = tmp_path / "disk.qed"
    qed.create(path, "64M")
    with qed.open(path, "r+") as image:
        image.pwrite(os.urandom(16 << 20), 0)
    full, length = path.stat().st_blocks, path.stat().st_size
    with qed.open(path, "r+") as image:
        image.discard(4 << 20, 8 << 20)
    assert path.stat().st_blocks <= full - (8 << 20) // 512 + 64
    with qed.open(path, "r+") as image:
        image.pwrite(os.urandom(8 << 20), 40 << 20)
    assert path.stat().st_size <= length
    assert qed.check(path).leaks == 0


def test_preallocation_is_told_and_done(qed_cli: Command, tmp_path: Path) -> None:
    path = tmp_path / "disk.qed"
    said = qed_cli.ok("create", "-f", "qed", "-o", "preallocation=falloc", str(path), "4M")
    assert "preallocation=falloc" in said
    assert path.stat().st_blocks * 512 >= 4 << 20
    assert qed.check(path).allocated_clusters == 64
