"""The command `qed`: qemu-img's verbs, options, output and exit codes, for QED images.

One module for each verb, imported when it is asked for. A failure is one line on standard error
and exit status 1; `check` has statuses of its own.
"""

import importlib
import io
import os
import sys
from collections.abc import Sequence
from typing import Protocol, cast

import qed
from qed.cli._output import one_line
from qed.cli._parser import HelpWanted, Namespace, Parser, UsageError

VERBS = {
    "check": "check the structure of an image",
    "create": "create an image",
    "info": "show what an image says about itself",
    "map": "show where the guest's data lies in the file",
}


class Verb(Protocol):
    """What the module of a verb offers."""

    def add_arguments(self, parser: Parser) -> None:
        """Declare the options."""

    def run(self, arguments: Namespace) -> int:
        """Do the work; return the exit status."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    for stream in (sys.stdout, sys.stderr):
        # File names are bytes: what cannot be decoded goes out as it came in.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="surrogateescape")
    try:
        status = _run(sys.argv[1:] if arguments is None else list(arguments))
        print(end="", flush=True)
    except BrokenPipeError:
        # Whoever read the output has seen enough.
        status = 1
    except (UsageError, OSError, ValueError) as error:
        print(f"qed: {one_line(str(error))}", file=sys.stderr)
        status = 1
    except KeyboardInterrupt:
        status = 130
    _settle_output()
    return status


def _settle_output() -> None:
    """Flush what is left; where that fails, the interpreter must not try again at exit."""
    try:
        print(end="", flush=True)
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _run(words: list[str]) -> int:
    if not words:
        raise UsageError("no verb given (try 'qed --help')")
    verb, *rest = words
    if verb in ("-h", "--help", "help"):
        print(_help())
        return 0
    if verb in ("-V", "--version"):
        print(f"qed version {qed.__version__}")
        return 0
    if verb not in VERBS:
        raise UsageError(f"unknown verb '{verb}'; known are {', '.join(VERBS)}")
    module = cast("Verb", importlib.import_module(f"qed.cli.{verb}"))
    parser = Parser(verb, VERBS[verb])
    module.add_arguments(parser)
    try:
        return module.run(parser.parse(rest))
    except HelpWanted:
        print(parser.format_help(), end="")
        return 0


def _help() -> str:
    lines = [
        "usage: qed VERB [OPTION...] FILE [...]",
        "",
        "QED disk images that are never dirty after a crash.",
        "",
        "verbs:",
        *(f"  {verb:<8} {text}" for verb, text in VERBS.items()),
        "",
        "'qed VERB --help' shows the options of a verb, 'qed --version' the version. Options,",
        "output and exit statuses are those of qemu-img. Sizes take the suffixes k M G T P E.",
    ]
    return "\n".join(lines)
