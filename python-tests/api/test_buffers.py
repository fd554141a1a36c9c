"""The buffer protocol both ways: who may be read, who may be filled, and what is held still."""

import array
import mmap
from collections.abc import Iterator

import pytest

import qed


def test_anything_contiguous_can_be_written(image: qed.Image) -> None:
    numbers = array.array("I", range(1024))
    image.pwrite(numbers, 0)
    assert image.pread(4096, 0) == numbers.tobytes()
    table = memoryview(bytes(range(12))).cast("B", (3, 4))
    image.pwrite(table, 8192)
    assert image.pread(12, 8192) == bytes(range(12))
    image.pwrite(memoryview(b"0123456789")[2:5], 4096)
    assert image.pread(3, 4096) == b"234"


def test_anything_writable_can_be_filled(image: qed.Image) -> None:
    image.pwrite(bytes(range(256)) * 16, 0)
    numbers = array.array("H", bytes(4096))
    image.pread_into(numbers, 0)
    assert numbers.tobytes() == bytes(range(256)) * 16
    with mmap.mmap(-1, 4096) as memory:
        image.pread_into(memory, 0)
        assert memory[:256] == bytes(range(256))
    whole = bytearray(8)
    image.pread_into(memoryview(whole)[2:6], 16)
    assert whole == b"\0\0\x10\x11\x12\x13\0\0"


def test_what_cannot_be_filled_is_a_type_error(image: qed.Image) -> None:
    with pytest.raises(TypeError, match="read-write"):
        image.pread_into(b"constant", 0)
    with pytest.raises(TypeError, match="read-write"):
        image.preadv([bytearray(4), memoryview(b"constant")], 0)
    with pytest.raises(TypeError, match="bytes-like"):
        image.pread_into("text", 0)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="bytes-like"):
        image.pwrite("text", 0)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        image.pwritev(5, 0)  # type: ignore[arg-type]


def test_a_buffer_in_pieces_is_refused(image: qed.Image) -> None:
    with pytest.raises(BufferError):
        image.pwrite(memoryview(b"abcdef")[::2], 0)
    with pytest.raises(BufferError):
        image.pread_into(memoryview(bytearray(6))[::2], 0)


def test_one_buffer_twice_in_one_read_is_refused(image: qed.Image) -> None:
    whole = bytearray(100)
    with pytest.raises(qed.InvalidArgumentError, match="overlap"):
        image.preadv([whole, whole], 0)
    view = memoryview(whole)
    with pytest.raises(qed.InvalidArgumentError, match="overlap"):
        image.preadv([view[50:], view[:51]], 0)
    image.preadv([view[50:], view[50:50], view[:50]], 0)
    image.pwritev([whole, whole], 0)


def test_a_bytearray_cannot_be_resized_while_it_is_held(image: qed.Image) -> None:
    # Goal: memory handed to the engine stays where it is. Method: the iterable that gives the
    # buffers tries to free the first one after the library has taken it.
    first, second = bytearray(b"a" * 4096), bytearray(b"b" * 4096)
    refused = []

    def buffers() -> Iterator[bytearray]:
        yield first
        try:
            first.clear()
        except BufferError:
            refused.append(True)
        yield second

    image.pwritev(buffers(), 0)
    assert refused == [True]
    assert image.pread(8192, 0) == b"a" * 4096 + b"b" * 4096
    image.preadv(buffers(), 4096)
    assert refused == [True, True]
    assert first == b"b" * 4096
    first.clear()


def test_an_iterable_that_fails_gives_everything_back(image: qed.Image) -> None:
    first = bytearray(4096)

    def buffers() -> Iterator[bytearray]:
        yield first
        raise LookupError("no more")

    with pytest.raises(LookupError):
        image.pwritev(buffers(), 0)
    first.clear()
