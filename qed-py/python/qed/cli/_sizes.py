"""Numbers of bytes on the command line: the library's sizes, with QEMU's manners added."""

import re

from qed._qed import parse_size
from qed.cli._program import Failure, Program

MAX = (1 << 63) - 1

_HEX = re.compile(r"0[xX][0-9a-fA-F]+")


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


def _number(text: str) -> int:
    word = text.lstrip()
    if word.startswith("-"):
        return -_number(word[1:])
    if _HEX.fullmatch(word):
        return int(word, 16)
    return parse_size(f"0{word}" if word.startswith(".") else word)
