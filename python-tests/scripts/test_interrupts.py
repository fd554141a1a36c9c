"""Ctrl-C in the middle: it ends with 130, at most one line is said, nothing is left behind.

Method: the signal goes to the process group, as a terminal sends it. That it comes in the middle is
not guessed: a file event, or what a pipe has taken, says where the command is; what it still has to
do would take it seconds.
"""

import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

import qed
from scripts.slow import long_to_read
from support.both import NAMES, PATIENCE_S, Side, Transcript, qed_script
from support.images import pattern
from support.watch import ACCESSED, CREATED, Watch

MIB = 1 << 20
GIB = 1 << 30


@pytest.fixture
def side(tmp_path: Path) -> Side:
    """Return our command under all its names, beside an image that takes long to read."""
    side = Side(tmp_path, dict.fromkeys(("qed", *NAMES), qed_script()))
    long_to_read(side.directory / "long.qed", 256 * GIB)
    return side


def interrupted(
    side: Side, *words: str, until: Callable[["subprocess.Popen[bytes]"], None]
) -> Transcript:
    """Start, wait, send SIGINT to the process group, and return what came of it."""
    with side.start(*words) as process:
        try:
            until(process)
        except BaseException:
            # It would go on for minutes.
            process.kill()
            raise
        os.killpg(process.pid, signal.SIGINT)
        # Standard input stays open: it is the signal that must end the command.
        status = process.wait(PATIENCE_S)
        assert process.stdout is not None
        assert process.stderr is not None
        done = side.transcript(status, process.stdout.read(), process.stderr.read())
    assert done.status == 128 + signal.SIGINT, done
    assert done.err.count("\n") <= 1, done
    assert "Traceback" not in done.err
    return done


@pytest.mark.parametrize("program", ["qed", "qemu-img"])
@pytest.mark.parametrize("target", ["raw", "qed", "qcow2"])
@pytest.mark.parametrize("verb", ["convert", "dd"])
def test_a_copy_is_given_up(side: Side, program: str, target: str, verb: str) -> None:
    names = ["long.qed", "target"] if verb == "convert" else ["if=long.qed", "of=target"]
    before = side.files()
    with Watch(side.directory, CREATED) as watch:
        words = (program, verb, "-f", "qed", "-O", target, *names)
        done = interrupted(side, *words, until=lambda _: watch.wait(".qed-create"))
    assert done.left == before


@pytest.mark.parametrize("words", [("check",), ("compare", "short.qed")], ids=" ".join)
def test_a_look_is_given_up(side: Side, words: tuple[str, ...]) -> None:
    qed.create(side.directory / "short.qed", 256 * GIB)
    before = side.files()
    with Watch(side.directory, ACCESSED) as watch:
        done = interrupted(side, "qed", *words, "long.qed", until=lambda _: watch.wait("long.qed"))
    assert (done.left, done.out) == (before, "")


def test_a_copy_from_a_pipe_is_given_up(side: Side) -> None:
    def fed(process: "subprocess.Popen[bytes]") -> None:
        # A pipe holds 64 KiB: when all this is gone, the command has read most of it.
        assert process.stdin is not None
        process.stdin.write(pattern(1, 4 * MIB))
        process.stdin.flush()

    before = side.files()
    words = ("qed", "convert", "-f", "raw", "-O", "qed", "-", "target")
    assert interrupted(side, *words, until=fed).left == before


def test_a_target_that_was_there_stays(side: Side) -> None:
    target = side.directory / "target.qed"
    qed.create(target, 256 * GIB)
    before = side.files()
    with Watch(side.directory, ACCESSED) as watch:
        words = ("qed", "convert", "-n", "-O", "qed", "long.qed", "target.qed")
        done = interrupted(side, *words, until=lambda _: watch.wait("target.qed"))
    assert done.left == before
    assert qed.check(target).clean


@pytest.mark.parametrize("words", [("qed", "io"), ("qemu-io",)], ids=" ".join)
def test_a_session_is_closed(side: Side, words: tuple[str, ...]) -> None:
    # Goal: what the session wrote is there, and the image needs no check. Method: the signal comes
    # during a pause of ten minutes.
    path = side.directory / "disk.qed"
    qed.create(path, 4 * MIB)

    def paused(process: "subprocess.Popen[bytes]") -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"write -P 7 0 64k\nlength\nsleep 600000\n")
        process.stdin.flush()
        while b"4 MiB" not in process.stdout.readline():
            pass

    interrupted(side, *words, "-f", "qed", "disk.qed", until=paused)
    assert not qed.info(path).needs_check
    with qed.open(path) as image:
        assert image.pread(65536, 0) == b"\x07" * 65536
