"""A tour on an image of yours: `demo.py IMAGE DIRECTORY`.

Lists what IMAGE holds, puts an overlay over it in DIRECTORY, writes to the overlay, verifies, and
closes. IMAGE itself is only read. Then the other way round: an image made by qemu-img and written
by qemu-io is opened, read, extended with new data, and handed back to QEMU for its judgement.
"""

import subprocess
import sys
from collections import Counter
from pathlib import Path

import qed

MARK = b"written by libqed"


def describe(path: Path) -> None:
    """Print what an image says about itself and how much of it is where."""
    with qed.inspect(path) as layer:
        info = layer.info()
        sizes: Counter[str] = Counter()
        runs = 0
        for extent in layer.extents():
            sizes[extent.kind] += extent.length
            runs += 1
    print(f"{path}: {info.virtual_size} bytes in clusters of {info.cluster_size}")
    if info.backing is not None:
        print(f"  over {info.backing}")
    summary = ", ".join(f"{size} bytes {kind}" for kind, size in sorted(sizes.items()))
    print(f"  {runs} extents: {summary or 'nothing'}")


def overlay(base: Path, directory: Path) -> Path:
    """Write to a new overlay over `base`, and verify that both read as they should."""
    path = directory / "overlay.qed"
    qed.create(path, backing=base.resolve(), backing_format="qed", overwrite=True)
    # The base lies outside the overlay's directory, and it is ours to name: hence "follow".
    with qed.open(path, "r+", backing_policy="follow") as image:
        middle = image.size // 2 // 512 * 512
        before = image.pread(min(4096, image.size - middle), middle)
        image.pwrite(MARK[: len(before)], middle)
        image.flush()
        after = image.pread(len(before), middle)
        assert after == MARK[: len(before)] + before[len(MARK) :]
    with qed.open(base, backing_policy="follow") as image:
        assert image.pread(len(before), middle) == before
    print(f"wrote {len(MARK)} bytes at {middle} of the overlay; {base.name} is unchanged")
    return path


def from_qemu(directory: Path) -> Path:
    """Open an image that QEMU made and wrote to, extend it, and let QEMU read it."""
    path = directory / "from-qemu.qed"
    _run("qemu-img", "create", "-q", "-f", "qed", path, "64M")
    _run("qemu-io", "-f", "qed", "-c", "write -q -P 0xaa 1M 128k", path)
    with qed.open(path, "r+") as image:
        assert image.pread(128 << 10, 1 << 20) == b"\xaa" * (128 << 10)
        image.pwrite(b"\xbb" * (1 << 20), 32 << 20)
        image.write_zeroes(1 << 20, 64 << 10, may_unmap=True)
    for command in (
        "read -q -P 0x00 1M 64k",
        "read -q -P 0xaa 1088k 64k",
        "read -q -P 0xbb 32M 1M",
    ):
        _run("qemu-io", "-r", "-f", "qed", "-c", command, path)
    print("QEMU reads back what libqed wrote into QEMU's image")
    return path


def main(arguments: list[str]) -> int:
    """Run the tour."""
    if len(arguments) != 2:
        print(__doc__, file=sys.stderr)
        return 1
    base, directory = map(Path, arguments)
    describe(base)
    for path in (overlay(base, directory), from_qemu(directory)):
        describe(path)
        report = qed.check(path)
        print(f"  check: {report.corruptions} corruptions, {report.leaks} leaks")
        if not report.clean:
            return 1
    return 0


def _run(program: str, *words: str | Path) -> None:
    done = subprocess.run([program, *words], capture_output=True, text=True, check=False)
    if done.returncode != 0 or "Pattern verification failed" in done.stdout:
        raise SystemExit(f"{program} failed: {done.stdout}{done.stderr}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
