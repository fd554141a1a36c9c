"""The command `qed`: qemu-img's verbs, options, output and exit codes, for QED images.

One module for each verb, imported when it is asked for; so is click, which `qed io` does without.
A failure is one line on standard error and exit status 1; `check` and `compare` have statuses of
their own. Called by the name `qemu-img` or `qemu-io` the command is that tool (`_program.py`).
"""

import importlib
import io
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import qed
from qed.cli import _getopt
from qed.cli._program import QEMU_IO, Failure, Program, UsageError, called

if TYPE_CHECKING:
    from qed.cli._command import Command

VERBS = {
    "bench": "Measure how fast a disk answers requests",
    "check": "Check the structure of an image, and repair it",
    "commit": "Give what an image holds to its backing file",
    "compact": "Bring an image's file into order and cut it",
    "compare": "Compare the contents of two disks",
    "completions": "Print what makes a shell complete the command",
    "convert": "Copy a disk into an image of any format",
    "crash": "Judge what a power failure may leave of a disk",
    "create": "Create an image",
    "dd": "Copy a part of a disk",
    "info": "Show what an image says about itself",
    "io": "Read and write a disk by commands",
    "lint": "Find what another program would choke on, or harm, in an image",
    "map": "Show where a disk's data lies",
    "measure": "Tell how long the file of a converted disk will be",
    "probe": "Tell an image's format by its first bytes",
    "rebase": "Put an image over another backing file",
    "repair": "Repair an image, or take a repair back",
    "resize": "Change the size of a disk",
    "stream": "Bring what lies below an image into its own file",
}
GROUPS = {
    "crash": {
        "explore": "Judge the states that a power failure may leave of a run",
        "record": "Record what reaches the file of a disk",
        "replay": "Judge one state alone",
        "show": "Show what a log holds",
    }
}
"""Verbs that have verbs of their own, and what each of these does."""
_OURS = {"compact", "completions", "crash", "io", "lint", "probe", "repair", "stream"}
"""Verbs that qemu-img does not have."""
_ABSENT = ("amend", "bitmap", "snapshot")
"""Verbs of qemu-img's that libqed does not have."""

COMPLETE_VARIABLE = "_QED_COMPLETE"
"""Where a shell says that it asks for completions."""


def main(arguments: Sequence[str] | None = None, program: Program | None = None) -> int:
    """Run the command line; return the exit status."""
    for stream in (sys.stdout, sys.stderr):
        # File names are bytes: what cannot be decoded goes out as it came in.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="surrogateescape")
    words = sys.argv[1:] if arguments is None else list(arguments)
    tool = program or called(sys.argv[0])
    try:
        status = _run(tool, words)
    except KeyboardInterrupt:
        status = 130
    return _settle_output(tool, status)


def verbs(program: Program) -> dict[str, str]:
    """Return the tool's verbs, and what each does."""
    return {verb: VERBS[verb] for verb in VERBS if not (program.is_qemu and verb in _OURS)}


def command(program: Program, verb: str) -> "Command":
    """Return the command behind a verb other than `io`; a verb of a group's has two words."""
    module = importlib.import_module(f"qed.cli.{verb.replace(' ', '.')}")
    made: Command = module.command(program)
    return made


def _settle_output(program: Program, status: int) -> int:
    """Flush what is left; where that fails, the interpreter must not try again at exit."""
    try:
        print(end="", flush=True)
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        # Whoever read the output may have seen enough; what could not be stored is a failure.
        if not isinstance(error, BrokenPipeError) and status == 0:
            program.complain(str(error))
        return status or 1
    return status


def _run(program: Program, words: list[str]) -> int:
    """Do what the words say; report what goes wrong, with the verb in which it does."""
    verb: str | None = None
    try:
        if COMPLETE_VARIABLE in os.environ:
            from qed.cli.completions import answer

            return answer(program, os.environ[COMPLETE_VARIABLE])
        if program == QEMU_IO:
            return _io(program, words)
        verb, rest = _verb(program, words)
        if verb is None:
            return 0
        if verb == "io":
            return _io(program.named("qed io"), rest)
        if rest and rest[0] in GROUPS.get(verb, ()):
            verb, rest = f"{verb} {rest[0]}", rest[1:]
        return command(program, verb).run(rest)
    except BrokenPipeError:
        return 1
    except Failure as failure:
        program.report(failure, verb)
        return failure.status or 1
    except (OSError, ValueError) as error:
        program.complain(str(error))
        return 1


def _io(program: Program, words: list[str]) -> int:
    from qed.cli.io import main as run

    return int(run(words, program))


def _verb(program: Program, words: list[str]) -> tuple[str | None, list[str]]:
    """Return the verb and the words behind it; None where the tool's own options were all."""
    known = {"-h": False, "--help": False, "-V": False, "--version": False}
    traced = {"-T": True, "--trace": True} if program.is_qemu else {}
    options, rest = _getopt.split(words, known | traced, anywhere=False)
    for name, _ in options:
        if name in traced:
            raise Failure("--trace is not supported")
        print(_help(program) if name in ("-h", "--help") else _version(program))
        return None, []
    if not rest:
        raise UsageError("Not enough arguments" if program.is_qemu else "no verb given")
    verb, *others = rest
    if verb == "help" and not program.is_qemu:
        print(_help(program))
        return None, []
    if verb in _ABSENT:
        raise Failure(f"{verb} is not supported by libqed")
    if verb not in verbs(program):
        if program.is_qemu:
            raise UsageError(f"Command not found: {verb}")
        raise UsageError(f"unknown verb '{verb}'; known are {', '.join(verbs(program))}")
    return verb, others


def _version(program: Program) -> str:
    return f"{program.name} version {qed.__version__}{' (libqed)' if program.is_qemu else ''}"


def _help(program: Program) -> str:
    name = program.name
    width = max(map(len, VERBS))
    lines = [
        f"Usage: {name} VERB [OPTIONS] FILE...",
        "",
        "  QED disk images that are never dirty after a crash; qcow2 and raw beside them.",
        "",
        "Options:",
        "  -h, --help     Show this text.",
        "  -V, --version  Show the version.",
        "",
        "Verbs:",
        *(f"  {verb:<{width}}  {text}." for verb, text in verbs(program).items()),
        "",
        "Examples:",
        *(f"  {name} {line}" for line in _EXAMPLES),
        "",
        f"'{name} VERB --help' shows the options of a verb. Options, output and exit statuses are",
        "those of qemu-img. Sizes take the suffixes k M G T P E. Backing files are opened by a",
        "policy: --backing deny, beneath (those in the image's own directory) or follow (all);",
        f"QED_BACKING sets the default, which is {program.policy} otherwise.",
    ]
    if not program.is_qemu:
        lines.append("A link qemu-img or qemu-io to the command is that tool.")
    return "\n".join(lines)


_EXAMPLES = (
    "create -f qed disk.qed 10G",
    "create -f qed -b base.qcow2 -F qcow2 overlay.qed",
    "convert -p -f raw -O qed disk.raw disk.qed",
    "info --output=json disk.qed",
)
