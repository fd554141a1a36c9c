"""The command itself: help, errors of usage, and what becomes of its output."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import qed
from qed.cli import GROUPS, VERBS, command
from qed.cli._program import QED
from support.commands import Command

# The io language has a parser and tests of its own.
ONE_WORD = [verb for verb in VERBS if verb != "io"]
TWO_WORDS = [f"{verb} {part}" for verb, parts in GROUPS.items() for part in parts]
EVERY_VERB = pytest.mark.parametrize("verb", ONE_WORD + TWO_WORDS)


def test_help_names_every_verb_and_version_the_version(qed_cli: Command) -> None:
    for word in ("--help", "-h", "help"):
        text = qed_cli.ok(word)
        assert all(f"\n  {verb} " in text for verb in VERBS)
        assert "\nExamples:\n  qed " in text
    for word in ("--version", "-V"):
        assert qed_cli.ok(word) == f"qed version {qed.__version__}\n"


@EVERY_VERB
def test_every_verb_explains_every_option(qed_cli: Command, verb: str) -> None:
    words = verb.split()
    text = qed_cli.ok(*words, "--help")
    assert text == qed_cli.ok(*words, "-h") == qed_cli.ok(*words, "nothing.qed", "--help")
    assert text.startswith(f"Usage: qed {verb} ")
    assert f"\n  Examples:\n    qed {verb} " in text
    options = declared(verb)
    assert "--help" in options
    assert [option for option in options if option not in text] == []


def declared(verb: str) -> list[str]:
    """Return the options of a verb that its help is to name."""
    shown = [param for param in command(QED, verb).params if not getattr(param, "hidden", False)]
    return [name for param in shown for name in param.opts if name.startswith("-")]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], "no verb"),
        (["frobnicate"], "unknown verb 'frobnicate'"),
        (["amend", "a"], "amend is not supported"),
        (["info"], "one image file name"),
        (["create"], "file name"),
        (["info", "a", "b"], "one image file name"),
        (["create", "a", "1M", "c"], "c"),
        (["info", "--frob", "a"], "unrecognized option '--frob'"),
        (["check", "-Z", "a"], "invalid option -- 'Z'"),
        (["check", "--repair=some", "a"], "'leaks' or 'all' not 'some'"),
        (["repair"], "one image file name"),
        (["lint", "a"], "--for is missing"),
        (["info", "--object=x", "a"], "--object is not supported"),
        (["convert", "-c", "a", "b"], "--compress is not supported"),
        (["map", "--output"], "--output"),
        (["map", "--output=xml", "a"], "xml"),
        (["info", "-f", "vmdk", "a"], "'vmdk'"),
        (["create", "-f", "vmdk", "a", "1M"], "'vmdk'"),
        (["info", "--backing", "all", "a"], "'deny', 'beneath' or 'follow' not 'all'"),
        (["compare", "a"], "two image file names"),
        (["convert", "a"], "image file name"),
        (["dd", "if=a"], "both input and output"),
        (["dd", "if=a", "of=b", "seek=1"], "seek"),
        (["crash"], "one of explore, record, replay, show (try 'qed crash --help')"),
        (["crash", "frob"], "unknown verb 'frob'"),
        (["crash", "explore"], "a log (try 'qed crash explore --help')"),
        (["crash", "replay", "a"], "a log and a state"),
        (["crash", "record"], "a log's name"),
        (["probe"], "one image file name"),
        (["completions", "csh"], "bash, fish, zsh"),
        (["info", "nope.qed"], "nope.qed"),
        (["check", "nope.qed"], "nope.qed"),
        (["map", "nope.qed"], "nope.qed"),
        (["probe", "nope.qed"], "nope.qed"),
        (["convert", "nope.qed", "b"], "nope.qed"),
        (["dd", "if=nope.qed", "of=b"], "nope.qed"),
        (["info", "a\nb"], "a\\nb"),
        (["info", "a\x1b[31mb"], "a\\x1b[31mb"),
    ],
)
def test_an_error_is_one_line_and_status_1(
    qed_cli: Command, words: list[str], expected: str
) -> None:
    outcome = qed_cli.run(*words)
    assert (outcome.status, outcome.out) == (1, "")
    assert outcome.err.startswith("qed: ")
    assert outcome.err.endswith("\n")
    assert outcome.err.count("\n") == 1
    assert expected in outcome.err
    assert "Traceback" not in outcome.err


def test_options_stand_anywhere_and_abbreviate(qed_cli: Command, tmp_path: Path) -> None:
    qed_cli.ok("create", "a.qed", "-o", "cluster_size=4k", "1M", "-q", "-otable_size=2")
    info = qed.info(tmp_path / "a.qed")
    assert (info.cluster_size, info.table_size, info.virtual_size) == (4096, 2, 1 << 20)
    expected = qed_cli.ok("info", "--output", "json", "a.qed")
    assert qed_cli.ok("info", "a.qed", "--out=json") == expected


def test_a_file_name_may_begin_with_a_dash(qed_cli: Command, tmp_path: Path) -> None:
    qed_cli.ok("create", "-q", "--", "-f", "1M")
    assert (tmp_path / "-f").exists()
    assert qed_cli.ok("info", "--", "-f").startswith("image: -f\n")


def test_a_file_name_need_not_be_text(qed_cli: Command, tmp_path: Path) -> None:
    name = os.fsdecode(b"\xff\xfe.qed")
    assert name in qed_cli.ok("create", name, "1M")
    assert (tmp_path / name).exists()
    assert qed_cli.ok("info", name).startswith(f"image: {name}\n")


def test_a_reader_that_leaves_early_is_no_failure_to_report(
    qed_cli: Command, tmp_path: Path
) -> None:
    # Goal: `qed map | head -1` prints nothing but its line. Method: a pipe nobody reads any more.
    qed.create(tmp_path / "a.qed", "1M")
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as out:
        done = subprocess.run(
            [*qed_cli.program, "map", "a.qed"],
            cwd=tmp_path,
            stdout=out,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert (done.returncode, done.stderr) == (1, b"")


def test_output_that_cannot_be_written_is_an_error(qed_cli: Command, tmp_path: Path) -> None:
    qed.create(tmp_path / "a.qed", "1M")
    with Path("/dev/full").open("wb") as out:
        done = subprocess.run(
            [*qed_cli.program, "info", "a.qed"],
            cwd=tmp_path,
            stdout=out,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr.startswith(b"qed: ")
    assert done.stderr.count(b"\n") == 1


def test_an_interrupt_ends_quietly(tmp_path: Path) -> None:
    script = """
import os, signal
import qed, qed.cli
def interrupt(*arguments, **options):
    os.kill(os.getpid(), signal.SIGINT)
    while True:
        signal.pause()
qed.probe = interrupt
raise SystemExit(qed.cli.main(["info", "a.qed"]))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (
        128 + signal.SIGINT,
        b"",
        b"",
    )
