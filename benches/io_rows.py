"""P1 to P8: lists of requests, beside a raw file and beside QEMU's drivers.

The raw file is driven by the same code at the same depth: a queue over a raw disk. Writes end with
a flush that covers all of them.
"""

import gzip
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path

from benches import counts
from benches.model import Bench, Result, Run, compare
from benches.sides import (
    CLUSTER,
    GIB,
    Cache,
    Format,
    Requests,
    create,
    fill,
    qemu_create,
    qemu_fill,
    qemu_send,
    qemu_send_new,
    scattered,
    send,
    send_new,
)

TRACE = Path(__file__).parent / "data" / "debian-install.trace.gz"
TRACE_DISK = 6 * GIB
TRACE_LINES = 8000
"""Of 40,179: with stable writes the whole of it takes minutes a pair."""

Goals = dict[str, float | None]

_OURS: tuple[Format, ...] = ("qed", "raw")
_NAMES: dict[Format, str] = {"qed": "libqed", "raw": "raw file"}
_RIVALS: tuple[Format, ...] = ("qed", "qcow2")


def p1(bench: Bench) -> Iterator[Result]:
    """Compare reads of what is allocated."""
    requests = Requests(40_000, step=scattered(4096))
    yield from _in_place(
        bench, "P1", "4 KiB random reads", requests, {"raw": 1 / 0.97, "qed": 1, "qcow2": 1}
    )


def p2(bench: Bench) -> Iterator[Result]:
    """Compare writes in place."""
    requests = Requests(30_000, step=scattered(4096), write=True, flush_interval=30_000)
    yield from _in_place(bench, "P2", "4 KiB writes in place", requests, {"raw": 1 / 0.97})


def p3(bench: Bench) -> Iterator[Result]:
    """Compare small writes, each into the next new cluster, and into clusters out of order."""
    requests = Requests(8192, step=CLUSTER, write=True, flush_interval=8192)
    work = "4 KiB writes, each into a new cluster"
    yield from _allocating(bench, "P3", work, requests, {"raw": 1.25})
    requests = replace(requests, step=scattered(CLUSTER))
    yield from _allocating(bench, "P3", f"{work}, out of order", requests, {}, rivals=())


def p4(bench: Bench) -> Iterator[Result]:
    """Compare writes of whole clusters in order."""
    requests = Requests(4096, CLUSTER, write=True, flush_interval=4096)
    work = "64 KiB sequential writes into new clusters"
    yield from _allocating(bench, "P4", work, requests, {"raw": 1.05})


def p5(bench: Bench) -> Iterator[Result]:
    """Compare small writes into new clusters, often flushed: out of order each has a sector."""
    requests = Requests(4096, step=CLUSTER, write=True, flush_interval=32)
    yield from _allocating(bench, "P5", "P3 with a flush each 32", requests, {"raw": 1.5})
    requests = replace(requests, count=2048, step=scattered(CLUSTER))
    work = "P3 with a flush each 32, out of order"
    yield from _allocating(bench, "P5", work, requests, {}, rivals=())


def p6(bench: Bench) -> Iterator[Result]:
    """Compare small writes into an overlay, which copy the rest of the cluster."""
    base = bench.folder / "base.raw"
    requests = Requests(4000, step=CLUSTER, write=True, flush_interval=4000)
    path = bench.folder / "overlay"

    def rival(kind: Format) -> Run:
        return lambda: qemu_send_new(path, kind, requests, base)

    for name in ("an empty raw base", "a raw base full of data"):
        create(base, "raw", GIB)
        if "full" in name:
            fill(base, "raw")
        work = f"4 KiB writes into an overlay over {name}"
        result = compare(
            bench,
            "P6",
            work,
            lambda: send_new(path, "qed", requests, GIB, base),
            [("QEMU qed", rival("qed"), 1 / 10), ("QEMU qcow2", rival("qcow2"), 1 / 3)],
        )
        create(path, "qed", GIB, base)
        _count(result, "P6", work, [("libqed", path, "qed", replace(requests, count=1024))])
        yield result


def p7(bench: Bench) -> Iterator[Result]:
    """Compare the installation of a Debian system, one request at a time."""
    trace = bench.folder / "install.trace"
    with gzip.open(TRACE, "rb") as whole:
        lines = list(islice(whole, TRACE_LINES))
    trace.write_bytes(b"".join(lines))
    count = sum(1 for line in lines if line[:1] in b"RWZD")
    goals: dict[Cache, float] = {
        "writeback": 1.02,
        "none": 1.02,
        "writethrough": 1.15,
        "directsync": 1.15,
    }
    for cache, goal in goals.items():
        requests = Requests(count, depth=1, cache=cache, trace=trace)

        def run(kind: Format, requests: Requests = requests) -> float:
            return send_new(bench.folder / f"install.{kind}", kind, requests, TRACE_DISK)

        work = f"a Debian installation, {cache}"
        result = compare(
            bench, "P7", work, partial(run, "qed"), [("raw file", partial(run, "raw"), goal)]
        )
        paths = []
        for kind in _OURS:
            paths.append((_NAMES[kind], bench.folder / f"install.{kind}", kind, requests))
            create(paths[-1][1], kind, TRACE_DISK)
        _count(result, "P7", work, paths)
        yield result


