"""Random chains of mixed formats read the same through libqed's tools and QEMU's.

QED_CHAINS says how many chains are tried, the first of them always the same; what fails names its
seed, and `QED_CHAINS=N pytest -k "chain and [SEED]"` repeats it.
"""

import os
import shutil
from pathlib import Path
from random import Random

import pytest

from scripts.layers import Layer, any_range, random_chain
from support.both import Both

SEEDS = range(int(os.environ.get("QED_CHAINS", "12")))
FORMATS = ("raw", "qed", "qcow2")


@pytest.mark.parametrize("seed", SEEDS)
def test_a_chain_is_mapped_alike_at_every_depth(tmp_path: Path, seed: int) -> None:
    both, random = Both(tmp_path, shared=True), Random(seed)
    chain = random_chain(random, both.qemu)
    for layer in chain:
        both.agree("qemu-img", "map", "--output=json", "-f", layer.format, layer.name)
    top = chain[-1]
    both.agree("qemu-img", "map", top.name)
    for _ in range(3):
        offset, length = any_range(random, top.size)
        window = (f"--start-offset={offset}", f"--max-length={length}")
        both.agree("qemu-img", "map", "--output=json", *window, top.name)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_chain_is_converted_to_what_it_reads_as(tmp_path: Path, seed: int) -> None:
    # Goal: flattening loses and invents nothing. Method: QEMU flattens to raw; what libqed makes of
    # the same chain, in every format and with random flags, is compared and checked by QEMU.
    both, random = Both(tmp_path, shared=True), Random(seed)
    top = random_chain(random, both.qemu)[-1]
    expected = _flattened(both, top)
    for target in FORMATS:
        flags = random.choice([[], ["-W"], ["-m", "3"], ["-S", "0"], ["-S", "64k"], ["-m16", "-W"]])
        words = ["qemu-img", "convert", *flags, "-f", top.format, "-O", target, top.name, "ours"]
        ours = both.qed.run(*words)
        assert (ours.status, ours.out, ours.err) == (0, "", ""), words
        judge = ["qemu-img", "compare", "-f", "raw", "-F", target, expected.name, "ours"]
        assert both.qemu.run(*judge).out == "Images are identical.\n", words
        if target != "raw":
            check = both.qemu.run("qemu-img", "check", "-f", target, "ours")
            assert check.status == 0, (words, check)
        else:
            assert (both.qed.directory / "ours").read_bytes() == expected.read_bytes()


@pytest.mark.parametrize("seed", SEEDS)
def test_a_chain_is_compared_alike(tmp_path: Path, seed: int) -> None:
    both, random = Both(tmp_path, shared=True), Random(seed)
    chain = random_chain(random, both.qemu)
    top = chain[-1]
    expected = _flattened(both, top)
    same = both.agree("qemu-img", "compare", "-F", "raw", top.name, expected.name)
    assert (same.status, same.out) == (0, "Images are identical.\n")
    changed = expected.with_name("changed.raw")
    for _ in range(3):
        shutil.copy(expected, changed)
        with changed.open("r+b") as file:
            file.seek(random.randrange(top.size))
            byte = file.read(1)
            file.seek(-1, os.SEEK_CUR)
            file.write(bytes([byte[0] ^ 0xFF]))
        differing = both.agree("qemu-img", "compare", "-F", "raw", top.name, changed.name)
        assert differing.status == 1
    for layer in chain[:-1]:
        both.agree(
            "qemu-img", "compare", "-f", layer.format, "-F", top.format, layer.name, top.name
        )


def _flattened(both: Both, top: Layer) -> Path:
    """Return what QEMU reads of a chain, as a raw file."""
    words = ("-f", top.format, "-O", "raw", top.name, "expected.raw")
    done = both.qemu.run("qemu-img", "convert", *words)
    assert done.status == 0, done
    return both.qemu.directory / "expected.raw"
