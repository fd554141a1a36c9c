"""Runs the command `qed` and the reference tools, with what they print at hand."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True)
class Outcome:
    status: int
    out: str
    err: str


class Command:
    """A program that runs in a directory."""

    def __init__(self, program: list[str], directory: Path) -> None:
        self.program = program
        self.directory = directory

    def run(self, *words: str | Path) -> Outcome:
        """Run to the end and return whatever came of it."""
        done = subprocess.run(
            [*self.program, *words],
            cwd=self.directory,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            env=os.environ | {"LC_ALL": "C.UTF-8", "COLUMNS": "100"},
        )
        out, err = os.fsdecode(done.stdout), os.fsdecode(done.stderr)
        return Outcome(done.returncode, out, err)

    def ok(self, *words: str | Path) -> str:
        """Run, insist on success, return standard output."""
        outcome = self.run(*words)
        assert outcome.status == 0, (words, outcome)
        return outcome.out


def qed_command(directory: Path) -> Command:
    """Return the command of the package under test."""
    return Command([sys.executable, "-m", "qed"], directory)


def tool(name: str, directory: Path) -> Command:
    """Return a reference tool; without it the test is skipped, or fails where CI promised it."""
    program = shutil.which(name)
    if program is None:
        reason = f"{name} is not installed"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return Command([program], directory)
