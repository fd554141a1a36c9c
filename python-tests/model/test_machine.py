"""Random sessions on an image beside plain bytes.

Goal: whatever is called in whatever order, an image reads as plain memory would, its extents are
true, and what it leaves is sound. Method: a state machine of hypothesis plays calls with any byte
range on small disks, with and without backing files, and compares the whole disk; half of the
disks only after every few steps, so that requests also meet what no reading has brought to memory.

QED_MODEL_EXAMPLES is how many disks each test plays, the tests with QEMU a third of it (the
default takes seconds), QED_MODEL_STEPS
how many calls on each.
"""

import functools
import os
import shutil
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

import qed
from model.disk import Disk, bytes_of, judge_extents, write_sparse
from support.commands import Command

BACKINGS = ["none", "raw", "qed"]
MAX_SIZE = 3 << 20

EXAMPLES = int(os.environ.get("QED_MODEL_EXAMPLES", "75"))
STEPS = int(os.environ.get("QED_MODEL_STEPS", "25"))

# Where (below 0: from the disk's end), how long, and what both are multiples of; there 0 stands for
# the cluster's size.
ranges = st.tuples(
    st.one_of(st.integers(0, MAX_SIZE), st.integers(-100_000, -1)),
    st.one_of(st.integers(0, 600), st.integers(0, 20_000), st.integers(0, 1_500_000)),
    st.sampled_from([1, 1, 512, 0]),
)
cuts = st.lists(st.integers(0, MAX_SIZE), max_size=5)
kinds = st.sampled_from(["random", "random", "gaps", "zeroes"])
openings = st.fixed_dictionaries(
    {},
    optional={
        "cache": st.sampled_from(["writeback", "none", "writethrough", "directsync", "unsafe"]),
        "detect_zeroes": st.sampled_from(["off", "on", "unmap"]),
        "discard": st.sampled_from(["unmap", "unmap", "ignore"]),
        "l2_cache_size": st.sampled_from([1, "4K", "16K"]),
        "trust": st.sampled_from(["normal", "untrusted"]),
    },
)


@functools.cache
def _has_direct_io(directory: Path) -> bool:
    path = directory / "probe.qed"
    qed.create(path, "1M")
    try:
        qed.open(path, cache="none").close()
    except qed.UnsupportedError:
        return False
    return True


