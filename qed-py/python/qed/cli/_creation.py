"""The options of a new image: what `-o` may say for each format, and what is said of the result.

`create`, `convert` and `dd` share it. A comma in a value is written twice, as in QEMU's tools.
"""

from dataclasses import dataclass
from typing import Any

from qed.cli._image_opts import pairs
from qed.cli._output import printable
from qed.cli._program import Failure, Program
from qed.cli._sizes import size

_BACKING = {
    "backing_file": ("str", "File name of a base image"),
    "backing_fmt": ("str", "Image format of the base image"),
}
_SIZE = {"size": ("size", "Virtual disk size")}
_OURS = {"overwrite": ("bool", "Replace a file that exists (on)")}
_PREALLOCATION = {
    "qed": {"preallocation": ("str", "Space from the start: off, metadata, falloc, full")},
    "raw": {"preallocation": ("str", "Preallocation mode (allowed values: off, falloc, full)")},
}
OPTIONS: dict[str, dict[str, tuple[str, str]]] = {
    "qed": {
        **_BACKING,
        "cluster_size": ("size", "Cluster size (in bytes)"),
        **_SIZE,
        "table_size": ("size", "L1/L2 table size (in clusters)"),
    },
    "qcow2": {**_BACKING, "cluster_size": ("size", "qcow2 cluster size"), **_SIZE},
    "raw": {**_SIZE},
}
"""What each format takes, by QEMU's names: the kind of value, and what it means."""

# What the library calls them, where it has another name.
_NAMES = {"backing_file": "backing", "backing_fmt": "backing_format"}

_KINDS = """\
Optional suffix k, M, G, T, P or E means kilo-, mega-, giga-, tera-, peta-
and exabytes, respectively."""


@dataclass
class Creation:
    """A new image, as far as the words say."""

    format: str
    size: int | None = None
    backing: str | None = None
    backing_format: str | None = None
    options: dict[str, Any] | None = None
    """Further options of the library's `create`."""

    def keywords(self) -> dict[str, Any]:
        """Return the options of `qed.create`, but for the size and the backing file."""
        found: dict[str, Any] = {"format": self.format, "overwrite": True}
        if self.backing_format is not None:
            found["backing_format"] = self.backing_format
        return found | (self.options or {})


def wants_help(words: list[str]) -> bool:
    """Return whether `-o help` is among the options."""
    return any(name in ("help", "?") for text in words for name, _ in pairs(text))


def _known(program: Program, format_name: str) -> dict[str, tuple[str, str]]:
    """Return what `-o` may say; QEMU's tool has no preallocation of QED images."""
    more = _PREALLOCATION.get(format_name, {})
    if program.is_qemu:
        return OPTIONS[format_name] | (more if format_name == "raw" else {})
    return OPTIONS[format_name] | more | _OURS


def options_help(program: Program, format_name: str) -> str:
    """Return the list that `-o help` shows."""
    known = _known(program, format_name)
    shown = {f"{name}=<{kind}>": text for name, (kind, text) in sorted(known.items())}
    lines = [f"  {option:<22} - {text}" for option, text in shown.items()]
    return "\n".join([f"Supported {format_name} options:", *lines])


def read(program: Program, format_name: str, words: list[str], where: str) -> Creation:
    """Read the options of `-o`; `where` stands before what is wrong with them."""
    creation = Creation(format_name, options={})
    known = _known(program, format_name)
    for text in words:
        if text == "":
            raise Failure("Invalid option list: ")
        for name, given in pairs(text):
            if name not in known:
                listed = "" if program.is_qemu else f"; known are {', '.join(known)}"
                raise Failure(f"{where}Invalid parameter '{name}'{listed}")
            value = "on" if given is None else given
            number = known[name][0] == "size"
            _set(creation, name, _number(program, name, value, where) if number else value)
    if creation.backing == "":
        raise Failure(f"{where}Expected backing file name, got empty string")
    return creation


def _set(creation: Creation, name: str, value: str | int) -> None:
    ours = _NAMES.get(name, name)
    if ours in ("size", "backing", "backing_format"):
        setattr(creation, ours, value)
    elif creation.options is not None:
        creation.options[ours] = value


def _number(program: Program, name: str, value: str, where: str) -> int:
    try:
        return size(program, value, name, most=(1 << 64) - 1)
    except (Failure, ValueError) as error:
        if not program.is_qemu:
            raise
        if value.lstrip("-").isdigit():
            wrong = f"Value '{value}' is out of range for parameter '{name}'"
            raise Failure(where + wrong) from error
        wrong = f"{where}Parameter '{name}' expects a non-negative number below 2^64"
        raise Failure(wrong, *_KINDS.splitlines()) from error


def summary(file: str, creation: Creation, number: int) -> str:
    """Return the line that says what is created."""
    options = creation.options or {}
    cluster_size = options.get("cluster_size", 65536)
    backing = []
    if creation.backing is not None:
        backing.append(f"backing_file={creation.backing.replace(',', ',,')}")
    if creation.backing_format is not None:
        backing.append(f"backing_fmt={creation.backing_format}")
    if creation.format == "qcow2":
        words = [
            f"cluster_size={cluster_size}",
            "extended_l2=off",
            "compression_type=zlib",
            f"size={number}",
            *backing,
            "lazy_refcounts=off",
            "refcount_bits=16",
        ]
    elif creation.format == "qed":
        words = [f"size={number}", *backing, f"cluster_size={cluster_size}"]
        if "table_size" in options:
            words.append(f"table_size={options['table_size']}")
        if "preallocation" in options:
            words.append(f"preallocation={options['preallocation']}")
    else:
        words = [f"size={number}"]
        if "preallocation" in options:
            words.append(f"preallocation={options['preallocation']}")
    return printable(f"Formatting '{file}', fmt={creation.format} {' '.join(words)}")
