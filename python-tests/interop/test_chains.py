"""Chains of overlays whose layers are made and written by libqed and by QEMU, in any mixture."""

import itertools
from pathlib import Path

import pytest

import qed
from interop.shared import Change, Shared
from support.commands import Command
from support.images import pattern

MIB = 1 << 20
MAKERS = list(itertools.product(["ours", "theirs"], repeat=3))
# From the bottom, over a raw file: sizes and cluster sizes; the third layer reads past its base.
LAYERS = [("lower.qed", 3 * MIB, 65536), ("middle.qed", 5 * MIB, 4096), ("top.qed", 6 * MIB, 16384)]


def _changes(layer: int) -> list[Change]:
    """Return what a layer changes: parts of clusters, hidden data, space its base does not have."""
    mark = 16 * (layer + 1)
    end = LAYERS[layer][1]
    return [
        Change(100_000 * (layer + 1) + 77, 50_000, mark),
        Change((layer + 1) * 524288, 65536, "zeroes"),
        Change(2 * MIB + 4096 * layer, 10_000, mark + 1),
        Change(end - MIB + 333, 5000, mark + 2),
        Change(end - 10, 10, mark + 3),
    ]


@pytest.mark.parametrize("makers", MAKERS, ids="-".join)
def test_a_chain_reads_the_same_whoever_made_its_layers(
    qed_cli: Command, qemu_img: Command, qemu_io: Command, tmp_path: Path, makers: tuple[str, ...]
) -> None:
    # Goal: layers of libqed and of QEMU lie over each other in any order. Method: three overlays
    # over a raw file of odd length, each made and changed by one of them; then the other writes to
    # the top. Every layer is read by both, and nothing below the top has changed.
    below = pattern(3, 2 * MIB + 12345)
    (tmp_path / "root.raw").write_bytes(below)
    base, base_format = "root.raw", "raw"
    layers = []
    for number, (maker, (name, size, cluster)) in enumerate(zip(makers, LAYERS, strict=True)):
        command = qed_cli if maker == "ours" else qemu_img
        options = ["-o", f"cluster_size={cluster}", "-b", base, "-F", base_format]
        command.ok("create", "-q", "-f", "qed", *options, name, str(size))
        layer = Shared(tmp_path / name, size, below)
        if maker == "ours":
            layer.ours(*_changes(number))
        else:
            layer.theirs(qemu_io, *_changes(number))
        layers.append(layer)
        below, base, base_format = bytes(layer.content), name, "qed"
    for layer in layers:
        layer.agree(qemu_img)
    before = [layer.path.read_bytes() for layer in layers[:-1]]
    last = [Change(MIB - 5000, 10_000, 0xEE), Change(4 * MIB, MIB, 0xEF)]
    if makers[-1] == "ours":
        layers[-1].theirs(qemu_io, *last)
    else:
        layers[-1].ours(*last)
    for layer in layers:
        layer.agree(qemu_img)
    assert [layer.path.read_bytes() for layer in layers[:-1]] == before


def test_the_library_and_the_command_make_the_same_overlay(
    qed_cli: Command, qemu_img: Command, tmp_path: Path
) -> None:
    qed.create(tmp_path / "base.qed", "3M")
    paths = [tmp_path / name for name in ("library.qed", "command.qed", "qemu.qed")]
    qed.create(paths[0], backing="base.qed", backing_format="qed")
    qed_cli.ok("create", "-b", "base.qed", "-F", "qed", paths[1])
    qemu_img.ok("create", "-f", "qed", "-b", "base.qed", "-F", "qed", paths[2])
    ours, command, theirs = (path.read_bytes() for path in paths)
    assert ours == command
    # Bytes 32 to 40 are the autoclear features, where libqed says that the image is its own.
    assert (ours[:32], ours[40:]) == (theirs[:32], theirs[40:])


def test_qemu_commits_an_overlay_into_its_base(
    qemu_img: Command, qemu_io: Command, tmp_path: Path
) -> None:
    qed.create(tmp_path / "base.qed", "3M")
    base = Shared(tmp_path / "base.qed", 3 * MIB)
    base.ours(Change(0, 2 * MIB, 0x21))
    qed.create(tmp_path / "top.qed", backing="base.qed")
    top = Shared(tmp_path / "top.qed", 3 * MIB, base.content)
    top.ours(Change(1000, 100_000, 0x31), Change(2 * MIB + 5, 70_000, 0x32))
    top.theirs(qemu_io, Change(MIB, 65536, "zeroes"), Change(MIB + 300_000, 1, 0x33))
    qemu_img.ok("commit", "-q", "-f", "qed", top.path)
    base.content = top.content
    base.agree(qemu_img)
    top.agree(qemu_img)


def test_qemu_rebases_an_overlay(qemu_img: Command, tmp_path: Path) -> None:
    (tmp_path / "old.raw").write_bytes(pattern(1, MIB))
    (tmp_path / "new.raw").write_bytes(pattern(2, MIB))
    qed.create(tmp_path / "top.qed", "2M", backing="old.raw", backing_format="raw")
    top = Shared(tmp_path / "top.qed", 2 * MIB, pattern(1, MIB))
    top.ours(Change(70_000, 100_000, 0x41))
    qemu_img.ok("rebase", "-q", "-f", "qed", "-b", "new.raw", "-F", "raw", top.path)
    assert qed.info(top.path).backing == "new.raw"
    top.agree(qemu_img)
