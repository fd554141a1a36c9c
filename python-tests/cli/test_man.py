"""`docs/qed.1`: the man page is sound, and says what the command says of itself."""

import re
import subprocess
from pathlib import Path

import pytest

from qed.cli import GROUPS, VERBS
from support.commands import Command, tool

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "qed.1"

# What follows the names of an option in a line of macros.
_MACRO = re.compile(r"^[A-Z][a-z]$")
# Explained once, for all verbs.
_GENERAL = {"-h", "--help", "--backing-policy"}


def sections() -> dict[str, str]:
    """Return the text of each verb's section."""
    verbs = PAGE.read_text().split("\n.Sh VERBS\n")[1].split("\n.Sh ")[0]
    parts = re.split(r"^\.Ss (\w+).*\n", verbs, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def options_of(section: str) -> set[str]:
    """Return the options that a section names."""
    found = set()
    for line in section.splitlines():
        words = line.split() if line.startswith(".") else []
        for at, word in enumerate(words):
            if word.lstrip(".") == "Fl" and not _MACRO.match(words[at + 1]):
                found.add(f"-{words[at + 1]}")
    return found


def options_in(help_text: str) -> set[str]:
    """Return the options that a help text lists."""
    found = set()
    for line in help_text.splitlines():
        listed = re.match(r" {2,6}(-.*)", line)
        if listed:
            names = re.match(r"(?:(?:-\w|--[\w-]+)(?:, )?)+", listed[1])
            assert names, line
            found |= set(names[0].rstrip(", ").split(", "))
    return found


def test_each_verb_has_its_section_in_their_order() -> None:
    assert list(sections()) == sorted(VERBS)


@pytest.mark.parametrize("verb", VERBS)
def test_a_section_names_the_options_that_the_help_lists(qed_cli: Command, verb: str) -> None:
    listed = options_in(qed_cli.ok(verb, "--help"))
    for part in GROUPS.get(verb, ()):
        listed |= options_in(qed_cli.ok(verb, part, "--help"))
    assert listed >= {"-h", "--help"}
    assert options_of(sections()[verb]) - _GENERAL == listed - _GENERAL


def test_options_of_several_verbs_are_explained_once() -> None:
    text = PAGE.read_text().split(".Ss Options of several verbs")[1].split("\n.Sh ")[0]
    assert options_of(text) >= {"-f", "--format", "--backing", "--backing-policy", "--output"}


def test_exit_statuses_and_environment_are_told(qed_cli: Command) -> None:
    text = PAGE.read_text()
    assert ".It Ev QED_BACKING" in text
    assert "QED_BACKING" in qed_cli.ok("--help")
    for status in ("1 the check failed", "2 corruption", "3 leaked clusters", "63 the format"):
        assert status in text
        assert status in " ".join(qed_cli.ok("check", "--help").split())


@pytest.mark.parametrize("page", ["qed.1", "libqed.3"])
def test_troff_has_nothing_to_warn_of(tmp_path: Path, page: str) -> None:
    # As Debian checks pages: man sends troff's warnings to standard error.
    program = tool("man", tmp_path).program
    done = subprocess.run(
        [*program, "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", PAGE.with_name(page)],
        env={"LC_ALL": "C.UTF-8", "MANROFFSEQ": "", "MANWIDTH": "80", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout
