"""Numbers as qemu-io reads and prints them.

Offsets and lengths take the suffixes b k M G T P E, fractions and hexadecimal; a pattern is one
byte in C's notation. What cannot be read is a `Wrong` with qemu-io's sentence. Knows no images.
"""

import re

MAX = (1 << 63) - 1
LIMIT = (1 << 31) - 512
"""The longest request that carries data."""

_SHIFTS = {"": 0, "b": 0, "k": 10, "m": 20, "g": 30, "t": 40, "p": 50, "e": 60}
_UNITS = ((60, "EiB"), (50, "PiB"), (40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB"))

_HEXADECIMAL = re.compile(r"\+?0[xX][0-9a-fA-F]+", re.ASCII)
_DECIMAL = re.compile(r"\+?(\d*)(?:\.(\d*))?([bkmgtpe]?)", re.ASCII | re.IGNORECASE)
_NEGATIVE = re.compile(r"-\d+", re.ASCII)
_C_NUMBER = re.compile(r"[+-]?(?:0[xX][0-9a-fA-F]+|0[0-7]*|[1-9]\d*)", re.ASCII)


class Wrong(Exception):  # noqa: N818 - it ends a command, and is its output
    """A command ends with this line on standard output."""


def number(text: str) -> int:
    """Return the bytes that `text` means."""
    if text.isdecimal() and text.isascii():
        value = int(text)
    elif _HEXADECIMAL.fullmatch(text):
        value = int(text, 16)
    elif _NEGATIVE.fullmatch(text):
        value = MAX + 1
    else:
        value = _scaled(text)
    if value > MAX:
        raise Wrong(f"Parsing error: argument too large -- {text}")
    return value


def _scaled(text: str) -> int:
    match = _DECIMAL.fullmatch(text)
    if match is not None:
        whole, fraction, suffix = match[1], match[2] or "", match[3]
        shift = _SHIFTS[suffix.lower()]
        part = float(f"0.{fraction or 0}")
        # A fraction of a byte means nothing, unless it is one by rounding.
        if (whole or fraction) and (shift or part in (0.0, 1.0)):
            return (int(whole or 0) << shift) + int(part * (1 << shift) + 0.5)
    raise Wrong(f"Parsing error: non-numeric argument, or extraneous/unrecognized suffix -- {text}")


def pattern(text: str) -> int:
    """Return the byte that `text` means."""
    if _C_NUMBER.fullmatch(text):
        value = _c_number(text)
        if 0 <= value <= 255:
            return value
    raise Wrong(f"{text} is not a valid pattern byte")


def milliseconds(text: str) -> int:
    """Return the time that `text` means."""
    if not _C_NUMBER.fullmatch(text) or _c_number(text) < 0:
        raise Wrong(f"{text} is not a valid number")
    return _c_number(text)


def _c_number(text: str) -> int:
    digits = text.lstrip("+-")
    octal = digits.startswith("0") and digits[1:2] not in ("x", "X") and len(digits) > 1
    value = int(digits, 8 if octal else 0)
    return -value if text.startswith("-") else value


def human(size: float) -> str:
    """Return a size in its unit: three decimals, or none where they are zeroes."""
    for shift, unit in _UNITS:
        if size >= 1 << shift:
            return f"{size / (1 << shift):.3f}".removesuffix(".000") + f" {unit}"
    return f"{size:.6f}".removesuffix(".000000") + " bytes"


def hexadecimal_dump(data: bytes, offset: int) -> str:
    """Return sixteen bytes a line, with letters and digits beside them."""
    lines = []
    for start in range(0, len(data), 16):
        row = data[start : start + 16]
        shown = "".join(chr(byte) if chr(byte).isalnum() and byte < 128 else "." for byte in row)
        lines.append(f"{offset + start:08x}:  {row.hex(' ')}  {shown}\n")
    return "".join(lines)


def statistics(label: str, offset: int, count: int, elapsed: float, *, commas: bool) -> str:
    """Return what a finished request prints."""
    elapsed = max(elapsed, 1e-9)
    rate, operations = count / elapsed, 1 / elapsed
    if commas:
        return f"{count},1,{_clock(elapsed)},{rate:.3f},{operations:.3f}\n"
    time = f"{elapsed:05.2f} sec" if elapsed < 60 else _clock(elapsed)
    return (
        f"{label} {count}/{count} bytes at offset {offset}\n"
        f"{human(count)}, 1 ops; {time} ({human(rate)}/sec and {operations:.4f} ops/sec)\n"
    )


def _clock(elapsed: float) -> str:
    minutes, seconds = divmod(elapsed, 60)
    return f"{int(minutes) // 60}:{int(minutes) % 60:02}:{seconds:05.2f}"
