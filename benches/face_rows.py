"""P13 and what blocking calls cost: the same reads from C, from Rust and from Python."""

import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import qed
from benches import programs
from benches.model import Bench, Figure, Result, compare
from benches.sides import GIB, create, fill

_COUNT = 40_000
_LARGE = 65536
_LARGE_COUNT = 16_384


def p13(bench: Bench) -> Iterator[Result]:
    """Compare P1 from C and Rust, and blocking 64 KiB reads from Python and Rust."""
    path = bench.folder / "faces.qed"
    create(path, "qed", GIB)
    fill(path, "qed")
    words = [str(path), "4096", "32", str(_COUNT)]
    yield compare(
        bench,
        "P13",
        "4 KiB random reads, depth 32, from C",
        lambda: programs.number(bench, "reads", *words),
        [("Rust", lambda: programs.number(bench, "in_process", "queue", *words), 1.02)],
    )
    for threads in (1, 2, 4):

        def rust(threads: int = threads) -> float:
            sides = ["calls", "qed", str(path), str(_LARGE), str(threads), str(_LARGE_COUNT)]
            return programs.number(bench, "in_process", *sides)

        yield compare(
            bench,
            "P13",
            f"64 KiB reads from the page cache, {_threads(threads)}, pread_into of Python",
            partial(_python, path, threads),
            [("Rust", rust, 1.15)],
        )
    path.unlink()


def calls(bench: Bench) -> Iterator[Result]:
    """Compare blocking reads that the page cache answers: the look-up and the call itself."""
    paths = {"qed": bench.folder / "calls.qed", "raw": bench.folder / "calls.raw"}
    create(paths["qed"], "qed", GIB)
    fill(paths["qed"], "qed")
    create(paths["raw"], "raw", GIB)
    fill(paths["raw"], "raw")
    for threads in (1, 2):

        def side(kind: str, threads: int = threads) -> float:
            words = [kind, str(paths[kind]), "4096", str(threads), "400000"]
            return programs.number(bench, "in_process", "calls", *words)

        yield compare(
            bench,
            "calls",
            f"4 KiB blocking reads from the page cache, {_threads(threads)}",
            partial(side, "qed"),
            [("pread of a raw file", partial(side, "raw"), None)],
        )
    for path in paths.values():
        path.unlink()


def memory(bench: Bench) -> Iterator[Result]:
    """Measure requests to an image in memory by more and more threads, beside one thread.

    Copies between two buffers show what the machine gives to threads that share nothing.
    """
    numbers = (1, 2, 4, 8)
    for work, named in (
        ("copies", "copies without an image"),
        ("reads", "512-byte reads in memory"),
        ("writes", "512-byte writes in place in memory"),
    ):
        for kind, what in (("clock", "by the clock"), ("processor", "processor time")):

            def each(threads: int, work: str = work, kind: str = kind) -> float:
                words = [work, kind, str(threads), str(4_000_000 // threads)]
                return programs.number(bench, "in_process", "scale", *words)

            alone, *together = bench.medians(*(partial(each, threads) for threads in numbers))
            figures = []
            for threads, median in zip(numbers[1:], together, strict=True):
                label = f"{named}, {threads} threads, {what}"
                goal = 1 / 1.8 if (work, kind, threads) == ("reads", "clock", 2) else None
                figures.append(Figure("memory", label, "1 thread", alone, median, "ns", goal))
            yield Result(figures)


def _threads(count: int) -> str:
    return "1 thread" if count == 1 else f"{count} threads"


def _python(path: Path, threads: int) -> float:
    """Read by threads of Python, as `in_process calls` does by Rust's; return the seconds."""
    with qed.open(path, cache="writeback") as disk:
        blocks = disk.size // _LARGE
        each = _LARGE_COUNT // threads

        def read(first: int, count: int) -> None:
            buffer = bytearray(_LARGE)
            for index in range(first, first + count):
                disk.pread_into(buffer, index * 100_003 % blocks * _LARGE)

        read(0, min(blocks, _LARGE_COUNT))
        workers = [
            threading.Thread(target=read, args=(number * each, each)) for number in range(threads)
        ]
        begun = time.perf_counter()
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        return time.perf_counter() - begun