class Session(RuleBasedStateMachine):
    """One image and the bytes it must read as."""

    def __init__(self, parent: Path, backing: str, qemu_img: Command | None) -> None:
        super().__init__()
        self.parent = parent
        self.home = parent / "session"
        self.home.mkdir()
        self.path = self.home / "disk.qed"
        self.backing = backing
        self.qemu_img = qemu_img
        self.steps = 0
        self.image: qed.Image | None = None

    @initialize(
        bits=st.integers(12, 16),
        tables=st.sampled_from([2, 4, 1]),
        sectors=st.integers(1, MAX_SIZE // 512),
        below=st.one_of(st.none(), st.integers(0, MAX_SIZE + (1 << 20))),
        rarely=st.booleans(),
        options=openings,
    )
    def create(
        self,
        bits: int,
        tables: int,
        sectors: int,
        below: int | None,
        rarely: bool,
        options: dict[str, Any],
    ) -> None:
        size = sectors * 512
        base = self.make_backing(size if below is None else below)
        given: dict[str, Any] = {"cluster_size": 1 << bits, "table_size": tables}
        if self.qemu_img is not None and tables == 1:
            given["table_size"] = 2  # D1: QEMU opens no image with 1
        if self.backing != "none":
            given |= {"backing": "base", "backing_format": self.backing}
        qed.create(self.path, size, **given)
        self.disk = Disk(1 << bits, base[:size], bytearray(base[:size].ljust(size, b"\0")))
        self.each = 7 if rarely else 1
        self.open(options)

    def make_backing(self, size: int) -> bytes:
        """Make the file `base`, of any length where it is raw; return what it reads as."""
        if self.backing == "none":
            return b""
        if self.backing == "raw":
            raw = bytes_of(size, size, "gaps")
            write_sparse(self.home / "base", raw)
            return raw
        # A chain of three: QED over a raw file of half its size.
        size -= size % 512
        root = bytes_of(size + 1, size // 2, "gaps")
        write_sparse(self.home / "root", root)
        base = self.home / "base"
        qed.create(base, size, backing="root", backing_format="raw", cluster_size=8192)
        data = bytearray(root.ljust(size, b"\0"))
        with qed.open(base, "r+") as image:
            for start in range(0, size, 100_000):
                part = bytes_of(start, min(10_000, size - start))
                image.pwrite(part, start)
                data[start : start + len(part)] = part
            image.write_zeroes(size // 5, size // 10)
            data[size // 5 : size // 5 + size // 10] = bytes(size // 10)
        return bytes(data)

    def open(self, options: dict[str, Any]) -> None:
        direct = options.get("cache") in ("none", "directsync")
        if direct and not _has_direct_io(self.parent):
            options = options | {"cache": "writeback"}
        self.options = options
        self.image = qed.open(self.path, "r+", **options)

    @property
    def open_image(self) -> qed.Image:
        assert self.image is not None
        return self.image

    def place(self, drawn: tuple[int, int, int]) -> tuple[int, int]:
        """Put a drawn range onto this disk."""
        offset, length, grain = drawn
        grain = grain or self.disk.cluster_size
        offset %= self.disk.size + 1
        offset -= offset % grain
        # A range of whole units may end with the disk, in the midst of one.
        return offset, min(-(-length // grain) * grain, self.disk.size - offset)

    def data_clusters(self) -> set[int]:
        return self.disk.clusters(self.open_image.extents())

    @rule(drawn=ranges, kind=kinds, fua=st.booleans())
    def pwrite(self, drawn: tuple[int, int, int], kind: str, fua: bool) -> None:
        offset, length = self.place(drawn)
        data = bytes_of(self.steps, length, kind)
        self.open_image.pwrite(data, offset, fua=fua)
        self.disk.put(offset, data)
        if any(data) or self.options.get("detect_zeroes", "off") == "off":
            assert self.data_clusters() >= set(self.disk.touched(offset, length))

    @rule(drawn=ranges, kind=kinds, cuts=cuts, fua=st.booleans())
    def pwritev(self, drawn: tuple[int, int, int], kind: str, cuts: list[int], fua: bool) -> None:
        offset, length = self.place(drawn)
        data = bytes_of(self.steps, length, kind)
        ends = [0, *sorted(cut % (length + 1) for cut in cuts), length]
        parts = [memoryview(data)[start:end] for start, end in pairwise(ends)]
        self.open_image.pwritev(parts, offset, fua=fua)
        self.disk.put(offset, data)

    @rule(drawn=ranges, may_unmap=st.booleans(), fua=st.booleans(), no_fallback=st.booleans())
    def write_zeroes(
        self, drawn: tuple[int, int, int], may_unmap: bool, fua: bool, no_fallback: bool
    ) -> None:
        offset, length = self.place(drawn)
        whole = set(self.disk.whole(offset, length))
        before = self.data_clusters()
        refusal: qed.UnsupportedError | None = None
        try:
            self.open_image.write_zeroes(
                offset, length, may_unmap=may_unmap, fua=fua, no_fallback=no_fallback
            )
        except qed.UnsupportedError as error:
            refusal = error
        if refusal is not None:
            assert no_fallback
            assert refusal.offset is not None
            assert offset <= refusal.offset < offset + length
            assert not (may_unmap and whole >= set(self.disk.touched(offset, length)))
            self.adopt_zeroes(offset, length)
            return
        self.disk.put(offset, bytes(length))
        if may_unmap:
            assert not self.data_clusters() & whole
        else:
            assert self.data_clusters() >= before

    def adopt_zeroes(self, offset: int, length: int) -> None:
        """Insist that what was refused half way left each cluster's part old or zeroed."""
        now = self.open_image.pread(self.disk.size, 0)
        for cluster in self.disk.touched(offset, length):
            span = self.disk.span(cluster)
            part = slice(max(span.start, offset), min(span.stop, offset + length))
            assert now[part] == self.disk.content[part] or not any(now[part]), cluster
            self.disk.content[part] = now[part]

    @rule(drawn=ranges)
    def discard(self, drawn: tuple[int, int, int]) -> None:
        offset, length = self.place(drawn)
        before = self.data_clusters()
        self.open_image.discard(offset, length)
        if self.options.get("discard", "unmap") == "unmap":
            self.disk.discard(offset, length)
            before -= set(self.disk.whole(offset, length))
        assert self.data_clusters() == before

    @rule(drawn=ranges)
    def pread(self, drawn: tuple[int, int, int]) -> None:
        offset, length = self.place(drawn)
        expected = self.disk.content[offset : offset + length]
        assert self.open_image.pread(length, offset) == expected

    @rule(drawn=ranges)
    def pread_into(self, drawn: tuple[int, int, int]) -> None:
        # Around the target stand bytes that must stay.
        offset, length = self.place(drawn)
        room = bytearray(b"\xee" * (length + 6))
        self.open_image.pread_into(memoryview(room)[3:-3], offset)
        assert room == b"\xee" * 3 + self.disk.content[offset : offset + length] + b"\xee" * 3

    @rule(drawn=ranges, cuts=cuts)
    def preadv(self, drawn: tuple[int, int, int], cuts: list[int]) -> None:
        offset, length = self.place(drawn)
        ends = [0, *sorted(cut % (length + 1) for cut in cuts), length]
        parts = [bytearray(b"\xee" * (end - start)) for start, end in pairwise(ends)]
        self.open_image.preadv(parts, offset)
        assert b"".join(parts) == self.disk.content[offset : offset + length]

    @rule(drawn=ranges)
    def read_as_a_file(self, drawn: tuple[int, int, int]) -> None:
        offset, length = self.place(drawn)
        with self.open_image.raw() as file:
            assert file.seek(offset) == offset
            assert file.read(length) == self.disk.content[offset : offset + length]
            assert file.tell() == offset + length
            assert file.readall() == self.disk.content[offset + length :]
            assert file.read(1) == b""

    @rule(drawn=ranges)
    def extents(self, drawn: tuple[int, int, int]) -> None:
        offset, length = self.place(drawn)
        extents = list(self.open_image.extents(offset, length))
        judge_extents(self.disk, self.path.read_bytes(), extents, offset, length)

    @rule()
    def flush(self) -> None:
        self.open_image.flush()

    @rule(options=openings, look=st.booleans())
    def reopen(self, options: dict[str, Any], look: bool) -> None:
        self.open_image.close()
        if look:
            before = self.path.read_bytes()
            with qed.open(self.path, **options) as image:
                assert image.pread(self.disk.size, 0) == self.disk.content
            assert self.path.read_bytes() == before
        self.open(options)

    @invariant()
    def reads_as_the_model(self) -> None:
        self.steps += 1
        if self.image is not None and self.steps % self.each == 0:
            self.compare()

    def compare(self) -> None:
        content = self.open_image.pread(self.disk.size, 0)
        if content != self.disk.content:
            pairs = enumerate(zip(content, self.disk.content, strict=True))
            at, (is_byte, must) = next(found for found in pairs if found[1][0] != found[1][1])
            raise AssertionError(f"the disk has {is_byte} at {at:#x}, not {must}")

    def teardown(self) -> None:
        try:
            # What has failed already says more than what it leaves.
            if self.image is not None and sys.exception() is None:
                self.compare()
                extents = list(self.image.extents())
                self.image.close()
                self.judge(extents)
        finally:
            if self.image is not None:
                self.image.close()
            shutil.rmtree(self.home)

    def judge(self, extents: list[qed.Extent]) -> None:
        """Insist that what the session leaves is sound and complete."""
        report = qed.check(self.path)
        assert report.clean, report
        assert report.allocated_clusters == len(self.disk.clusters(extents))
        assert report.image_end_offset <= self.path.stat().st_size
        with qed.inspect(self.path) as layer:
            assert list(layer.extents()) == extents
        judge_extents(self.disk, self.path.read_bytes(), extents, 0, self.disk.size)
        if self.qemu_img is not None:
            model = self.home / "model.raw"
            model.write_bytes(self.disk.content)
            self.qemu_img.ok("compare", "-f", "qed", "-F", "raw", self.path, model)
            # 3: space that nobody uses.
            assert self.qemu_img.run("check", "-f", "qed", self.path).status in (0, 3)


def _play(examples: int, directory: Path, backing: str, qemu_img: Command | None) -> None:
    run_state_machine_as_test(
        functools.partial(Session, directory, backing, qemu_img),  # type: ignore[arg-type]
        settings=settings(
            max_examples=examples, stateful_step_count=STEPS, report_multiple_bugs=False
        ),
    )


@pytest.mark.parametrize("backing", BACKINGS)
def test_any_session_reads_as_plain_bytes(tmp_path: Path, backing: str) -> None:
    _play(EXAMPLES, tmp_path, backing, None)


@pytest.mark.parametrize("backing", BACKINGS)
def test_any_session_leaves_what_qemu_reads(
    tmp_path: Path, qemu_img: Command, backing: str
) -> None:
    _play(max(1, EXAMPLES // 3), tmp_path, backing, qemu_img)