def p8(bench: Bench) -> Iterator[Result]:
    """Compare stable writes into new clusters: no page cache, no write cache."""
    for threads in (1, 4, 16):
        requests = Requests(
            256 * min(threads, 4),
            step=scattered(CLUSTER),
            depth=1,
            threads=threads,
            write=True,
            cache="directsync",
        )
        work = f"4 KiB direct-sync writes into new clusters, {threads} at once"
        yield from _allocating(bench, "P8", work, requests, {"raw": 1.25})


def queues(bench: Bench) -> Iterator[Result]:
    """Compare reads of what is allocated, by more and more queues."""
    paths = {kind: bench.folder / f"queues.{kind}" for kind in _OURS}
    for kind, path in paths.items():
        create(path, kind, GIB)
        fill(path, kind)
    for threads in (1, 2, 4, 8):
        requests = Requests(40_000, step=scattered(4096), depth=8, threads=threads)
        work = f"4 KiB random reads, {threads} queues of depth 8"

        def run(kind: Format, requests: Requests = requests) -> float:
            return send(paths[kind], kind, requests, warm=True)

        yield compare(
            bench,
            "queues",
            work,
            partial(run, "qed"),
            [("raw file", partial(run, "raw"), None)],
        )


def _in_place(
    bench: Bench, row: str, work: str, requests: Requests, goals: Goals
) -> Iterator[Result]:
    """Compare work on disks that were written through before."""
    for kind in _OURS:
        create(bench.folder / f"ours.{kind}", kind, GIB)
        fill(bench.folder / f"ours.{kind}", kind)
    for kind in _RIVALS:
        qemu_create(bench.folder / f"qemu.{kind}", kind, GIB)
        qemu_fill(bench.folder / f"qemu.{kind}", kind)

    def ours(kind: Format) -> Run:
        return lambda: send(bench.folder / f"ours.{kind}", kind, requests, warm=kind == "qed")

    def theirs(kind: Format) -> Run:
        return lambda: qemu_send(bench.folder / f"qemu.{kind}", kind, requests)

    others = [("raw file", ours("raw"), goals.get("raw"))]
    others += [(f"QEMU {kind}", theirs(kind), goals.get(kind)) for kind in _RIVALS]
    result = compare(bench, row, work, ours("qed"), others)
    few = _few(requests, 4096)
    sides = [(_NAMES[kind], bench.folder / f"ours.{kind}", kind, few) for kind in _OURS]
    _count(result, row, work, sides, warm=True)
    yield result


def _allocating(
    bench: Bench,
    row: str,
    work: str,
    requests: Requests,
    goals: Goals,
    rivals: tuple[Format, ...] = _RIVALS,
) -> Iterator[Result]:
    """Compare work on disks that are new each time."""

    def ours(kind: Format) -> Run:
        return lambda: send_new(bench.folder / f"new.{kind}", kind, requests)

    def theirs(kind: Format) -> Run:
        return lambda: qemu_send_new(bench.folder / f"qemu.{kind}", kind, requests)

    others = [("raw file", ours("raw"), goals.get("raw"))]
    others += [(f"QEMU {kind}", theirs(kind), goals.get(kind)) for kind in rivals]
    result = compare(bench, row, work, ours("qed"), others)
    few = _few(requests, 2048)
    for kind in _OURS:
        create(bench.folder / f"new.{kind}", kind, GIB)
    sides = [(_NAMES[kind], bench.folder / f"new.{kind}", kind, few) for kind in _OURS]
    _count(result, row, work, sides)
    yield result


def _few(requests: Requests, most: int) -> Requests:
    """Return the same with fewer requests, which tracing makes slow."""
    count = min(requests.count, most)
    interval = count if requests.flush_interval == requests.count else requests.flush_interval
    return replace(requests, count=count, flush_interval=interval)


def _count(
    result: Result,
    row: str,
    work: str,
    sides: list[tuple[str, Path, Format, Requests]],
    *,
    warm: bool = False,
) -> None:
    """Count what each side asks of the system, where that can be seen, and remove its disk."""
    for name, path, kind, requests in sides:
        if counts.available():
            counted = counts.count(path, kind, requests, warm=warm)
            result.counts.append((row, work, name, counted))
        path.unlink()
