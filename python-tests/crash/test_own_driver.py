"""Somebody's own format: a bug that only a lucky power cut would show, and its fix."""

import subprocess
import sys
from pathlib import Path

import pytest

import qed
import qed.crash as qc

EXAMPLE = Path(__file__).parents[2] / "examples" / "python" / "keyvalue.py"


def _run(*words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-W", "error", EXAMPLE, *words], capture_output=True, text=True
    )


def test_the_example_finds_the_missing_barrier() -> None:
    done = _run()
    assert (done.returncode, done.stderr) == (1, "")
    assert "holds: ValueError: record 1 of 1 is empty" in done.stdout
    # One write came early, and the report says what it should have waited for.
    assert "missing: a sync after #0 and before #1" in done.stdout


def test_the_fix_passes_in_every_state() -> None:
    done = _run("--careful")
    assert (done.returncode, done.stderr) == (0, "")
    assert "0 failures" in done.stdout


@pytest.mark.parametrize("mark_first", [True, False])
def test_marks_are_promises(tmp_path: Path, mark_first: bool) -> None:
    # Goal: a driver that says so before it is stable is caught. Method: the mark before the flush,
    # and behind it.
    with qc.record(tmp_path / "disk.raw", size="64K", format="raw") as rec:
        rec.image.pwrite(b"x" * 512, 0)
        if mark_first:
            rec.mark("stored")
        rec.image.flush()
        if not mark_first:
            rec.mark("stored")

    def holds(image: qed.Image, view: qc.View) -> None:
        assert "stored" not in view.marks or image.pread(1, 0) == b"x"

    assert rec.log.explore(oracles=[holds]).ok is not mark_first
