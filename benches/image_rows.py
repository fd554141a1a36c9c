"""P9 to P12 and P14: whole images: cold tables, copies, checks, opening, memory."""

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import qed
from benches import counts, programs
from benches.model import Bench, Figure, Result, Run, compare
from benches.sides import (
    GIB,
    Format,
    Requests,
    create,
    qemu_send,
    send,
)
from benches.tables import mapped

TIB = 1 << 40


def p9(bench: Bench) -> Iterator[Result]:
    """Compare reads that find no table in memory."""
    path = bench.folder / "large.qed"
    mapped(path, TIB)
    # Never the same slice twice, of 32768, and always another table than the one before; each run
    # opens the image anew.
    requests = Requests(512, step=(1 << 25) * 61 + (1 << 16) * 11, depth=1)
    work = "cold 4 KiB random reads, 1 TiB mapped"
    result = compare(
        bench,
        "P9",
        work,
        lambda: send(path, "qed", requests),
        [("QEMU qed", lambda: qemu_send(path, "qed", requests), 1 / 5)],
    )
    if counts.available():
        result.counts.append(("P9", work, "libqed", counts.count(path, "qed", requests)))
    path.unlink()
    yield result


def p10(bench: Bench) -> Iterator[Result]:
    """Compare copies from one format to another."""
    for name, each in (("dense", 1), ("sparse", 16)):
        source = bench.folder / "source.raw"
        _some_data(source, each)
        for origin, target in _WAYS:
            path = bench.folder / f"source.{origin}"
            if origin != "raw":
                _convert(source, "raw", path, origin)
            ours, theirs = _copies(bench, path, origin, target)
            work = f"convert {origin} to {target}, 1 GiB, {name}"
            yield compare(bench, "P10", work, ours, [("QEMU", theirs, 1)])
            if origin != "raw":
                path.unlink()
        source.unlink()


def p11(bench: Bench) -> Iterator[Result]:
    """Compare checks of images that map a lot."""
    for size in (1, 8):
        path = bench.folder / "large.qed"
        mapped(path, size * TIB)

        def theirs(path: Path = path) -> float:
            # Its false leaks in files of more than 4 GiB make it end with status 3.
            return _timed("qemu-img", "check", "-q", "-f", "qed", str(path), ends=(0, 3))

        def ours(path: Path = path) -> float:
            return programs.number(bench, "in_process", "check", str(path)) / 1e3

        result = compare(bench, "P11", f"check, {size} TiB mapped", ours, [("QEMU", theirs, 1 / 3)])
        kib = programs.number(bench, "in_process", "check-memory", str(path))
        work = f"check, {size} TiB mapped: memory of the process at most"
        result.figures.append(Figure("P11", work, "", None, kib / 1024, "MiB", 64))
        path.unlink()
        yield result


def p12(bench: Bench) -> Iterator[Result]:
    """Measure opening and making images, in process, in the page cache."""
    path = bench.folder / "small.qed"
    create(path, "qed", GIB)
    with qed.open(path, "r+") as disk:
        disk.pwrite(b"\1" * 4096, 0)

    def opened() -> float:
        return programs.number(bench, "in_process", "open", str(path), "200")

    def created(cache: str) -> Run:
        return lambda: programs.number(
            bench, "in_process", "create", str(bench.folder), cache, "50"
        )

    names = ["open, first read, close", "create, unsafe", "create, writeback"]
    goals = [100, 100, None]
    medians = bench.medians(opened, created("unsafe"), created("writeback"))
    path.unlink()
    yield Result(
        [
            Figure("P12", name, "", None, median, "µs", goal)
            for name, median, goal in zip(names, medians, goals, strict=True)
        ]
    )


def p14(bench: Bench) -> Iterator[Result]:
    """Measure the memory of open images."""
    path = bench.folder / "large.qed"
    mapped(path, TIB)
    kib = programs.number(bench, "in_process", "memory", str(path), "32")
    figures = [Figure("P14", "memory of an open image, 1 TiB mapped", "", None, kib, "KiB", 2048)]
    for mib in (1, 8, 32):
        kib = programs.number(bench, "in_process", "cache", str(path), str(mib << 20))
        work = f"memory after wanting all tables (128 MiB), l2_cache_size={mib}M"
        figures.append(Figure("P14", work, "", None, kib / 1024, "MiB", mib + 2))
    path.unlink()
    yield Result(figures)


_WAYS: tuple[tuple[Format, Format], ...] = (("raw", "qed"), ("qed", "raw"), ("qcow2", "qed"))


def _some_data(path: Path, each: int) -> None:
    """Write a raw disk of 1 GiB with data in one MiB of `each`."""
    with path.open("wb") as file:
        file.truncate(GIB)
        for offset in range(0, GIB, each << 20):
            file.seek(offset)
            file.write(os.urandom(1 << 20))


def _copies(bench: Bench, source: Path, origin: Format, target: Format) -> tuple[Run, Run]:
    """Return the copy by libqed and by QEMU with its best flags; each begins without a target."""
    made = bench.folder / f"made.{target}"

    def ours() -> float:
        begun = time.perf_counter()
        _convert(source, origin, made, target)
        seconds = time.perf_counter() - begun
        made.unlink()
        return seconds

    def theirs() -> float:
        words = ["qemu-img", "convert", "-m", "16", "-W", "-t", "none", "-T", "none"]
        words += ["-f", origin, "-O", target, str(source), str(made)]
        while True:
            begun = time.perf_counter()
            done = subprocess.run(words, capture_output=True, check=False)
            seconds = time.perf_counter() - begun
            made.unlink(missing_ok=True)
            # It aborts at times where it writes QED in parallel: such a run is taken again.
            if done.returncode == 0:
                return seconds

    return ours, theirs


def _convert(source: Path, origin: Format, target: Path, kind: Format) -> None:
    with qed.open(source, format=origin, cache="none") as disk:
        qed.convert(
            disk, target, format=kind, cache="none", overwrite=True, in_order=False, workers=16
        )


def _timed(*words: str, ends: tuple[int, ...]) -> float:
    begun = time.perf_counter()
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - begun
    if done.returncode not in ends:
        raise RuntimeError(f"{' '.join(words)}: {done.stderr.strip()}")
    return seconds
