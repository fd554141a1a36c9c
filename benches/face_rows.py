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
            f"64 KiB reads from the page cache, {threads} threads, pread_into of Python",
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
            f"4 KiB blocking reads from the page cache, {threads} threads",
            partial(side, "qed"),
            [("pread of a raw file", partial(side, "raw"), None)],
        )
    for path in paths.values():
        path.unlink()


def memory(bench: Bench) -> Iterator[Result]:
    """Measure reads of an image in memory by more and more threads, beside one thread."""
    threads = (1, 2, 4, 8)
    medians = bench.medians(
        *(
            lambda t=t: programs.number(bench, "in_process", "scale", str(t), "400000")
            for t in threads
        )
    )
    yield Result(
        [
            Figure(
                "scaling",
                f"reads a second from memory, {count} threads",
                "1 thread",
                medians[0] / 1e6,
                median / 1e6,
                "million",
            )
            for count, median in zip(threads, medians, strict=True)
        ]
    )


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
