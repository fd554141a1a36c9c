"""`qed.bench`: what it sends, what it tells, and how it ends early."""

import gzip
import signal
from pathlib import Path
from typing import Literal

import pytest

import qed

MIB = 1 << 20


@pytest.fixture
def disk(path: Path) -> Path:
    qed.create(path, "4M")
    return path


def test_reads_by_default_and_tells_counts_bytes_and_latencies(disk: Path) -> None:
    with qed.open(disk) as image:
        result = qed.bench(image, count=100, length="8k", depth=4)
    assert (result.reads, result.writes, result.flushes) == (100, 0, 0)
    assert (result.requests, result.bytes) == (100, 100 * 8192)
    assert result.seconds > 0
    assert result.requests_per_second == pytest.approx(100 / result.seconds)
    assert result.bytes_per_second == pytest.approx(100 * 8192 / result.seconds)
    latency = result.latency
    ranks = [latency.p50_ns, latency.p90_ns, latency.p99_ns, latency.p999_ns, latency.max_ns]
    assert ranks[0] > 0
    assert ranks == sorted(ranks)
    assert latency.max_ns >= latency.mean_ns > 0
    assert result.flush_latency == qed.Latency(0, 0, 0, 0, 0, 0)
    assert result.to_dict()["latency"]["max_ns"] == latency.max_ns


def test_writes_the_pattern_where_it_says_and_nowhere_else(disk: Path) -> None:
    with qed.open(disk, "r+") as image:
        result = qed.bench(
            image, write=True, count=4, offset=MIB, step="64k", pattern=0x5A, flush_interval=2
        )
        assert (result.writes, result.flushes) == (4, 2)
        expected = bytearray(4 * MIB)
        for request in range(4):
            at = MIB + request * 65536
            expected[at : at + 4096] = b"\x5a" * 4096
        assert image.pread(4 * MIB, 0) == expected


def test_random_offsets_repeat_by_seed(path: Path) -> None:
    written = []
    for seed in (1, 1, 2):
        qed.create(path, "64M", overwrite=True)
        with qed.open(path, "r+") as image:
            qed.bench(image, write=True, count=20, random=True, seed=seed, threads=2, depth=3)
            written.append(sorted(e.offset for e in image.extents() if e.kind == "data"))
    assert written[0] == written[1] != written[2]
    assert len(written[0]) > 10


@pytest.mark.parametrize("compressed", [False, True])
def test_a_trace_is_replayed(disk: Path, tmp_path: Path, compressed: bool) -> None:
    text = (
        b"# two writes, one of them given back\nW 0 128\nWA 256 8\nF 0 0\nD 0 128\nZ 300 8\nR 0 1\n"
    )
    trace = tmp_path / "a.trace"
    trace.write_bytes(gzip.compress(text) if compressed else text)
    with qed.open(disk, "r+") as image:
        result = qed.bench(image, trace=trace, pattern=7, depth=4)
        assert (result.reads, result.writes, result.zero_writes) == (1, 2, 1)
        assert (result.discards, result.flushes) == (1, 1)
        assert result.bytes == (128 + 8 + 1) * 512
        assert image.pread(65536, 0) == bytes(65536)
        assert image.pread(4096, 256 * 512) == b"\7" * 4096


@pytest.mark.parametrize("aio", ["io_uring", "threads"])
def test_each_engine_reads_what_it_wrote_and_says_its_name(
    disk: Path, tmp_path: Path, aio: Literal["io_uring", "threads"]
) -> None:
    # Goal: no request is lost or misplaced at any depth. Method: every cluster is written out of
    # order through several queues, and looked at.
    with qed.open(disk, "r+") as image:
        result = qed.bench(
            image,
            write=True,
            count=1024,
            step=4096 * 333,
            depth=16,
            threads=3,
            pattern=9,
            aio=aio,
            flush_interval=48,
        )
        assert result.aio in (aio, "threads")
        assert (result.writes, result.flushes, result.bytes) == (1024, 22, 4 * MIB)
        assert image.pread(4 * MIB, 0) == b"\x09" * (4 * MIB)
        assert qed.bench(image, count=100, aio=aio, depth=100).reads == 100


def test_a_trace_that_is_none_is_an_error_that_names_its_line(disk: Path, tmp_path: Path) -> None:
    trace = tmp_path / "a.trace"
    with qed.open(disk, "r+") as image:
        trace.write_text("W 0 8\nX 0 8\n")
        with pytest.raises(ValueError, match=r"a\.trace: line 2: .*none of R, W"):
            qed.bench(image, trace=trace)
        trace.write_text("W 8192 8\n")
        with pytest.raises(ValueError, match="line 1: 4096 bytes at 4194304 pass the end"):
            qed.bench(image, trace=trace)
        trace.write_bytes(gzip.compress(b"W 0 8\n")[:-6])
        with pytest.raises(qed.Error, match=r"a\.trace: not a whole gzip file"):
            qed.bench(image, trace=trace)
        trace.unlink()
        with pytest.raises(qed.NotFoundError, match=r"a\.trace"):
            qed.bench(image, trace=trace)
        assert list(image.extents()) == [qed.Extent(0, 4 * MIB, "unallocated", None)]


def test_what_makes_no_sense_is_refused(disk: Path, tmp_path: Path) -> None:
    trace = tmp_path / "a.trace"
    trace.write_text("R 0 8\n")
    with qed.open(disk) as image:
        with pytest.raises(ValueError, match=r"unknown option .*known are depth, threads"):
            qed.bench(image, lenght=1)  # type: ignore[call-arg]
        with pytest.raises(ValueError, match="passes the end of the disk"):
            qed.bench(image, offset=4 * MIB)
        with pytest.raises(ValueError, match="depth is 0, not 1 to 4096"):
            qed.bench(image, depth=0)
        with pytest.raises(ValueError, match="threads is 257, not 1 to 256"):
            qed.bench(image, threads=257)
        with pytest.raises(ValueError, match="bytes of memory"):
            qed.bench(image, length="4M", depth=256, threads=8)
        with pytest.raises(ValueError, match=r"\"aio\" takes io_uring, threads, not \"foo\""):
            qed.bench(image, aio="foo")  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="pattern 256 is no byte"):
            qed.bench(image, write=True, pattern=256)
        with pytest.raises(ValueError, match="count has no meaning beside a trace"):
            qed.bench(image, trace=trace, count=1)
        with pytest.raises(qed.ReadOnlyError):
            qed.bench(image, write=True)


def test_progress_hears_how_far_it_is_and_ends_the_run_by_raising(disk: Path) -> None:
    calls = []
    with qed.open(disk) as image:
        qed.bench(image, count=10, progress=lambda done, total: calls.append((done, total)))
        assert calls[-1] == (10, 10)

        def enough(done: int, total: int) -> None:
            assert done < total
            raise RuntimeError("enough")

        with pytest.raises(RuntimeError, match="enough"):
            qed.bench(image, count=1 << 40, depth=2, progress=enough)
        assert image.pread(1, 0) == b"\0"


def test_an_interrupt_ends_the_run(disk: Path) -> None:
    # A run that would last for years is begun; its own progress sends the signal, once.
    def interrupt(done: int, total: int) -> None:
        signal.raise_signal(signal.SIGINT)

    with qed.open(disk) as image, pytest.raises(KeyboardInterrupt):
        qed.bench(image, count=1 << 40, depth=2, progress=interrupt)
