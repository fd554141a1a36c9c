"""`qed crash record`: calls on a disk, and a log of all that reached its file.

The disk is a new one or a copy, in a file of its own that is gone at the end: what was recorded
stays as it was. A file that has a backing file, or is copied, lies beside it for that time, so that
names of backing files go on meaning the same.
"""

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

import qed
import qed.crash as qc
from qed.cli import _command as command_line
from qed.cli import _creation
from qed.cli._command import Arguments, Command
from qed.cli._opening import find
from qed.cli._output import json_text
from qed.cli._program import Failure, Program, UsageError
from qed.cli._sizes import integer, size
from qed.cli.crash import SOUND, _calls
from qed.cli.crash._source import naming, read_workload
from qed.cli.crash.show import facts

_MOST = (1 << 31) - 1


def command(program: Program) -> Command:
    """Return the sub-verb."""
    return Command(
        program,
        "crash record",
        run,
        [*_disk(), *_work(), command_line.file_argument(shown="LOG [SIZE]")],
        summary="Record what reaches the file of a disk, and the calls that led to it.",
        about="The disk is new, of SIZE or over BASE, or a copy of an image. The calls are drawn "
        "by lot, or a workload's, or commands of qemu-io's language, by default those of standard "
        "input; the line 'mark TEXT' is a remark in the log. The first command that fails ends "
        "it, and no log is written. LOG is a dm-log-writes file with which 'qed crash explore' "
        "can begin at once; of an image with a backing file it wants -b as well.",
        examples=[
            "crash record --operations 30 --seed 7 run.log 1M",
            "crash record -c 'write 0 4k' -c flush -c 'write 64k 4k' -o cluster_size=4k run.log 1M",
            "crash record --image disk.qed run.log < commands",
            "crash record -b base.raw -F raw --operations 50 run.log",
            "crash record --run workload.txt run.log",
        ],
    )


def _disk() -> list[click.Parameter]:
    option = command_line.option
    return [
        option("--image", metavar="FILE", help="Record on a copy of this image."),
        option(
            "-f",
            "--format",
            metavar="FMT",
            help="Format of the new image (qed), or of FILE: qed, qcow2, raw.",
            shell_complete=command_line.completing(command_line.FORMATS),
        ),
        command_line.new_options(),
        option("-b", "--backing", metavar="BASE", help="The new image's backing file."),
        command_line.format_option("-F", "--backing-format", what="BASE"),
        command_line.policy(only_long=True),
    ]


def _work() -> list[click.Parameter]:
    option = command_line.option
    return [
        option("-c", "--cmd", metavar="COMMAND", multiple=True, help="Carry out this command."),
        option("--operations", metavar="N", help="Draw so many calls by lot."),
        option("--seed", metavar="SEED", help="Draw others (0)."),
        option(
            "--run",
            metavar="FILE",
            help="Run the workload in FILE ('-' is standard input), which has an image of its own.",
        ),
        command_line.chosen(
            "--sector-size", words=("512", "4096"), default="512", help="The log's sectors."
        ),
        command_line.output(),
        command_line.quiet(),
    ]


def run(program: Program, arguments: Arguments) -> int:
    """Record, write the log, say what it is."""
    if not 1 <= len(arguments.file) <= 2:
        raise UsageError("Expecting a log's name, and the size of a new image")
    file, *sizes = arguments.file
    _check(arguments, sizes)
    if arguments.run is not None:
        log = read_workload(arguments.run).record()
        if not log.is_portable:
            raise Failure(f"{arguments.run}: the backing file of a workload is in no log")
    else:
        log = _record(program, arguments, sizes)
    with naming(file):
        log.save(file, sector_size=int(arguments.sector_size))
    if arguments.output == "json":
        print(json_text({"filename": file} | facts(log)))
    elif not arguments.quiet:
        print(f"{file}: {len(log.calls)} calls, {len(log.events)} events, log {log.digest:016x}")
    return SOUND


