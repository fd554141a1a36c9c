"""Numbers of bytes on the command line: the library's sizes, with QEMU's manners added."""

import re

from qed._qed import parse_size
from qed.cli._program import Failure, Program

MAX = (1 << 63) - 1

_HEX = re.compile(r"0[xX][0-9a-fA-F]+")
_SIGNED_HEX = re.compile(r"[+-]?0[xX][0-9a-fA-F]+")
_OCTAL = re.compile(r"[+-]?0[0-7]+")
_DECIMAL = re.compile(r"[+-]?([1-9][0-9]*|0)")


def size(program: Program, text: str, what: str, *, least: int = 0, most: int = MAX) -> int:
    """Return the bytes that `text` means; `what` names it where it means none."""
    try:
        number = _number(text)
    except ValueError as error:
        if program.is_qemu:
            raise Failure(f"Invalid {what} specified: '{text}'.") from error
        raise
    if not least <= number <= most:
        if not program.is_qemu and number < 0:
            parse_size(text)
        raise Failure(f"Invalid {what} specified. Must be between {least} and {most}.")
    return number


def integer(text: str, what: str, *, least: int, most: int) -> int:
    """Return the number that `text` is, decimal, octal (017) or hexadecimal (0x1f)."""
    word = text.lstrip()
    base = 16 if _SIGNED_HEX.fullmatch(word) else 8 if _OCTAL.fullmatch(word) else 10
    if base == 10 and not _DECIMAL.fullmatch(word):
        raise Failure(f"Invalid {what} specified: '{text}'.")
    number = int(word, base)
    if not least <= number <= most:
        raise Failure(f"Invalid {what} specified. Must be between {least} and {most}.")
    return number


def _number(text: str) -> int:
    word = text.lstrip()
    if word.startswith("-"):
        return -_number(word[1:])
    if _HEX.fullmatch(word):
        return int(word, 16)
    return parse_size(f"0{word}" if word.startswith(".") else word)
