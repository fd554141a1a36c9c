"""`image.raw()`: an `io.RawIOBase` that behaves as a file of fixed length does."""

import gc
import hashlib
import io
import os
import tarfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import qed
from support.images import pattern

SIZE = 64 << 10

steps = st.lists(
    st.one_of(
        st.tuples(st.just("seek"), st.integers(-SIZE, 2 * SIZE), st.sampled_from([0, 1, 2, 9])),
        st.tuples(st.just("read"), st.integers(-1, SIZE), st.just(0)),
        st.tuples(st.just("readinto"), st.integers(0, SIZE), st.just(0)),
        st.tuples(st.just("write"), st.integers(0, SIZE), st.integers(1, 255)),
        st.tuples(st.just("tell"), st.just(0), st.just(0)),
    ),
    max_size=20,
)


def _step(file: io.RawIOBase, verb: str, number: int, extra: int) -> object:
    match verb:
        case "seek":
            try:
                return file.seek(number, extra)
            except (ValueError, OSError):
                return "refused"
        case "read":
            return file.read(number)
        case "readinto":
            target = bytearray(number)
            return file.readinto(target), target
        case "write":
            # Past the end a file grows, and a disk refuses: both keep to what fits.
            room = max(0, SIZE - file.tell())
            return file.write(bytes([extra]) * min(number, room)) if room else 0
        case _:
            return file.tell()


@given(steps=steps)
def test_any_sequence_does_what_a_file_of_that_length_does(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int, int]]
) -> None:
    # Goal: a raw image is an ordinary file to io. Method: random sequences against FileIO.
    directory = tmp_path_factory.mktemp("raw")
    plain = directory / "plain"
    plain.write_bytes(pattern(5, SIZE))
    qed.create(directory / "disk.qed", SIZE, cluster_size=4096)
    with qed.open(directory / "disk.qed", "r+") as image, io.FileIO(plain, "r+") as file:
        image.pwrite(plain.read_bytes(), 0)
        with image.raw() as raw:
            for verb, number, extra in steps:
                assert _step(raw, verb, number, extra) == _step(file, verb, number, extra)
        assert image.pread(SIZE, 0) == plain.read_bytes()


def test_the_end_reads_short_and_refuses_writes(image: qed.Image) -> None:
    raw = image.raw()
    assert raw.seek(-3, os.SEEK_END) == image.size - 3
    assert raw.write(b"12345") == 3
    assert raw.tell() == image.size
    with pytest.raises(qed.NoSpaceError) as caught:
        raw.write(b"x")
    assert caught.value.offset == image.size
    assert raw.write(b"") == 0
    assert raw.read(10) == b""
    raw.seek(image.size + 100)
    assert raw.readinto(bytearray(4)) == 0
    assert raw.readall() == b""
    raw.seek(-5, os.SEEK_END)
    assert raw.readall() == b"\0\x00123"
    with pytest.raises(io.UnsupportedOperation):
        raw.truncate(0)
    with pytest.raises(io.UnsupportedOperation):
        raw.fileno()


def test_what_it_says_about_itself(image: qed.Image, path: Path) -> None:
    raw = image.raw()
    assert (raw.readable(), raw.writable(), raw.seekable()) == (True, True, True)
    assert (raw.name, raw.mode, raw.isatty()) == (str(path), "rb+", False)
    image.close()
    with qed.open(path) as read_only:
        raw = read_only.raw()
        assert (raw.writable(), raw.mode) == (False, "rb")
        with pytest.raises(io.UnsupportedOperation):
            raw.write(b"x")


def test_closing_a_raw_view_leaves_the_image_open(image: qed.Image) -> None:
    raw = image.raw()
    io.BufferedReader(raw).close()
    assert raw.closed
    for call in (raw.tell, raw.readall, raw.readable, raw.writable, raw.seekable):
        with pytest.raises(ValueError, match="closed"):
            call()
    with pytest.raises(ValueError, match="closed"):
        raw.write(b"")
    del raw, call
    gc.collect()
    assert image.pread(1, 0) == b"\0"


def test_a_raw_view_of_a_closed_image_closes_quietly(path: Path) -> None:
    qed.create(path, "1M")
    with qed.open(path) as image:
        raw = image.raw()
    with pytest.raises(ValueError, match="closed"):
        raw.read(1)
    raw.close()


def test_views_have_positions_of_their_own(image: qed.Image) -> None:
    image.pwrite(b"0123456789", 0)
    first, second = image.raw(), image.raw()
    assert first.read(3) == b"012"
    assert second.read(2) == b"01"
    assert first.read(3) == b"345"


def test_buffered_streams_read_and_write(image: qed.Image) -> None:
    data = pattern(3, 300_001)
    with io.BufferedRandom(image.raw(), 4096) as stream:
        stream.seek(777)
        for start in range(0, len(data), 1000):
            stream.write(data[start : start + 1000])
        stream.seek(777)
        assert stream.read(len(data)) == data
    assert image.pread(len(data), 777) == data
    text = io.TextIOWrapper(io.BufferedReader(image.raw()), encoding="latin-1")
    assert text.read(4) == "\0\0\0\0"
    text.close()


def test_tar_zip_and_digest_work_on_an_image(image: qed.Image, tmp_path: Path) -> None:
    content = tmp_path / "content"
    content.write_bytes(pattern(8, 100_000))
    with io.BufferedWriter(image.raw()) as out, tarfile.open(fileobj=out, mode="w|") as tar:
        tar.add(content, arcname="content")
    with io.BufferedReader(image.raw()) as stream, tarfile.open(fileobj=stream) as tar:
        member = tar.extractfile("content")
        assert member is not None
        assert member.read() == content.read_bytes()
    with io.BufferedReader(image.raw()) as stream:
        digest = hashlib.file_digest(stream, "sha256")
    assert digest.digest() == hashlib.sha256(image.pread(image.size, 0)).digest()
    # A zip's directory stands at its end: give it a disk that ends with the archive.
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as packed:
        packed.write(content, "content")
    image.pwrite(archive.getvalue(), image.size - len(archive.getvalue()))
    with io.BufferedReader(image.raw()) as stream, zipfile.ZipFile(stream) as packed:
        assert packed.read("content") == content.read_bytes()


def test_any_buffer_can_be_read_into_and_written(image: qed.Image) -> None:
    raw = image.raw()
    assert raw.write(memoryview(bytes(range(12))).cast("B", (3, 4))) == 12
    raw.seek(0)
    target = memoryview(bytearray(24)).cast("I")
    assert raw.readinto(target) == 24
    assert bytes(target)[:12] == bytes(range(12))
    assert raw.readinto(bytearray()) == 0
    with pytest.raises(TypeError):
        raw.readinto(b"constant")
    with pytest.raises(TypeError):
        raw.write("text")  # type: ignore[arg-type]
