"""The run that a sub-verb works on: a write log, or a workload that is run in memory."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

import qed
import qed.crash as qc
from qed.cli import _command as command_line
from qed.cli._command import FORMATS, Arguments
from qed.cli._program import Failure, Program, UsageError
from qed.cli._sizes import integer


def options() -> list[click.Parameter]:
    """Declare what says how a log is read, and what it is a log of."""
    option, flag = command_line.option, command_line.flag
    return [
        command_line.chosen(
            "-f", "--format", words=FORMATS, help="Format of the recorded image (qed)."
        ),
        option(
            "--base",
            metavar="FILE",
            help="The image as it was at first, for a log that another program recorded; libqed's "
            "own logs hold it.",
        ),
        option("-b", "--backing", metavar="BASE", help="The image's backing file."),
        command_line.chosen("-F", "--backing-format", words=FORMATS, help="Format of BASE (raw)."),
        command_line.policy(only_long=True),
        option(
            "--workload",
            metavar="FILE",
            help="The guest's calls for a log that another program recorded: lines of the entries "
            "that the log held when a call returned, and the call (5 write 0+4096 fill=aa).",
        ),
        flag("--foreign", help="Another program than libqed wrote the image of a log of libqed's."),
        flag("--lenient", help="Take a log that was cut off, or whose superblock is empty."),
        option("--sector-size", metavar="BYTES", help="That of a log that does not say."),
        option(
            "--run",
            metavar="FILE",
            help="Run the workload in FILE ('-' is standard input) in memory; there is no LOG.",
        ),
    ]


def open_run(program: Program, arguments: Arguments, file: str | None) -> qc.Log:
    """Return the log in `file`, or that of the workload that is run instead."""
    if file is None:
        for name in _ABOUT_LOGS:
            if getattr(arguments, name):
                raise Failure(f"--{name.replace('_', '-')} is about a log, and there is none")
        return read_workload(arguments.run).record()
    if arguments.backing_format is not None and arguments.backing is None:
        raise Failure("-F goes with -b")
    sector_size = None
    if arguments.sector_size is not None:
        sector_size = integer(arguments.sector_size, "sector size", least=1, most=1 << 31)
    policy = program.backing_policy(arguments.policy)
    with naming(file):
        return qc.Log.open(
            file,
            base=arguments.base,
            lenient=arguments.lenient,
            sector_size=sector_size,
            workload=arguments.workload,
            backing=arguments.backing,
            backing_format=arguments.backing_format or "raw",
            foreign=arguments.foreign,
            format=arguments.format or "qed",
            backing_policy=policy,
        )


def operands(arguments: Arguments, *others: str) -> list[Any]:
    """Return the log's name, None where a workload is run instead, and the other operands."""
    given = list(arguments.file)
    names = [*([] if arguments.run is not None else ["a log"]), *others]
    if len(given) != len(names):
        raise UsageError(f"Expecting {' and '.join(names) if names else 'no operand'}")
    return given if arguments.run is None else [None, *given]


def read_workload(file: str) -> qc.Workload:
    """Return the workload that a file, or standard input, holds."""
    with naming(file):
        text = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
        return qc.Workload(text)


@contextmanager
def naming(file: str) -> Iterator[None]:
    """Let errors name the file."""
    try:
        yield
    except qed.Error as error:
        raise Failure(f"{'' if error.filename else f'{file}: '}{error}") from error
    except UnicodeDecodeError as error:
        raise Failure(f"{file}: it is no text") from error
    except OSError as error:
        raise Failure(f"{error.filename or file}: {error.strerror or error}") from error


_ABOUT_LOGS = (
    "format",
    "base",
    "backing",
    "backing_format",
    "workload",
    "foreign",
    "lenient",
    "sector_size",
)