def _check(arguments: Arguments, sizes: list[str]) -> None:
    """Refuse words that have no meaning together."""
    given = {
        "--run": arguments.run is not None,
        "--image": arguments.image is not None,
        "SIZE": bool(sizes),
        "-b": arguments.backing is not None,
        "-F": arguments.backing_format is not None,
        "-f": arguments.format is not None,
        "-o": bool(arguments.options),
    }
    alone = {"--run": ("--image", "SIZE", "-b", "-f", "-o"), "--image": ("SIZE", "-b", "-o")}
    for one, others in alone.items():
        for other in others:
            if given[one] and given[other]:
                raise Failure(f"{other} has no meaning beside {one}")
    if given["-F"] and not given["-b"]:
        raise Failure("-F goes with -b")
    if not any(given[word] for word in ("--run", "--image", "SIZE", "-b")):
        raise Failure("nothing to record on: give SIZE, -b, --image or --run")
    work = {
        "-c": bool(arguments.cmd),
        "--operations": arguments.operations is not None,
        "--run": arguments.run is not None,
    }
    if sum(work.values()) > 1:
        raise Failure(f"{' and '.join(name for name in work if work[name])} exclude each other")
    if arguments.seed is not None and arguments.operations is None:
        raise Failure("--seed goes with --operations")


def _record(program: Program, arguments: Arguments, sizes: list[str]) -> qc.Log:
    source, keywords = _wanted(program, arguments, sizes)
    folder = None if source is None else os.path.dirname(source) or os.curdir  # noqa: PTH120
    with _scratch(folder) as path:
        if arguments.image is not None:
            with naming(arguments.image):
                shutil.copyfile(arguments.image, path)
        try:
            recording = qc.record(path, **keywords)
        except qed.Error as error:
            # The file in which it is recorded is nobody's business.
            text = str(error).replace(path, arguments.image or "the new image")
            raise Failure(text) from error
        with recording:
            _work_on(program, arguments, recording)
        return recording.log


def _wanted(
    program: Program, arguments: Arguments, sizes: list[str]
) -> tuple[str | None, dict[str, Any]]:
    """Return beside which file the disk lies, and what `record` is given."""
    policy = program.backing_policy(arguments.policy)
    if arguments.image is not None:
        image = find(program, arguments, arguments.image, format_name=arguments.format)
        # Whoever writes to it would spoil the copy, and what cannot be opened is not copied.
        image.open(policy=policy).close()
        return image.path, {"format": image.format, "backing_policy": policy}
    format_name = arguments.format or "qed"
    if format_name not in command_line.FORMATS:
        raise Failure(f"format '{format_name}' is none of {', '.join(command_line.FORMATS)}")
    creation = _creation.read(program, format_name, list(arguments.options), "")
    if sizes:
        creation.size = size(program, sizes[0], "image size")
    base = arguments.backing
    keywords = creation.keywords() | {"size": creation.size, "backing_policy": policy}
    if base is not None:
        keywords["backing"] = os.path.basename(base)  # noqa: PTH119 - beside it
        if arguments.backing_format is not None:
            keywords["backing_format"] = arguments.backing_format
    return base, keywords


@contextmanager
def _scratch(folder: str | None) -> Iterator[str]:
    """Give a file that is gone at the end."""
    try:
        descriptor, path = tempfile.mkstemp(prefix=".qed-crash-", dir=folder)
    except OSError as error:
        raise Failure(f"{folder}: no file can be made there: {error.strerror}") from error
    os.close(descriptor)
    try:
        yield path
    finally:
        Path(path).unlink(missing_ok=True)


def _work_on(program: Program, arguments: Arguments, recording: qc.Recording) -> None:
    """Make the calls."""
    if arguments.operations is not None:
        count = integer(arguments.operations, "number of operations", least=1, most=_MOST)
        seed = integer(arguments.seed or "0", "seed", least=0, most=(1 << 64) - 1)
        _calls.draw(recording.image, seed, count)
        return
    lines = arguments.cmd or sys.stdin
    _calls.carry_out(program, recording, lines, arguments.image or "the new image")
