"""Operations on whole images, over random chains that libqed and QEMU have written: same bytes."""

import random
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

import qed
from interop.shared import Change, Shared
from support.commands import Command
from support.images import pattern

MIB = 1 << 20
CLUSTERS = [4096, 16384, 65536]
Operation = Callable[[qed.Image, Path], None]


def _change(chance: random.Random, size: int) -> Change:
    length = chance.choice([512, 4096, 70_000, 200_000])
    offset = chance.randrange(0, size - length)
    return Change(offset, length, chance.choice([1, 2, 3, 4, 5, "zeroes", "unmap"]))


def _whole(chance: random.Random, size: int) -> Change:
    """Change whole clusters: QEMU fills the rest of a zero cluster from the backing file (D4)."""
    length = 65536 * chance.randrange(1, 4)
    offset = 65536 * chance.randrange(0, (size - length) // 65536)
    return Change(offset, length, chance.choice([6, 7, "zeroes", "unmap"]))


def _chain(chance: random.Random, folder: Path, qemu_img: Command, qemu_io: Command) -> Shared:
    """Make a raw file under two overlays of other sizes, written in turns; return the top."""
    below = pattern(chance.randrange(100), 2 * MIB + 512 * chance.randrange(2000))
    (folder / "root.raw").write_bytes(below)
    base, base_format = "root.raw", "raw"
    for name in ("lower.qed", "top.qed"):
        size = chance.choice([2, 3, 4]) * MIB
        options = ["-o", f"cluster_size={chance.choice(CLUSTERS)}", "-b", base, "-F", base_format]
        qemu_img.ok("create", "-q", "-f", "qed", *options, folder / name, str(size))
        layer = Shared(folder / name, size, below)
        for _ in range(3):
            if chance.random() < 0.5:
                layer.ours(*[_change(chance, size) for _ in range(4)])
            else:
                layer.theirs(qemu_io, *[_whole(chance, size) for _ in range(4)])
        below, base, base_format = bytes(layer.content), name, "qed"
    return layer


def _write(image: qed.Image, changes: list[Change]) -> None:
    for change in changes:
        change.apply(image)


def _compact(image: qed.Image, _: Path) -> None:
    image.compact(batch="256k")


def _stream(image: qed.Image, _: Path) -> None:
    image.stream()


def _stream_down_to_the_root(image: qed.Image, folder: Path) -> None:
    image.stream(folder / "root.raw")


def _stream_then_compact(image: qed.Image, _: Path) -> None:
    image.stream()
    image.compact()


OPERATIONS = [_compact, _stream, _stream_down_to_the_root, _stream_then_compact]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.__name__[1:])
def test_the_guest_and_qemu_read_what_they_read_before(
    tmp_path: Path, qemu_img: Command, qemu_io: Command, operation: Operation, seed: int
) -> None:
    # Goal: what an operation moves or brings in reads as before, also what a guest writes beside
    # it, and QEMU goes on with the result. Method: a random chain, a writing thread, both readers.
    chance = random.Random(seed)
    top = _chain(chance, tmp_path, qemu_img, qemu_io)
    files = {name: (tmp_path / name).read_bytes() for name in ("root.raw", "lower.qed")}
    beside = [_change(chance, len(top.content)) for _ in range(40)]
    with qed.open(top.path, "r+", backing_policy="follow") as image:
        writer = threading.Thread(target=_write, args=(image, beside))
        writer.start()
        operation(image, tmp_path)
        writer.join()
    top.expect(beside)
    top.agree(qemu_img)
    assert {name: (tmp_path / name).read_bytes() for name in files} == files
    named = qed.info(top.path).backing
    left = {"stream_down_to_the_root": "root.raw", "compact": "lower.qed"}
    expected = left.get(operation.__name__[1:])
    assert (None if named is None else Path(named).name) == expected
    top.theirs(qemu_io, *[_whole(chance, len(top.content)) for _ in range(4)])
    top.ours(_change(chance, len(top.content)))
    top.agree(qemu_img)


@pytest.mark.parametrize("seed", range(3))
def test_what_was_read_needs_the_backing_file_no_more(
    tmp_path: Path, qemu_img: Command, qemu_io: Command, seed: int
) -> None:
    # Goal: copy-on-read brings in what is read. Method: all is read; the chain below then changes.
    top = _chain(random.Random(seed), tmp_path, qemu_img, qemu_io)
    with qed.open(top.path, "r+", backing_policy="follow", copy_on_read=True) as image:
        assert image.pread(image.size, 0) == top.content
    top.agree(qemu_img)
    (tmp_path / "root.raw").write_bytes(b"\xff" * (3 * MIB))
    top.agree(qemu_img)
