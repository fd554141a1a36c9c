"""Random chains of mixed formats read the same through libqed's tools and QEMU's.

QED_CHAINS says how many chains are tried, the first of them always the same; what fails names its
seed, and `QED_CHAINS=N pytest -k "chain and [SEED]"` repeats it.
"""

import json
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
        _insist_mapped_alike(both, "-f", layer.format, layer.name)
    top = chain[-1]
    for _ in range(3):
        offset, length = any_range(random, top.size)
        window = (f"--start-offset={offset}", f"--max-length={length}")
        _insist_mapped_alike(both, *window, top.name)
    if all(layer.format != "qcow2" for layer in chain):
        both.agree("qemu-img", "map", top.name)


def _insist_mapped_alike(both: Both, *words: str) -> None:
    theirs, ours = both.run("qemu-img", "map", "--output=json", *words)
    assert ours.status == theirs.status == 0, (theirs, ours)
    assert _runs(ours.out) == _runs(theirs.out), words


def _runs(text: str) -> list[dict[str, int]]:
    """Return a map's runs, joined where the file goes on.

    QEMU looks for holes of the file inside of qcow2's clusters, and calls them data and zero.
    libqed says what the image says: data.
    """
    runs: list[dict[str, int]] = []
    for run in json.loads(text):
        run["zero"] = run["zero"] and not run["data"]
        if runs and _continuation(runs[-1]) == run | {"length": 0}:
            runs[-1]["length"] += run["length"]
        else:
            runs.append(run)
    return runs


def _continuation(run: dict[str, int]) -> dict[str, int]:
    """Return what would go on where a run ends."""
    places = {name: run[name] + run["length"] for name in ("start", "offset") if name in run}
    return run | places | {"length": 0}


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
