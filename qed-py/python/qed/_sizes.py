"""Sizes as people type them: `10G`, `1.5M`, `0x1000`."""

import re

from qed._errors import invalid

_SIZE = re.compile(r"(0[xX][0-9a-fA-F]+|(\d+)(?:\.(\d+))?([bkmgtpe])?)", re.ASCII | re.IGNORECASE)
_SHIFT = {"b": 0, "k": 10, "m": 20, "g": 30, "t": 40, "p": 50, "e": 60}


def parse_size(text: str) -> int:
    """Return the bytes that `text` means; fractions of a byte are dropped, as in QEMU.

    Raises InvalidArgumentError where it means none.
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise invalid(f"'{text}' is not a size; sizes look like 512, 64K, 1.5M, 10G")
    whole, digits, fraction, unit = match.groups()
    if digits is None:
        return int(whole, 16)
    shift = _SHIFT[(unit or "b").lower()]
    if fraction is None:
        return int(digits) << shift
    if shift == 0:
        raise invalid(f"'{text}' is not a whole number of bytes")
    scale: int = 10 ** len(fraction)
    return (int(digits + fraction) << shift) // scale
