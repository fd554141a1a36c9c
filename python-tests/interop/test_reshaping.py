"""Commit, rebase and resize of random chains, by QEMU and by libqed: the same guest bytes.

Each layer that may still be used afterwards is read by both, on both sides. Where QEMU cannot do
what was asked, or does something else, that is named and asserted. QED_CHAINS says how many chains
are tried; what fails names its seed.
"""

import os
from pathlib import Path

import pytest

import qed
from interop.twins import Twins
from scripts.layers import SECTOR, Layer
from support.both import Side

SEEDS = range(int(os.environ.get("QED_CHAINS", "5")))


def _lies_over_more(twins: Twins, place: int) -> bool:
    """Return whether a layer's backing file would show something behind the layer's end."""
    return place > 0 and twins.layers[place - 1].size > twins.layers[place].size


def _padded(content: bytes, size: int) -> bytes:
    return content[:size].ljust(size, b"\0")


@pytest.mark.parametrize("seed", SEEDS)
def test_a_commit_gives_the_base_what_the_image_reads_as(tmp_path: Path, seed: int) -> None:
    # Goal: afterwards the base reads as the image did, and so does the image over it; where the
    # base is longer its end stays. Method: into the backing file, or further down with -b.
    twins = Twins(tmp_path, seed)
    top = twins.top
    place = twins.random.randrange(len(twins.layers) - 1)
    base, words = twins.layers[place], ["-b", twins.layers[place].name]
    before, below = twins.agree(top, base)
    if place == len(twins.layers) - 2 and twins.random.random() < 0.5:
        words = twins.random.choice([[], ["-d"]])
    if base.format == "qcow2" and base.size < top.size:
        # libqed cannot make a qcow2 image longer, and then changes nothing.
        refused = twins.both.qed.run("qemu-img", "commit", *words, "-f", "qed", top.name)
        assert (refused.status, refused.out) == (1, "")
        assert "qcow2" in refused.err
        assert twins.agree(top, base) == [before, below]
        return
    if base.format == "qed" and base.size < top.size and _lies_over_more(twins, place):
        # QEMU's driver cannot make the base longer there, and then changes nothing.
        theirs, ours = twins.both.run("qemu-img", "commit", *words, "-f", "qed", top.name)
        assert (theirs.status, theirs.out) == (1, "")
        assert (ours.status, ours.out, ours.err) == (0, "Image committed.\n", "")
        assert twins.read(twins.both.qemu, base) == below
        assert twins.read(twins.both.qed, base) == before
        twins.insist_sound(base)
        return
    assert twins.do("commit", *words, "-f", "qed", top.name).out == "Image committed.\n"
    content = twins.agree(base, *twins.layers[:place])
    assert content[0] == before + below[len(before) :]
    if place == len(twins.layers) - 2:
        assert twins.agree(top) == [before]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("onto", ["a layer below", "another file", "nothing"])
def test_a_rebase_changes_what_lies_below_and_nothing_above(
    tmp_path: Path, seed: int, onto: str
) -> None:
    # Goal: the image reads as before over the new file, of whatever size, and the files below have
    # not changed. Method: each kind of new backing file, one after the other, then none.
    twins = Twins(tmp_path, seed)
    top = twins.top
    (before,) = twins.agree(top)
    below = [*twins.layers[:-1], twins.extra]
    contents = twins.agree(*below)
    new = twins.extra if onto == "another file" else twins.random.choice(twins.layers[:-1])
    words = ["-b", ""] if onto == "nothing" else ["-b", new.name, "-F", new.format]
    assert twins.do("rebase", "-f", "qed", *words, top.name).status == 0
    assert twins.agree(top) == [before]
    assert twins.agree(*below) == contents
    for side in (twins.both.qemu, twins.both.qed):
        named = qed.info(side.directory / top.name).backing
        assert named == (None if onto == "nothing" else new.name)


