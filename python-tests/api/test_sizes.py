"""Sizes as text mean what they mean to QEMU."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

import qed
from qed._sizes import parse_size


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", 0),
        ("512", 512),
        ("512b", 512),
        ("1k", 1024),
        ("10G", 10 << 30),
        (" 10g ", 10 << 30),
        ("1.5T", 3 << 39),
        ("0.1K", 102),
        ("7E", 7 << 60),
        ("0x10", 16),
        ("0XfF", 255),
        ("007", 7),
    ],
)
def test_what_sizes_mean(text: str, expected: int) -> None:
    assert parse_size(text) == expected


@pytest.mark.parametrize(
    "text",
    ["", " ", "k", "1kk", "1KiB", "1,5M", "-1", "+1", "1e3", ".5k", "1.k", "1.5", "1.5b", "0x1k",
     "0x", "٣", "1 k", "1\n2"],
)  # fmt: skip
def test_what_sizes_do_not_mean(text: str) -> None:
    with pytest.raises(qed.InvalidArgumentError):
        parse_size(text)


@given(number=st.integers(0, 1 << 70), unit=st.sampled_from("bkmgtpeBKMGTPE"))
def test_a_number_and_a_unit_multiply(number: int, unit: str) -> None:
    assert parse_size(f"{number}{unit}") == number * 1024 ** "bkmgtpe".index(unit.lower())
    assert parse_size(str(number)) == parse_size(hex(number)) == number
