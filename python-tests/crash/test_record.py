"""Recording: an image as any other, and a log of what reached its file."""

import subprocess
import sys
import warnings
from pathlib import Path

import pytest

import qed
import qed.crash as qc


def test_import_qed_alone_does_not_import_the_explorer() -> None:
    script = "import sys, qed; print([name for name in sys.modules if 'crash' in name])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_a_recorded_image_is_an_ordinary_image(path: Path) -> None:
    # Goal: nothing is different for the user. Method: every kind of call, and the file afterwards.
    with qc.record(path, size="1M", cluster_size="4K", table_size=1) as rec:
        assert isinstance(rec.image, qed.Image)
        assert (rec.image.size, rec.image.format, rec.image.path) == (1 << 20, "qed", str(path))
        rec.image.pwrite(b"a" * 512, 0)
        rec.image.pwritev([b"b" * 512, b"c" * 512], 4096, fua=True)
        rec.image.write_zeroes(512, 512, may_unmap=True)
        rec.image.discard(8192, 4096)
        rec.image.flush()
        assert rec.image.raw().read(512) == b"a" * 512
        assert [extent.kind for extent in rec.image.map(0, 4096)] == ["data"]
    assert rec.image.closed
    assert rec.log.calls == [
        "write 0+512 fill=61",
        f"write 4096+1024 fua data={(b'b' * 512 + b'c' * 512).hex()}",
        "zero 512+512 unmap",
        "discard 8192+4096",
        "flush",
        "flush",
    ]
    assert qed.check(path).clean
    with qed.open(path) as image:
        assert image.pread(512, 4096) == b"b" * 512


def test_what_a_call_may_not_do_promises_nothing(path: Path) -> None:
    with qc.record(path, size="1M", discard="ignore") as rec:
        rec.image.pwrite(b"a" * 65536, 0)
        rec.image.discard(0, 65536)
        with pytest.raises(qed.InvalidArgumentError):
            rec.image.pwrite(b"a", 1 << 62)
    # Neither the ignored discard nor the refused write is held against the states.
    assert rec.log.calls == ["write 0+65536 fill=61", "discard 0+0", "discard 0+0", "flush"]
    rec.log.explore(budget=qc.Budget(states=500)).assert_ok()


def test_writethrough_promises_each_write(path: Path) -> None:
    with qc.record(path, size="1M", cache="writethrough") as rec:
        rec.image.pwrite(b"a" * 512, 0)
    assert rec.log.calls == ["write 0+512 fua fill=61", "flush"]


def test_the_log_is_the_same_for_the_same_calls(tmp_path: Path) -> None:
    def log(name: str) -> qc.Log:
        with qc.record(tmp_path / name, size="1M") as rec:
            rec.image.pwrite(b"a" * 70000, 100)
            rec.mark("half way")
            rec.image.discard(0, 65536)
        return rec.log

    one, other = log("one.qed"), log("other.qed")
    assert (one.digest, one.marks) == (other.digest, ["half way"])


def test_a_log_may_be_had_at_any_time(path: Path) -> None:
    with qc.record(path, size="1M") as rec:
        rec.image.pwrite(b"a" * 512, 0)
        early = rec.log
        rec.image.flush()
    assert (len(early.calls), len(rec.log.calls)) == (1, 3)
    assert early.digest != rec.log.digest


def test_an_image_that_is_there_is_recorded_from_where_it_stands(path: Path) -> None:
    with qc.record(path, size="1M") as rec:
        rec.image.pwrite(b"a" * 512, 0)
    with qc.record(path) as rec:
        rec.image.pwrite(b"b" * 512, 0)

    def old_or_new(image: qed.Image, view: qc.View) -> bool:
        return image.pread(512, 0) in (b"a" * 512, b"b" * 512)

    assert rec.log.explore(oracles=[old_or_new, *qc.DEFAULT]).ok


def test_what_cannot_be_recorded_is_told(path: Path) -> None:
    with pytest.raises(qed.NotFoundError):
        qc.record(path)
    with pytest.raises(ValueError, match="cluster_size"):
        qc.record(path, cluster_size=4096)
    qed.create(path, "8T")
    with pytest.raises(qed.UnsupportedError, match="larger than what is explored"):
        qc.record(path)
    qed.create(path, "1M", overwrite=True)
    with qed.open(path, "r+"), pytest.raises(qed.LockedError):
        qc.record(path)


def test_a_recording_that_is_forgotten_warns(path: Path) -> None:
    recording = qc.record(path, size="1M")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        del recording
    assert [str(one.message) for one in caught] == [f"unclosed <qed.Image {str(path)!r} mode='r+'>"]
