"""`qed create`: a new image; a file that exists is overwritten, as qemu-img does."""

from typing import Any

import qed
from qed._qed import parse_size
from qed.cli._output import printable
from qed.cli._parser import Namespace, Parser, UsageError, require_qed

# What qemu-img calls them; every other name of -o is the engine's own.
_NAMES = {"backing_file": "backing", "backing_fmt": "backing_format"}

_OPTIONS_HELP = """\
Supported qed options:
  backing_file=<str>     - File name of a base image
  backing_fmt=<str>      - Image format of the base image (raw or qed)
  cluster_size=<size>    - Cluster size (in bytes)
  overwrite=<bool>       - Replace a file that exists (on)
  size=<size>            - Virtual disk size
  table_size=<size>      - L1/L2 table size (in clusters)"""


def add_arguments(parser: Parser) -> None:
    """Declare the options."""
    parser.epilog = (
        "A relative BASE is stored as given and means a file beside the image. Without -F it must\n"
        "be a QED image: a raw file cannot be recognised. A failure leaves nothing behind."
    )
    parser.add_quiet()
    parser.add_format()
    parser.add_argument("-b", "--backing", metavar="BASE", help="the new image's backing file")
    parser.add_argument("-F", "--backing-format", metavar="FMT", help="format of BASE: raw or qed")
    parser.add_argument(
        "-o",
        "--options",
        metavar="NAME=VALUE,...",
        action="append",
        default=[],
        help="more options; 'help' lists them; a comma in a value is written twice",
    )
    parser.add_file(nargs="?", help="the image to create")
    parser.add_argument(
        "size", metavar="SIZE", nargs="?", help="bytes of the disk (the size of BASE)"
    )


def run(arguments: Namespace) -> int:
    """Create the image and say what was created."""
    require_qed(arguments)
    options: dict[str, str] = {}
    for words in arguments.options:
        if words in ("help", "?"):
            print(_OPTIONS_HELP)
            return 0
        for name, value in _pairs(words):
            options[_NAMES.get(name, name)] = value
    if arguments.file is None:
        raise UsageError("create: an image file name is wanted (try 'qed create --help')")
    _merge(options, "size", arguments.size)
    _merge(options, "backing", arguments.backing)
    _merge(options, "backing_format", arguments.backing_format)
    if options.get("backing") == "":
        raise UsageError("create: the backing file's name is empty")
    size, backing = options.pop("size", None), options.pop("backing", None)
    number = None if size is None else parse_size(size)
    keywords: dict[str, Any] = {"overwrite": True, **options}
    qed.create(arguments.file, number, backing=backing, **keywords)
    if not arguments.quiet:
        print(_summary(arguments.file, number, options))
    return 0


def _merge(options: dict[str, str], name: str, value: str | None) -> None:
    if value is None:
        return
    if name in options:
        raise UsageError(f"create: {name} is given twice")
    options[name] = value


def _pairs(words: str) -> list[tuple[str, str]]:
    """Split `a=1,b=2` at its single commas; two commas are one that belongs to the value."""
    texts = [text.replace("\0", ",") for text in words.replace(",,", "\0").split(",")]
    pairs = []
    for text in texts:
        name, equals, value = text.partition("=")
        if not name:
            raise UsageError(f"create: '{words}' is not a list of options")
        pairs.append((name, value if equals else "on"))
    return pairs


def _summary(file: str, size: int | None, options: dict[str, str]) -> str:
    info = qed.info(file, lock=False)
    words = [f"fmt=qed size={info.virtual_size if size is None else size}"]
    if info.backing is not None:
        words.append(f"backing_file={info.backing.replace(',', ',,')}")
        words.append(f"backing_fmt={info.backing_format or 'qed'}")
    words.append(f"cluster_size={info.cluster_size}")
    if "table_size" in options:
        words.append(f"table_size={info.table_size}")
    return printable(f"Formatting '{file}', {' '.join(words)}")
