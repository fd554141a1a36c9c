"""One image, many threads: no call harms another, and none keeps the interpreter to itself."""

import gc
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import chain
from pathlib import Path

import pytest

import qed
from support.images import CLUSTER, pattern

THREADS = 8


def together(work: Callable[[int], None]) -> None:
    """Run `work(number)` in every thread, begun at the same moment; raise what any raised."""
    start = threading.Barrier(THREADS)

    def begin(number: int) -> None:
        start.wait()
        work(number)

    with ThreadPoolExecutor(THREADS) as pool:
        for result in [pool.submit(begin, number) for number in range(THREADS)]:
            result.result()


def test_writers_of_different_clusters_do_not_meet(image: qed.Image, path: Path) -> None:
    def work(number: int) -> None:
        for cluster in range(number, 160, THREADS):
            image.pwrite(pattern(cluster, 5000), cluster * CLUSTER + 777)
            if cluster % 5 == 0:
                image.flush()

    together(work)
    image.close()
    with qed.open(path) as again:
        for cluster in range(160):
            assert again.pread(5000, cluster * CLUSTER + 777) == pattern(cluster, 5000)
    assert qed.check(path).clean


def test_writers_of_one_cluster_all_count(image: qed.Image) -> None:
    # Goal: allocating writes to one cluster queue up and none is lost. Method: each thread writes
    # its own sector of every cluster, all clusters being new.
    def work(number: int) -> None:
        for cluster in range(40):
            image.pwrite(bytes([number + 1]) * 512, cluster * CLUSTER + number * 512)

    together(work)
    expected = b"".join(bytes([number + 1]) * 512 for number in range(THREADS))
    for cluster in range(40):
        assert image.pread(CLUSTER, cluster * CLUSTER) == expected.ljust(CLUSTER, b"\0")


def test_zeroes_discards_and_flushes_go_along(image: qed.Image, path: Path) -> None:
    def work(number: int) -> None:
        first = number * 20 * CLUSTER
        for turn in range(15):
            image.pwrite(pattern(turn, CLUSTER), first + turn * CLUSTER)
            image.write_zeroes(first + turn * CLUSTER, CLUSTER, may_unmap=turn % 2 == 0)
            image.pwrite(b"end", first + turn * CLUSTER + number)
            image.discard(first + 15 * CLUSTER, 4 * CLUSTER)
            image.flush()
            assert image.info().virtual_size == image.size

    together(work)
    for number in range(THREADS):
        for turn in range(15):
            block = image.pread(CLUSTER, (number * 20 + turn) * CLUSTER)
            assert block.rstrip(b"\0") == bytes(number) + b"end"
    image.close()
    assert qed.check(path).clean


def test_closing_waits_for_calls_and_ends_them_all(path: Path) -> None:
    # Goal: a call finishes whole or finds the image closed. Method: every thread writes on until
    # it is told so; one of them closes.
    qed.create(path, "10M")
    image = qed.open(path, "r+")
    written = [0] * THREADS
    running = threading.Barrier(THREADS)

    def work(number: int) -> None:
        offset = number * CLUSTER
        image.pwrite((1).to_bytes(8, "little"), offset)
        written[number] = 1
        running.wait()
        if number == 0:
            image.close()
            image.close()
            return
        for turn in range(2, 1 << 40):
            try:
                image.pwrite(turn.to_bytes(8, "little"), offset)
            except qed.InvalidArgumentError:
                return
            written[number] = turn

    together(work)
    assert image.closed
    with qed.open(path) as again:
        for number in range(THREADS):
            found = int.from_bytes(again.pread(8, number * CLUSTER), "little")
            assert found == written[number] >= 1


def test_one_iterator_hands_every_run_out_once(path: Path) -> None:
    qed.create(path, 3000 * 4096, cluster_size=4096)
    with qed.open(path, "r+") as image:
        for cluster in range(0, 3000, 2):
            image.pwrite(b"x", cluster * 4096)
        expected = list(image.extents())
        shared = image.extents()
        parts: list[list[qed.Extent]] = [[] for _ in range(THREADS)]
        together(lambda number: parts[number].extend(shared))
    assert sorted(chain(*parts), key=lambda extent: extent.offset) == expected
    for part in parts:
        assert part == sorted(part, key=lambda extent: extent.offset)


def test_one_writer_at_a_time_gets_in(path: Path) -> None:
    qed.create(path, "1M")
    entered = threading.Lock()
    counts = {"in": 0, "kept out": 0}

    def work(number: int) -> None:
        for _ in range(25):
            try:
                image = qed.open(path, "r+")
            except qed.LockedError:
                counts["kept out"] += 1
                continue
            assert entered.acquire(blocking=False)
            counts["in"] += 1
            entered.release()
            image.close()

    together(work)
    assert counts["in"] >= 1
    with qed.open(path, "r+"):
        pass


@contextmanager
def patient_interpreter() -> Iterator[None]:
    """Let no thread be interrupted: another runs only where one lets go of the interpreter."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e6)
    # Collecting garbage of earlier tests could close a file of theirs, and let go as well.
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        sys.setswitchinterval(before)


CALLS: dict[str, Callable[[qed.Image], object]] = {
    "pread": lambda image: image.pread(1 << 20, 0),
    "pread_into": lambda image: image.pread_into(bytearray(1 << 20), 0),
    "preadv": lambda image: image.preadv([bytearray(1 << 20)], 0),
    "pwrite": lambda image: image.pwrite(bytes(1 << 20), 0),
    "pwritev": lambda image: image.pwritev([bytes(1 << 20)], 0),
    "write_zeroes": lambda image: image.write_zeroes(0, 1 << 20),
    "discard": lambda image: image.discard(0, 1 << 20),
    "flush": lambda image: image.flush(),
    "info": lambda image: image.info(),
    "extents": lambda image: list(image.extents()),
}


@pytest.mark.parametrize("name", list(CALLS))
def test_a_call_lets_other_threads_run(image: qed.Image, name: str) -> None:
    # Goal: the interpreter is released around I/O. Method: with switching off, another thread can
    # only run while a call is in the engine; the calls go on until it has.
    image.pwrite(b"x" * (1 << 20), 0)
    gate, ran = threading.Lock(), threading.Event()

    def run() -> None:
        with gate:
            ran.set()

    gate.acquire()
    other = threading.Thread(target=run)
    with patient_interpreter():
        # Starting a thread lets it begin; the gate holds it until the calls go on.
        other.start()
        gate.release()
        for _ in range(100_000):
            if ran.is_set():
                break
            CALLS[name](image)
        in_time = ran.is_set()
        other.join()
    assert in_time
