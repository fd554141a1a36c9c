"""Reading and writing: every call against a model in memory."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import qed
from support.images import pattern

SIZE = 256 << 10
CLUSTER = 4096

ranges = st.tuples(st.integers(0, SIZE), st.integers(0, SIZE)).map(
    lambda ends: (min(ends), abs(ends[0] - ends[1]))
)
operations = st.lists(
    st.tuples(
        st.sampled_from(["write", "writev", "zeroes", "unmap", "discard", "flush", "reopen"]),
        ranges,
        st.booleans(),
    ),
    max_size=12,
)


@given(operations=operations, backed=st.booleans())
def test_any_sequence_reads_back_as_the_model_says(
    tmp_path_factory: pytest.TempPathFactory,
    operations: list[tuple[str, tuple[int, int], bool]],
    backed: bool,
) -> None:
    # Goal: no sequence of calls reads differently from plain memory. Method: random sequences over
    # small clusters, with and without a backing file, compared whole after each step.
    directory = tmp_path_factory.mktemp("model")
    model = bytearray(pattern(99, SIZE) if backed else SIZE)
    (directory / "base").write_bytes(model)
    path = directory / "disk.qed"
    if backed:
        qed.create(path, backing="base", backing_format="raw", cluster_size=CLUSTER)
    else:
        qed.create(path, SIZE, cluster_size=CLUSTER)
    image = qed.open(path, "r+")
    try:
        for number, (verb, (offset, length), fua) in enumerate(operations):
            if verb == "reopen":
                image.close()
                image = qed.open(path, "r+")
            else:
                _apply(image, model, number, verb, offset, length, fua)
            assert image.pread(SIZE, 0) == model, (number, verb, offset, length)
    finally:
        image.close()
    assert qed.check(path).clean


def _apply(
    image: qed.Image,
    model: bytearray,
    number: int,
    verb: str,
    offset: int,
    length: int,
    fua: bool,
) -> None:
    data = pattern(number, length)
    end = offset + length
    match verb:
        case "write":
            image.pwrite(data, offset, fua=fua)
            model[offset:end] = data
        case "writev":
            third = length // 3
            image.pwritev([data[:third], b"", data[third:]], offset, fua=fua)
            model[offset:end] = data
        case "zeroes":
            image.write_zeroes(offset, length, fua=fua)
            model[offset:end] = bytes(length)
        case "unmap":
            image.write_zeroes(offset, length, may_unmap=True, fua=fua)
            model[offset:end] = bytes(length)
        case "discard":
            # What a discard leaves inside its range is the engine's choice, and it stays so.
            image.discard(offset, length)
            model[offset:end] = image.pread(length, offset)
        case "flush":
            image.flush()


@given(place=ranges, cuts=st.lists(st.integers(0, SIZE), max_size=4))
def test_every_way_to_read_gives_the_same(
    tmp_path_factory: pytest.TempPathFactory, place: tuple[int, int], cuts: list[int]
) -> None:
    offset, length = place
    path = tmp_path_factory.mktemp("read") / "disk.qed"
    qed.create(path, SIZE, cluster_size=CLUSTER)
    with qed.open(path, "r+") as image:
        image.pwrite(pattern(1, SIZE // 2), SIZE // 4)
        expected = image.pread(SIZE, 0)[offset : offset + length]
        assert image.pread(length, offset) == expected
        target = bytearray(length)
        image.pread_into(target, offset)
        assert target == expected
        ends = [0, *sorted(min(cut, length) for cut in cuts), length]
        parts = [bytearray(b - a) for a, b in pairwise(ends)]
        image.preadv(parts, offset)
        assert b"".join(parts) == expected


def test_what_was_written_is_there_after_closing(path: Path) -> None:
    qed.create(path, "10M")
    data = pattern(7, 100_000)
    with qed.open(path, "r+") as image:
        image.pwrite(data, 123_456)
    with qed.open(path) as image:
        assert image.pread(100_000, 123_456) == data
        assert not any(image.pread(123_456, 0))


def test_a_range_past_the_end_is_refused_whole(image: qed.Image) -> None:
    size = image.size
    image.pwrite(b"tail", size - 4)
    target = bytearray(b"kept")
    with pytest.raises(ValueError, match=str(size)):
        image.pread(2, size - 1)
    with pytest.raises(ValueError, match=str(size)):
        image.pread_into(target, size - 3)
    with pytest.raises(qed.InvalidArgumentError) as caught:
        image.pwrite(b"12345", size - 4)
    assert caught.value.offset == size - 4
    with pytest.raises(qed.InvalidArgumentError):
        image.pwritev([b"12", b"345"], size - 4)
    with pytest.raises(qed.InvalidArgumentError):
        image.write_zeroes(size - 512, 1024)
    with pytest.raises(qed.InvalidArgumentError):
        image.discard(0, size + 1)
    assert target == b"kept"
    assert image.pread(4, size - 4) == b"tail"


def test_a_huge_read_is_refused_before_memory_is_asked_for(image: qed.Image) -> None:
    for length in (1 << 62, (1 << 64) - 1):
        with pytest.raises(qed.InvalidArgumentError):
            image.pread(length, 0)


def test_numbers_below_zero_and_past_64_bits_are_value_errors(image: qed.Image) -> None:
    for number in (-1, 1 << 64, -(1 << 70)):
        with pytest.raises(ValueError, match=str(number)):
            image.pread(1, number)
        with pytest.raises(ValueError, match=str(number)):
            image.discard(0, number)
    with pytest.raises(TypeError):
        image.pread(1.0, 0)  # type: ignore[arg-type]


def test_nothing_is_read_and_written_anywhere_inside(image: qed.Image) -> None:
    for offset in (0, 1000, image.size):
        assert image.pread(0, offset) == b""
        image.pwrite(b"", offset)
        image.preadv([], offset)
        image.write_zeroes(offset, 0)
        image.discard(offset, 0)
    with pytest.raises(qed.InvalidArgumentError):
        image.pwrite(b"", image.size + 1)


def test_zeroes_keep_clusters_and_unmap_frees_them(image: qed.Image) -> None:
    image.pwrite(b"x" * 131072, 0)
    image.write_zeroes(0, 65536)
    assert [extent.kind for extent in image.extents(0, 131072)] == ["data"]
    image.write_zeroes(0, 65536, may_unmap=True)
    kinds = [extent.kind for extent in image.extents(0, 131072)]
    assert kinds[0] in ("zero", "unallocated")
    assert kinds[1:] == ["data"]
    assert not any(image.pread(65536, 0))


def test_flags_are_keywords(image: qed.Image) -> None:
    untyped: Any = image
    with pytest.raises(TypeError):
        untyped.pwrite(b"x", 0, True)
    with pytest.raises(TypeError):
        untyped.write_zeroes(0, 512, True)
