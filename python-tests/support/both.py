"""Runs the same words with QEMU's tools and with libqed's under QEMU's names, side by side.

Each side is a directory of links called `qemu-img` and `qemu-io`, first in PATH, and a directory of
its own to work in. What may differ between two runs of one program is filtered out: where the run
stood, how long a request took, how fast that is. Everything else has to be the same.
"""

import difflib
import os
import re
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.commands import tool

NAMES = ("qemu-img", "qemu-io")
# A guard against tools that wait for input or for each other, not a claim about speed.
PATIENCE_S = 120

_NUMBER = r"(?:[\d.]+|inf|nan)"
# What a request prints: requests, time, rates. The time of an hour and more has another form.
_WORDS = re.compile(
    r"; (?:\d+\.\d+ sec|\d+:\d\d:\d\d\.\d\d) "
    rf"\({_NUMBER} (?:[KMGTPE]iB|bytes)/sec and {_NUMBER} ops/sec\)$",
    re.M,
)
# What it prints with `-C`: bytes, requests, time, bytes and requests a second.
_COMMAS = re.compile(rf"(\b\d+,\d+),\d+:\d\d:\d\d\.\d\d,{_NUMBER},{_NUMBER}$", re.M)


@dataclass(frozen=True)
class Transcript:
    """What one run printed, after filtering, how it ended, and which files it left."""

    status: int
    out: str
    err: str
    left: tuple[str, ...]

    def __str__(self) -> str:
        parts = [f"status {self.status}", "-- stdout", self.out, "-- stderr", self.err, "-- files"]
        return "\n".join([*parts, *self.left])


def filtered(text: str, directory: Path) -> str:
    """Leave out where the run stood, its times and its rates, and nothing else."""
    text = text.replace(str(directory), "DIRECTORY")
    text = _WORDS.sub("; TIME (RATES)", text)
    return _COMMAS.sub(r"\1,TIME,RATES", text)


class Side:
    """A set of tools, under whatever names, and the directory in which they work."""

    def __init__(self, root: Path, programs: dict[str, str], directory: Path | None = None) -> None:
        self.tools = root / "bin"
        self.tools.mkdir(parents=True)
        self.directory = root / "work" if directory is None else directory
        self.directory.mkdir(exist_ok=directory is not None)
        for name, program in programs.items():
            (self.tools / name).symlink_to(program)

    @property
    def environment(self) -> dict[str, str]:
        """Return the environment: these tools come first, and no setting of ours leaks in."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("QED_")}
        path = f"{self.tools}{os.pathsep}{os.environ['PATH']}"
        return kept | {"PATH": path, "LC_ALL": "C.UTF-8", "COLUMNS": "100"}

    def start(self, *words: str | Path) -> "subprocess.Popen[bytes]":
        """Start a program in a process group of its own, its three streams being pipes."""
        return subprocess.Popen(
            [self._program(str(words[0])), *words[1:]],
            cwd=self.directory,
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )

    def run(self, *words: str | Path, stdin: bytes = b"") -> Transcript:
        """Run to the end; kill the whole group where it has none."""
        with self.start(*words) as process:
            try:
                out, err = process.communicate(stdin, timeout=PATIENCE_S)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                raise
        return self.transcript(process.returncode, out, err)

    def transcript(self, status: int, out: bytes, err: bytes) -> Transcript:
        """Return what a finished run amounts to, filtered."""
        out_text, err_text = (filtered(os.fsdecode(text), self.directory) for text in (out, err))
        return Transcript(status, out_text, err_text, self.files())

    def files(self) -> tuple[str, ...]:
        """Return the names of the files in the directory, wherever below it."""
        files = [path for path in self.directory.rglob("*") if not path.is_dir()]
        return tuple(sorted(str(path.relative_to(self.directory)) for path in files))

    def _program(self, name: str) -> str:
        tool = self.tools / name
        return str(tool) if tool.exists() else name


class Both:
    """QEMU's tools and libqed's, each in an empty directory below `root`, or both in one."""

    def __init__(self, root: Path, *, shared: bool = False) -> None:
        reference = {name: tool(name, root).program[0] for name in NAMES}
        self.qemu = Side(root / "qemu", reference)
        directory = self.qemu.directory if shared else None
        self.qed = Side(root / "qed", dict.fromkeys(NAMES, qed_script()), directory)

    def run(self, *words: str | Path, stdin: bytes = b"") -> tuple[Transcript, Transcript]:
        """Run the same words on both sides, QEMU's first."""
        return self.qemu.run(*words, stdin=stdin), self.qed.run(*words, stdin=stdin)

    def agree(self, *words: str | Path, stdin: bytes = b"") -> Transcript:
        """Insist that both sides say, answer and leave the same; return what that is."""
        theirs, ours = self.run(*words, stdin=stdin)
        insist_same(theirs, ours)
        return theirs


def insist_same(theirs: Transcript, ours: Transcript) -> None:
    """Fail where libqed's run is not QEMU's, and show in which lines."""
    if ours != theirs:
        texts = (str(theirs).splitlines(), str(ours).splitlines())
        diff = difflib.unified_diff(*texts, "QEMU", "libqed", n=1, lineterm="")
        pytest.fail("\n".join(diff), pytrace=False)


def qed_script() -> str:
    """Return the installed console script `qed` of the package under test."""
    script = shutil.which("qed", path=str(Path(sys.executable).parent))
    assert script is not None, "the package is not installed beside this Python"
    return script
