"""How the command prints sizes, names, errors and JSON."""

import json
from typing import Any

_UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"]


def human_size(size: int) -> str:
    """Return `size` bytes in three digits: the first unit that makes it less than 1000."""
    scaled = float(size)
    for unit in _UNITS:
        if scaled < 1000 or unit == _UNITS[-1]:
            return f"{scaled:.3g} {unit}"
        scaled /= 1024
    raise AssertionError("the last unit takes everything")


def printable(name: str) -> str:
    """Return `name` with control characters escaped: an image may not write to the terminal.

    Bytes that are no text come back from the file system as surrogates; they pass unchanged.
    """
    return "".join(c if c.isprintable() or _is_byte(c) else _escaped(c) for c in name)


def one_line(message: str) -> str:
    """Return an error's text as one line of printable characters."""
    return printable(message)


def json_text(value: Any, margin: str = "") -> str:
    """Return `value` laid out as QEMU's tools do: one item a line, empty brackets on two."""
    inner = margin + " " * 4
    if isinstance(value, dict):
        items = [f"{json.dumps(key)}: {json_text(item, inner)}" for key, item in value.items()]
        brackets = "{}"
    elif isinstance(value, list):
        items, brackets = [json_text(item, inner) for item in value], "[]"
    else:
        return json.dumps(value)
    lines = ",\n".join(inner + item for item in items) + "\n" if items else ""
    return f"{brackets[0]}\n{lines}{margin}{brackets[1]}"


def _is_byte(character: str) -> bool:
    return "\udc80" <= character <= "\udcff"


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
