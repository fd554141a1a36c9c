"""Completion, asked for by a real shell."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from qed.cli import VERBS
from support.commands import Command, tool

# Puts the words of a line where bash puts them, and calls what bash would call.
ASK = """
eval "$(qed completions bash)"
complete -p qed
COMP_WORDS=(%s)
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
compopt() { COMPREPLY=("file names"); }
_qed_completion qed
printf '%%s\\n' "${COMPREPLY[@]}"
"""


def completed(directory: Path, line: str) -> list[str]:
    """Return what bash offers for the last word of a line."""
    bash = tool("bash", directory).program
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [*bash, "--norc", "-c", ASK % line],
        cwd=directory,
        env=os.environ | {"PATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    registered, *words = done.stdout.split("\n")
    assert registered.endswith("-F _qed_completion qed")
    return [word for word in words if word]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("qed co", ["commit", "compact", "compare", "completions", "convert"]),
        ("qed ''", sorted(VERBS)),
        ("qed info --o", ["--output"]),
        ("qed info --output j", ["json"]),
        ("qed map --backing ''", ["deny", "beneath", "follow"]),
        ("qed create -f q", ["qed", "qcow2"]),
        ("qed convert -t un", ["unsafe"]),
        ("qed completions z", ["zsh"]),
        ("qed info ''", ["file names"]),
        ("qed crash ''", ["explore", "record", "replay", "show"]),
        ("qed crash explore --mo", ["--modes"]),
        ("qed crash explore --profile n", ["nightly"]),
        ("qed crash replay ''", ["file names"]),
        ("qed nosuch x", []),
    ],
)
def test_bash_completes_verbs_options_values_and_files(
    tmp_path: Path, line: str, expected: list[str]
) -> None:
    assert completed(tmp_path, line) == expected


def test_a_completion_script_is_a_script_of_its_shell(qed_cli: Command, tmp_path: Path) -> None:
    for shell, sign in (("bash", "complete "), ("zsh", "compdef "), ("fish", "complete ")):
        text = qed_cli.ok("completions", shell)
        assert sign in text
        assert "_QED_COMPLETE" in text
        if shutil.which(shell):
            (tmp_path / "script").write_text(text)
            subprocess.run([shell, "-n", tmp_path / "script"], check=True)
