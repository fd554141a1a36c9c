"""How far long work is: a line, or a bar on a terminal."""

import io
import os
import pty
import subprocess
import sys
import termios
from pathlib import Path

import pytest

import qed
from qed.cli import _progress
from support.commands import Command


def lines(step: float, *done: int) -> str:
    """Return what is printed for a work of 1000 bytes."""
    stream = io.StringIO()
    with _progress.shown(True, step=step, stream=stream) as progress:
        assert progress is not None
        for bytes_done in done:
            progress(bytes_done, 1000)
    return stream.getvalue()


def test_a_line_is_written_over_where_enough_has_changed() -> None:
    said = lines(1, 0, 9, 10, 15, 19, 20, 999, 1000, 1000)
    shown = ["0.00", "1.00", "2.00", "99.90", "100.00"]
    assert said == "".join(f"    ({number}/100%)\r" for number in shown) + "\n"
    assert lines(2, 10, 19, 21) == "    (0.00/100%)\r    (2.10/100%)\r\n"


def test_work_of_no_bytes_is_done() -> None:
    stream = io.StringIO()
    with _progress.shown(True, stream=stream, ends_full=True) as progress:
        assert progress is not None
        progress(0, 0)
    assert stream.getvalue() == "    (0.00/100%)\r    (100.00/100%)\r    (100.00/100%)\r\n"


def test_what_fails_still_ends_its_line() -> None:
    stream = io.StringIO()
    with pytest.raises(OSError, match="full"), _progress.shown(True, stream=stream, ends_full=True):
        raise OSError("full")
    assert stream.getvalue() == "    (0.00/100%)\r\n"


def test_nobody_is_told_who_did_not_ask() -> None:
    with _progress.shown(False) as progress:
        assert progress is None


def test_progress_goes_to_standard_error_where_the_image_goes_to_standard_output(
    qed_cli: Command, tmp_path: Path
) -> None:
    qed.create(tmp_path / "disk.qed", "1M")
    outcome = qed_cli.run("convert", "-p", "-O", "raw", "disk.qed", "-")
    assert outcome.status == 0
    assert outcome.out == "\0" * (1 << 20)
    assert outcome.err.endswith("    (100.00/100%)\r\n")


def test_a_terminal_gets_a_bar(tmp_path: Path) -> None:
    # Method: standard error is a terminal of our own; the bar knows its end and its units.
    qed.create(tmp_path / "disk.qed", "1M")
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 80))
    done = subprocess.run(
        [sys.executable, "-m", "qed", "convert", "-p", "disk.qed", "copy.qed"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=theirs,
        check=True,
    )
    os.close(theirs)
    shown = os.read(ours, 65536).decode()
    os.close(ours)
    assert done.stdout == b""
    assert "100%" in shown
    assert "1.00M/1.00M" in shown
