"""Random chains of mixed formats: a raw base, and overlays of other sizes and cluster sizes.

QEMU's tools make them and write into every layer; a seed makes the same chain again.
"""

from dataclasses import dataclass
from random import Random
from typing import Literal

from support.both import Side

SECTOR = 512
Format = Literal["raw", "qed", "qcow2"]

_COMMON = ["write -q -P", "write -q -P", "write -q -z -u", "discard -q"]
_KINDS: dict[Format, list[str]] = {
    # Zeroes that keep a raw file's space are preallocated there, and whether that counts as data
    # depends on what the page cache holds at the moment.
    "raw": _COMMON,
    "qed": [*_COMMON, "write -q -z"],
    "qcow2": [*_COMMON, "write -q -z", "write -q -c -P"],
}


@dataclass(frozen=True)
class Layer:
    """One image of a chain."""

    name: str
    format: Format
    size: int


def random_chain(random: Random, qemu: Side) -> list[Layer]:
    """Make a chain in QEMU's directory; return its layers from the base up."""
    chain = [Layer("layer-0.raw", "raw", _size(random))]
    _insist(qemu, "create", "-q", "-f", "raw", chain[0].name, str(chain[0].size))
    _write(random, qemu, chain[0])
    for depth in range(1, random.randint(1, 4) + 1):
        image_format: Format = random.choice(["qed", "qcow2"])
        size = random.choice([chain[-1].size, _size(random)])
        layer = Layer(f"layer-{depth}.{image_format}", image_format, size)
        below = ("-b", chain[-1].name, "-F", chain[-1].format)
        shape = ("-o", _shape(random, image_format))
        _insist(
            qemu, "create", "-q", "-f", image_format, *shape, *below, layer.name, str(layer.size)
        )
        _write(random, qemu, layer)
        chain.append(layer)
    return chain


def any_range(random: Random, size: int) -> tuple[int, int]:
    """Return offset and length of a range within `size` bytes, aligned more often than not."""
    unit = random.choice([1, SECTOR, 4096, 65536])
    offset = random.randrange(size) // unit * unit
    longest = random.choice([unit, 16 * unit, size])
    length = max(random.randint(0, longest) // unit, 1) * unit
    return offset, min(length, size - offset)


def _size(random: Random) -> int:
    return random.randint(1, 8 << random.choice([3, 10, 10, 10])) * SECTOR


def _shape(random: Random, image_format: str) -> str:
    shape = f"cluster_size={random.choice([4096, 16384, 65536])}"
    if image_format == "qed":
        # One cluster in a table can be created by QEMU and not be opened again.
        shape += f",table_size={random.choice([2, 4, 16])}"
    return shape


def _write(random: Random, qemu: Side, layer: Layer) -> None:
    lines = [_command(random, layer) for _ in range(random.randint(0, 8))]
    done = qemu.run("qemu-io", "-f", layer.format, layer.name, stdin="\n".join(lines).encode())
    # A compressed cluster may be written once only: that alone may fail.
    assert done.out.count("failed") <= sum(" -c " in line for line in lines), (lines, done)


def _command(random: Random, layer: Layer) -> str:
    offset, length = any_range(random, layer.size)
    kind = random.choice(_KINDS[layer.format])
    if " -c " in kind:
        offset, length = offset // 65536 * 65536, 65536
        if offset + length > layer.size:
            kind = "write -q -P"
            length = layer.size - offset
    if kind.endswith("-P"):
        kind += f" {random.randrange(256)}"
    return f"{kind} {offset} {length}"


def _insist(qemu: Side, *words: str) -> None:
    done = qemu.run("qemu-img", *words)
    assert done.status == 0, (words, done)
