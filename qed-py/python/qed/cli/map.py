"""`qed map`: where the guest's data lies in the file. Opens no backing file."""

from collections.abc import Iterator

import qed
from qed._qed import parse_size
from qed.cli._output import printable
from qed.cli._parser import Namespace, Parser, looking, require_qed


def add_arguments(parser: Parser) -> None:
    """Declare the options."""
    parser.epilog = (
        "Only FILE is looked at. What it leaves to its backing file is not present in it: the\n"
        "human table leaves it out, JSON says present false and zero false, where qemu-img opens\n"
        "the backing file and goes on there."
    )
    parser.add_format()
    parser.add_output()
    parser.add_force_share()
    parser.add_argument(
        "-s", "--start-offset", metavar="OFFSET", default="0", help="where to begin (0)"
    )
    parser.add_argument(
        "-l", "--max-length", metavar="LENGTH", help="how many bytes to describe (to the end)"
    )
    parser.add_file(help="the image")


def run(arguments: Namespace) -> int:
    """Print the extents."""
    require_qed(arguments)
    start = parse_size(arguments.start_offset)
    limit = None if arguments.max_length is None else parse_size(arguments.max_length)
    with looking(arguments) as options, qed.inspect(arguments.file, **options) as layer:
        left = max(0, layer.size - start)
        length = left if limit is None else min(left, limit)
        extents = layer.extents(start, length) if length else iter(())
        if arguments.output == "json":
            _print_json(extents, start, layer.info().backing is not None)
        else:
            _print_table(extents, arguments.file)
    return 0


def _print_table(extents: Iterator[qed.Extent], file: str) -> None:
    print(f"{'Offset':<16}{'Length':<16}{'Mapped to':<16}File")
    for extent in extents:
        if extent.file_offset is not None:
            numbers = (extent.offset, extent.length, extent.file_offset)
            print("".join(f"{_hex(number):<16}" for number in numbers) + printable(file))


def _print_json(extents: Iterator[qed.Extent], start: int, backed: bool) -> None:
    """Print one object a line, as they come: an image may have millions."""
    separator = "["
    for extent in extents:
        print(f"{separator}{_object(extent, backed)}", end="")
        separator = ",\n"
    if separator == "[":
        # An empty range is one empty run to qemu-img, and to the scripts that read it.
        print(f"[{_line(start, 0, False, False, False)}", end="")
    print("]")


def _object(extent: qed.Extent, backed: bool) -> str:
    data = extent.kind == "data"
    zero = extent.kind == "zero" or (extent.kind == "unallocated" and not backed)
    present = extent.kind != "unallocated"
    return _line(extent.offset, extent.length, present, zero, data, extent.file_offset)


def _line(
    start: int, length: int, present: bool, zero: bool, data: bool, offset: int | None = None
) -> str:
    words = [
        f'"start": {start}',
        f'"length": {length}',
        '"depth": 0',
        f'"present": {str(present).lower()}',
        f'"zero": {str(zero).lower()}',
        f'"data": {str(data).lower()}',
        '"compressed": false',
    ]
    if offset is not None:
        words.append(f'"offset": {offset}')
    return "{ " + ", ".join(words) + "}"


def _hex(number: int) -> str:
    return f"{number:#x}" if number else "0"