@pytest.mark.parametrize("seed", SEEDS)
def test_an_unsafe_rebase_changes_the_name_alone(tmp_path: Path, seed: int) -> None:
    # Goal: the same clusters over another file: what it holds shows wherever the image has none.
    twins = Twins(tmp_path, seed)
    top, new = twins.top, twins.random.choice([*twins.layers[:-1], twins.extra])
    before = _own(twins.both.qed, top)
    words = ("-u", "-f", "qed", "-b", new.name, "-F", new.format, top.name)
    assert twins.do("rebase", *words).status == 0
    assert _own(twins.both.qed, top) == before
    over, below = twins.agree(top, new)
    below = _padded(below, top.size)
    for kind, start, length in before:
        if kind == "unallocated":
            assert over[start : start + length] == below[start : start + length]


def _own(side: Side, layer: Layer) -> list[tuple[str, int, int]]:
    """Return where the image itself has data, zeroes, and nothing."""
    with qed.inspect(side.directory / layer.name) as image:
        return [(extent.kind, extent.offset, extent.length) for extent in image.extents()]


@pytest.mark.parametrize("seed", SEEDS)
def test_a_longer_disk_shows_zeroes_behind_its_old_end(tmp_path: Path, seed: int) -> None:
    # Goal: growing adds zeroes, also over a longer backing file, and changes nothing else; the file
    # below stays. Method: any layer of a chain, which is looked at through those below it.
    twins = Twins(tmp_path, seed)
    place = twins.random.randrange(len(twins.layers))
    layer = twins.layers[place]
    before, *below = twins.agree(layer, *twins.layers[:place])
    size = layer.size + twins.random.choice([1, 7, 200, 5000]) * SECTOR
    words = ("resize", "-f", layer.format, layer.name, str(size))
    ours = twins.both.qed.run("qemu-img", *words)
    if layer.format == "qcow2":
        assert (ours.status, ours.out) == (1, "")
        assert "qcow2" in ours.err
        return
    assert (ours.status, ours.out) == (0, "Image resized.\n"), ours
    grown = _padded(before, size)
    assert twins.read(twins.both.qed, layer) == grown
    twins.insist_sound(layer)
    theirs = twins.both.qemu.run("qemu-img", *words)
    if layer.format == "qed" and _lies_over_more(twins, place):
        # QEMU's driver cannot put zeroes over what a longer backing file would show, and says so.
        assert (theirs.status, theirs.out) == (1, "")
        assert twins.read(twins.both.qemu, layer) == before
    else:
        assert theirs == ours
        assert twins.read(twins.both.qemu, layer) == grown
    assert twins.agree(*twins.layers[:place]) == below


@pytest.mark.parametrize("seed", SEEDS)
def test_a_shorter_disk_keeps_what_it_has_left(tmp_path: Path, seed: int) -> None:
    # Goal: what is cut off is gone for good, and the rest stays. Method: the top of a chain, which
    # QEMU cannot shrink, and a raw file, which it can; then both grow again.
    twins = Twins(tmp_path, seed)
    top, raw = twins.top, twins.extra
    before, beside = twins.agree(top, raw)
    size = twins.random.randint(1, top.size // SECTOR) * SECTOR
    words = ("resize", "--shrink", "-f", "qed", top.name, str(size))
    theirs, ours = twins.both.run("qemu-img", *words)
    if size < top.size:
        assert (theirs.status, theirs.out) == (1, "")
        assert twins.read(twins.both.qemu, top) == before
    assert (ours.status, ours.out) == (0, "Image resized.\n"), ours
    assert twins.read(twins.both.qed, top) == before[:size]
    twins.insist_sound(top)
    again = twins.both.qed.run("qemu-img", "resize", "-f", "qed", top.name, str(top.size))
    assert again.status == 0, again
    assert twins.read(twins.both.qed, top) == _padded(before[:size], top.size)
    twins.insist_sound(top)
    cut = twins.random.randint(1, raw.size)
    assert twins.do("resize", "--shrink", "-f", "raw", raw.name, str(cut)).status == 0
    assert twins.do("resize", "-f", "raw", raw.name, str(raw.size)).status == 0
    assert twins.agree(raw) == [_padded(beside[:cut], raw.size)]
