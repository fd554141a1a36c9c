"""`qed map`: where a disk's data lies, in the image's own file or through its backing files."""

from collections.abc import Iterator
from contextlib import closing
from typing import NamedTuple

import click

import qed
from qed.cli import _command as command_line
from qed.cli._command import Arguments, Command
from qed.cli._opening import find, layer_names
from qed.cli._output import printable
from qed.cli._program import Failure, Program
from qed.cli._sizes import size


class Run(NamedTuple):
    """A part of the disk that lies in one piece."""

    offset: int
    length: int
    depth: int
    present: bool
    """Some image has it: as data or as zeroes."""
    zero: bool
    data: bool
    compressed: bool
    file_offset: int | None

    def joins(self, other: "Run") -> bool:
        """Return whether `other` goes on where this run ends, in the file as well."""
        continued = None if self.file_offset is None else self.file_offset + self.length
        return self.offset + self.length == other.offset and other == Run(
            other.offset, other.length, *self[2:7], continued
        )


def command(program: Program) -> Command:
    """Return the verb."""
    return Command(
        program,
        "map",
        run,
        [
            command_line.format_option(),
            command_line.image_options(),
            command_line.output(),
            command_line.force_share(),
            command_line.option(
                "-s", "--start-offset", metavar="OFFSET", default="0", help="Where to begin."
            ),
            command_line.option(
                "-l", "--max-length", metavar="LENGTH", help="How many bytes to describe."
            ),
            command_line.option(
                "--plot",
                metavar="SVG",
                type=click.Path(),
                help="Draw where the disk lies in FILE itself, instead of listing it.",
            ),
            command_line.policy(),
            command_line.refused("--object", value=True),
            command_line.file_argument(),
        ],
        ours=["plot"],
        summary="Show where a disk's data lies.",
        about=_about(program),
        examples=[
            "map disk.qed",
            "map --output=json -s 1G -l 64M disk.qed",
            "map --plot disk.svg disk.qed",
        ],
    )


def _about(program: Program) -> str:
    if program.map_follows:
        return "What the image leaves to its backing files is shown where it lies there."
    return (
        "Without --backing only FILE is looked at: what it leaves to its backing file is not "
        "present in it, and JSON says neither zero nor data of it. With --backing what lies in "
        "backing files is shown as well, as qemu-img does."
    )


def run(program: Program, arguments: Arguments) -> int:
    """Print the extents."""
    file = command_line.one_file(arguments)
    if arguments.plot is not None:
        return _plot(program, arguments, file)
    start = size(program, arguments.start_offset, "start offset")
    limit = arguments.max_length
    limit = None if limit is None else size(program, limit, "max length")
    image = find(program, arguments, file, format_name=arguments.format)
    follow = program.map_follows or arguments.policy is not None
    opened = image.open(policy=arguments.policy) if follow else image.inspect()
    with closing(opened) as disk:
        left = max(0, disk.size - start)
        length = left if limit is None else min(left, limit)
        # Scripts read an empty range as one empty run.
        nothing = Run(start, 0, 0, False, False, False, False, None)
        runs = _joined(_runs(disk, start, length)) if length else iter([nothing])
        if arguments.output == "json":
            _print_json(runs)
        else:
            _print_table(
                runs, layer_names(image, disk) if isinstance(disk, qed.Image) else [image.path]
            )
    return 0


def _plot(program: Program, arguments: Arguments, file: str) -> int:
    from qed.cli._plot import plot

    for shown, given in (
        ("--start-offset", arguments.start_offset != "0"),
        ("--max-length", arguments.max_length is not None),
        ("--output=json", arguments.output != "human"),
        ("--backing", arguments.policy is not None),
    ):
        if given:
            raise Failure(f"--plot draws the whole of one file: {shown} has no meaning beside it")
    image = find(program, arguments, file, format_name=arguments.format)
    with image.inspect() as layer:
        plot(layer, image.path, arguments.plot)
    return 0


def _runs(disk: qed.Image | qed.Layer, start: int, length: int) -> Iterator[Run]:
    through = isinstance(disk, qed.Image)
    extents = (
        disk.map(start, length) if isinstance(disk, qed.Image) else disk.extents(start, length)
    )
    # What is left to nobody reads as zeroes; what one layer leaves to another is not known.
    absent_is_zero = through or disk.info().backing is None
    for extent in extents:
        data, absent = extent.kind == "data", extent.kind == "unallocated"
        zero = not data and (absent_is_zero or not absent)
        place = extent.depth, not absent, zero, data, extent.compressed, extent.file_offset
        yield Run(extent.offset, extent.length, *place)


def _joined(runs: Iterator[Run]) -> Iterator[Run]:
    last: Run | None = None
    for run in runs:
        if last is not None and last.joins(run):
            last = last._replace(length=last.length + run.length)
            continue
        if last is not None:
            yield last
        last = run
    if last is not None:
        yield last


def _print_table(runs: Iterator[Run], files: list[str]) -> None:
    print(f"{'Offset':<16}{'Length':<16}{'Mapped to':<16}File")
    for run in runs:
        if run.data and run.file_offset is None:
            raise Failure("File contains external, encrypted or compressed clusters.")
        if run.data:
            numbers = (run.offset, run.length, run.file_offset or 0)
            columns = "".join(f"{_hex(number):<16}" for number in numbers)
            print(columns + printable(files[run.depth]))


def _print_json(runs: Iterator[Run]) -> None:
    """Print one object a line, as they come: an image may have millions."""
    separator = "["
    for run in runs:
        print(f"{separator}{_object(run)}", end="")
        separator = ",\n"
    print("]")


def _object(run: Run) -> str:
    words = [
        f'"start": {run.offset}',
        f'"length": {run.length}',
        f'"depth": {run.depth}',
        *(
            f'"{name}": {str(getattr(run, name)).lower()}'
            for name in ("present", "zero", "data", "compressed")
        ),
    ]
    if run.file_offset is not None:
        words.append(f'"offset": {run.file_offset}')
    return "{ " + ", ".join(words) + "}"


def _hex(number: int) -> str:
    return f"{number:#x}" if number else "0"
