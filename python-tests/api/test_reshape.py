"""Resizing, committing and rebasing by the Python face."""

from pathlib import Path

import pytest

import qed


def test_a_disk_grows_and_shrinks_where_that_is_allowed(tmp_path: Path) -> None:
    path = tmp_path / "disk.qed"
    qed.create(path, "1M")
    with qed.open(path, "r+") as disk:
        disk.pwrite(b"end", (1 << 20) - 3)
        disk.resize("2M")
        assert disk.size == 2 << 20
        assert disk.pread(5, (1 << 20) - 3) == b"end\0\0"
        with pytest.raises(qed.InvalidArgumentError, match="shrink"):
            disk.resize("1M")
        with pytest.raises(qed.InvalidArgumentError, match="size"):
            disk.resize((2 << 20) + 1)
        disk.resize(512, shrink=True)
        assert disk.size == 512
    with qed.open(path) as disk, pytest.raises(qed.ReadOnlyError):
        disk.resize("2M")


def test_what_a_disk_grows_by_has_its_space(tmp_path: Path) -> None:
    path, raw = tmp_path / "disk.qed", tmp_path / "disk.raw"
    qed.create(path, "1M")
    with qed.open(path, "r+") as disk:
        disk.resize("2M", preallocation="metadata")
        disk.resize("3M", preallocation="falloc")
        disk.resize("4M", preallocation="full")
        with pytest.raises(qed.InvalidArgumentError, match="grow"):
            disk.resize("1M", shrink=True, preallocation="full")
        with pytest.raises(qed.InvalidArgumentError, match="off, metadata, falloc, full"):
            disk.resize("5M", preallocation="some")  # type: ignore[arg-type]
        assert disk.size == 4 << 20
    assert qed.check(path).allocated_clusters == 32
    assert path.stat().st_blocks * 512 >= 2 << 20
    qed.create(raw, "1M", format="raw")
    with qed.open(raw, "r+", format="raw") as disk:
        disk.resize("2M", preallocation="falloc")
        with pytest.raises(qed.InvalidArgumentError, match="raw"):
            disk.resize("3M", preallocation="metadata")
    assert raw.stat().st_blocks * 512 >= 1 << 20


def chain(tmp_path: Path) -> Path:
    """Return an overlay of two megabytes over a raw file of one."""
    (tmp_path / "base.raw").write_bytes(b"b" * (1 << 20))
    over = tmp_path / "over.qed"
    qed.create(over, "2M", backing="base.raw", backing_format="raw")
    with qed.open(over, "r+") as disk:
        disk.pwrite(b"over", 4096)
        disk.pwrite(b"far", (2 << 20) - 3)
    return over


def content(path: Path) -> bytes:
    """Return all of a disk."""
    with qed.open(path) as disk:
        return disk.pread(disk.size, 0)


def test_a_commit_fills_the_base_and_empties_the_overlay(tmp_path: Path) -> None:
    over = chain(tmp_path)
    before = content(over)
    calls: list[tuple[int, int]] = []
    qed.commit(over, keep=True, rate="1G", progress=lambda done, total: calls.append((done, total)))
    assert calls[-1] == (2 << 20, 2 << 20)
    assert qed.check(over).allocated_clusters == 2
    qed.commit(over)
    assert qed.check(over).allocated_clusters == 0
    assert (tmp_path / "base.raw").read_bytes() == before == content(over)
    with pytest.raises(qed.InvalidArgumentError, match="not in the backing chain"):
        qed.commit(over, base=tmp_path / "nowhere")


def test_a_stopped_commit_and_rebase_leave_the_disk_as_it_was(tmp_path: Path) -> None:
    over = chain(tmp_path)
    before = content(over)

    def stop(done: int, total: int) -> None:
        raise KeyError("enough")

    with pytest.raises(KeyError):
        qed.commit(over, progress=stop)
    with pytest.raises(KeyError):
        qed.rebase(over, None, progress=stop)
    assert content(over) == before
    assert qed.info(over).backing == "base.raw"


def test_a_rebased_image_reads_the_same(tmp_path: Path) -> None:
    over = chain(tmp_path)
    before = content(over)
    (tmp_path / "other.raw").write_bytes(b"x" * (3 << 20))
    qed.rebase(over, "other.raw", backing_format="raw")
    assert (qed.info(over).backing, content(over)) == ("other.raw", before)
    with pytest.raises(qed.InvalidArgumentError, match="its own backing file"):
        qed.rebase(over, "over.qed", backing_format="qed")
    (tmp_path / "other.raw").rename(tmp_path / "moved.raw")
    qed.rebase(over, "moved.raw", backing_format="raw", name_only=True)
    assert content(over) == before
    qed.rebase(over, None)
    (tmp_path / "moved.raw").unlink()
    assert content(over) == before
    with pytest.raises(ValueError, match="format"):
        qed.rebase(over, "x", backing_format="vmdk")  # type: ignore[arg-type]
