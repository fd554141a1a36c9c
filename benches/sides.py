"""The sides of a comparison: a list of requests, sent by libqed or by `qemu-img bench`."""

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import qed
from qed._bench import BenchOptions

GIB = 1 << 30
CLUSTER = 65536
Cache = Literal["writeback", "none", "writethrough", "directsync"]
Format = Literal["qed", "qcow2", "raw"]


@dataclass(frozen=True)
class Requests:
    """What is sent: the same list to every side."""

    count: int
    length: int = 4096
    step: int = 0
    """Bytes from one to the next, modulo the disk's size; 0 is the length."""
    depth: int = 32
    threads: int = 1
    """Queues; QEMU keeps as many in flight together."""
    write: bool = False
    flush_interval: int = 0
    cache: Cache = "none"
    trace: Path | None = None

    def options(self) -> BenchOptions:
        """Return what `qed.bench` takes."""
        options: BenchOptions = {"depth": self.depth, "threads": self.threads}
        if self.trace is not None:
            return options
        options |= {"count": self.count, "length": self.length, "step": self.step}
        if self.write:
            options |= {"write": True, "pattern": 0x5A}
        if self.flush_interval:
            options["flush_interval"] = self.flush_interval
        return options

    def qemu_words(self) -> list[str]:
        """Return what `qemu-img bench` takes."""
        words = ["-c", str(self.count), "-s", str(self.length), "-S", str(self.step or self.length)]
        words += ["-d", str(self.depth * self.threads), "-t", self.cache, "-i", "io_uring"]
        words += ["-w", "--pattern", "90"] if self.write else []
        words += ["--flush-interval", str(self.flush_interval)] if self.flush_interval else []
        return words


def scattered(unit: int) -> int:
    """Return a step that visits every `unit` of a disk of 2^n bytes once, far from in order."""
    prime = {4096: 100_003, CLUSTER: 10_007}[unit]
    return unit * prime


def create(path: Path, kind: Format, size: int, backing: Path | None = None) -> None:
    """Make an empty disk by libqed; a raw one is a hole of full length."""
    path.unlink(missing_ok=True)
    if backing is None:
        qed.create(path, size, format=kind)
    else:
        qed.create(path, size, format=kind, backing=backing, backing_format="raw")


def fill(path: Path, kind: Format) -> None:
    """Write a disk through, so that what follows is in place."""
    with qed.open(path, "r+", format=kind, cache="none") as disk:
        length = 1 << 20
        count = disk.size // length
        qed.bench(disk, write=True, count=count, length=length, depth=4, flush_interval=count)


def send(path: Path, kind: Format, requests: Requests, *, warm: bool = False) -> float:
    """Send the requests by libqed, in this process, and return the seconds."""
    mode: Literal["r", "r+"] = "r+" if requests.write or requests.trace is not None else "r"
    with qed.open(path, mode, format=kind, cache=requests.cache) as disk:
        if warm:
            # A slice of a table maps 512 clusters.
            step = 512 * CLUSTER
            qed.bench(disk, count=max(disk.size // step, 1), step=step, depth=1)
        return qed.bench(disk, trace=requests.trace, **requests.options()).seconds


def send_new(
    path: Path, kind: Format, requests: Requests, size: int = GIB, backing: Path | None = None
) -> float:
    """Send the requests by libqed to a new disk, which is removed afterwards."""
    create(path, kind, size, backing)
    try:
        return send(path, kind, requests)
    finally:
        path.unlink()


def qemu_create(path: Path, kind: Format, size: int, backing: Path | None = None) -> None:
    """Make an empty disk by `qemu-img`."""
    path.unlink(missing_ok=True)
    base = [] if backing is None else ["-b", str(backing), "-F", "raw"]
    _qemu("create", "-q", "-f", kind, *base, str(path), str(size))


def qemu_fill(path: Path, kind: Format) -> None:
    """Write a disk through by `qemu-img`."""
    requests = Requests(GIB >> 20, 1 << 20, depth=4, write=True)
    qemu_send(path, kind, requests)


def qemu_send(path: Path, kind: Format, requests: Requests) -> float:
    """Send the requests by `qemu-img bench` and return the seconds that it says."""
    said = _qemu("bench", "-f", kind, *requests.qemu_words(), str(path))
    seconds = re.search(r"Run completed in ([0-9.]+) seconds", said)
    if seconds is None:
        raise RuntimeError(f"qemu-img bench said {said!r}")
    return float(seconds.group(1))


def qemu_send_new(
    path: Path, kind: Format, requests: Requests, backing: Path | None = None
) -> float:
    """Send the requests by `qemu-img bench` to a new disk, which is removed afterwards."""
    qemu_create(path, kind, GIB, backing)
    try:
        return qemu_send(path, kind, requests)
    finally:
        path.unlink()


def _qemu(*words: str) -> str:
    done = subprocess.run(["qemu-img", *words], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"qemu-img {' '.join(words)}: {done.stderr.strip()}")
    return done.stdout
