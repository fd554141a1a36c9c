"""Sizes as text, as they reach the engine."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

import qed
from qed._qed import parse_size


@given(number=st.integers(0, 15), unit=st.sampled_from("bkmgtpeBKMGTPE"))
def test_a_number_and_a_unit_multiply(number: int, unit: str) -> None:
    assert parse_size(f"{number}{unit}") == number * 1024 ** "bkmgtpe".index(unit.lower())


@given(number=st.integers(0, (1 << 64) - 1))
def test_a_number_alone_is_bytes(number: int) -> None:
    assert parse_size(str(number)) == number


def test_a_fraction_needs_a_unit() -> None:
    assert parse_size("1.5T") == 3 << 39
    with pytest.raises(qed.InvalidArgumentError):
        parse_size("1.5")


@given(text=st.text().filter(lambda text: not text[:1].isascii() or not text[:1].isdigit()))
def test_what_begins_with_no_digit_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"size|surrogates"):
        parse_size(text)
