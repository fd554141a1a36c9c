"""`qed bench` beside `qemu-img bench`, and what only ours does."""

import gzip
import json
import re
from pathlib import Path

import pytest

import qed
from support.both import Both
from support.commands import Command

CLUSTER = 65536


def timeless(text: str) -> str:
    return re.sub(r"in \d+\.\d{3} seconds", "in TIME seconds", text)


@pytest.fixture
def disk(path: Path) -> Path:
    qed.create(path, "4M")
    return path


@pytest.mark.parametrize(
    "words",
    [
        "-c 10",
        "-c 10 -d 4 -q",
        "-c 8 -s 4k -S 12k -o 8k -t none -i threads",
        "-w -c 10 -d 4 --flush-interval 4",
        "-w -c 10 -d 2 --flush-interval 4 --no-drain --pattern 7",
        "-c 010 -d 0x2",
        "--c",
        "-c x",
        "-c 1k",
        "-c 0",
        "-c 3000000000",
        "-d 0",
        "-s x",
        "-s 0",
        "-s 3G",
        "-S -1",
        "-o x",
        "-o -1",
        "-c 4 -o 5M",
        "-w --pattern 256",
        "-w --pattern x",
        "-w --flush-interval x",
        "-w -d 4 --flush-interval 2",
        "--flush-interval 64",
        "-i foo",
        "-i native",
        "-c 5 -n -t none",
        "-c 5 -i native -t directsync",
        "-c 5 -i io_uring",
        "-n -i threads",
        "-t foo",
        "-U -w",
        "--foo",
        "-f foo",
        "second-file",
    ],
)
def test_under_qemu_img_s_name_it_says_what_qemu_img_says(tmp_path: Path, words: str) -> None:
    both = Both(tmp_path)
    both.agree("qemu-img", "create", "-f", "qed", "disk.qed", "4M")
    theirs, ours = both.run("qemu-img", "bench", *words.split(), "disk.qed")
    assert ours.status == theirs.status
    assert timeless(ours.out) == timeless(theirs.out)
    assert ours.err == theirs.err.replace(str(both.qemu.tools), "").replace("/qemu-img", "qemu-img")


@pytest.mark.parametrize(
    "words",
    [
        "-c 12 -S 12k -o 4k -t none -d 1",
        "-c 6 -s 512k -S 1M -o 512k -d 1",
        "-c 20 -S 100M -d 1 --flush-interval 7",
    ],
)
def test_it_writes_what_qemu_img_writes(tmp_path: Path, words: str) -> None:
    # Goal: the same requests. Method: the disks hold the same afterwards.
    both = Both(tmp_path)
    for side in (both.qemu, both.qed):
        (side.directory / "disk.raw").write_bytes(b"\xff" * (4 << 20))
        line = ["bench", "-f", "raw", "-w", "--pattern", "90", *words.split(), "disk.raw"]
        done = side.run("qemu-img", *line)
        assert done.status == 0, done
    written = [(side.directory / "disk.raw").read_bytes() for side in (both.qemu, both.qed)]
    assert written[0].count(b"\x5a" * 4096) > 0
    assert written[0] == written[1]


@pytest.mark.parametrize("words", ["-n", "-i native", "--native -t writethrough"])
def test_native_asks_for_a_cache_mode_past_the_page_cache(
    qed_cli: Command, disk: Path, words: str
) -> None:
    outcome = qed_cli.run("bench", "-c", "4", *words.split(), disk)
    assert (outcome.status, outcome.out) == (1, "")
    assert "aio=native was specified, but it requires cache.direct=on" in outcome.err


@pytest.mark.parametrize("direct", ["none", "directsync"])
@pytest.mark.parametrize("words", ["-n", "-i native", "-i io_uring", "-i threads"])
def test_the_engine_asked_for_runs_or_the_other_one_is_said(
    qed_cli: Command, disk: Path, words: str, direct: str
) -> None:
    line = ["bench", "-c", "4", "-t", direct, *words.split()]
    said = qed_cli.ok(*line, disk).splitlines()[1]
    asked = "threads" if "threads" in words else "io_uring"
    assert said in (f"Engine: {asked}", "Engine: threads, as io_uring is not to be had")
    ran = json.loads(qed_cli.ok(*line, "--json", disk))["aio"]
    assert said.split()[1].strip(",") == ran


def test_json_has_counts_times_and_percentiles(qed_cli: Command, disk: Path) -> None:
    words = ["-w", "-c", "50", "-d", "2", "--threads", "3", "--flush-interval", "10", "-S", "64k"]
    for form in (["--json"], ["--output=json"]):
        document = json.loads(qed_cli.ok("bench", *words, *form, disk))
        assert document["filename"] == str(disk)
        assert (document["format"], document["depth"], document["threads"]) == ("qed", 2, 3)
        assert (document["writes"], document["requests"], document["flushes"]) == (50, 50, 5)
        assert document["bytes"] == 50 * 4096
        assert document["seconds"] > 0
        for latency in (document["latency"], document["flush-latency"]):
            names = ["mean-ns", "p50-ns", "p90-ns", "p99-ns", "p999-ns", "max-ns"]
            assert list(latency) == names
            assert latency["p50-ns"] <= latency["p999-ns"] <= latency["max-ns"]


def test_latencies_are_shown_when_asked_for(qed_cli: Command, disk: Path) -> None:
    lines = qed_cli.ok("bench", "-w", "-c", "9", "-d", "1", "--flush-interval", "3", disk)
    assert len(lines.splitlines()) == 4
    words = ["-w", "-c", "9", "-d", "1", "--flush-interval", "3", "--latency"]
    lines = qed_cli.ok("bench", *words, disk)
    head, requests, flushes = lines.splitlines()[4:]
    names = ["mean", "p50", "p90", "p99", "p99.9", "max"]
    assert head.split() == ["Latency,", "microseconds", *names]
    assert requests.startswith("9 requests ")
    assert flushes.startswith("3 flushes ")
    assert len(requests.split()) == len(flushes.split()) == 2 + len(names)


def test_random_offsets_are_multiples_of_the_step(qed_cli: Command, disk: Path) -> None:
    words = ["-w", "-c", "20", "-S", "64k", "-o", "1M", "--random", "--seed", "5", "--pattern", "1"]
    out = qed_cli.ok("bench", *words, disk)
    assert "(random offsets from 1048576, step size 65536)" in out
    with qed.open(disk) as image:
        data = [extent for extent in image.extents() if extent.kind == "data"]
        assert sum(extent.length for extent in data) >= 8 * CLUSTER
        assert data[0].offset >= 1 << 20
        for extent in data:
            for at in range(extent.offset, extent.end, CLUSTER):
                assert image.pread(4097, at) == b"\1" * 4096 + b"\0"


def test_a_trace_is_replayed_one_request_at_a_time(
    qed_cli: Command, disk: Path, tmp_path: Path
) -> None:
    trace = tmp_path / "install.trace.gz"
    trace.write_bytes(gzip.compress(b"W 0 8\nF 0 0\nR 0 8\n"))
    out = qed_cli.ok("bench", "--trace", trace, "--pattern", "0x41", disk)
    assert out.splitlines()[0] == f"Replaying {trace}, 1 in parallel"
    document = json.loads(qed_cli.ok("bench", "--trace", trace, "-d", "4", "--json", disk))
    assert (document["reads"], document["writes"], document["flushes"]) == (1, 1, 1)
    assert document["depth"] == 4
    with qed.open(disk) as image:
        assert image.pread(1, 0) == b"\0"


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ("--trace t -c 5", "--count has no meaning beside --trace"),
        ("--trace t -w", "--write has no meaning beside --trace"),
        ("--trace nowhere", "nowhere: No such file or directory"),
        ("--no-drain", "--no-drain goes with --flush-interval or --trace"),
        ("--pattern 1", "--pattern goes with --write or --trace"),
        ("--seed 1", "--seed goes with --random"),
        ("-d 4097 -c 5000", "4097 requests in flight: a queue takes at most 4096"),
        ("--threads 257", "257 threads: at most 256 can be"),
        ("-w -d 4 --threads 2 --flush-interval 4", "Flush interval can't be smaller than depth"),
        ("-w -U", "force-share=on can only be used with read-only images"),
    ],
)
def test_what_has_no_meaning_is_refused_in_one_line(
    qed_cli: Command, disk: Path, words: str, text: str
) -> None:
    before = disk.read_bytes()
    outcome = qed_cli.run("bench", *words.split(), disk)
    assert outcome.status == 1
    assert outcome.err.count("\n") == 1
    assert text in outcome.err
    assert disk.read_bytes() == before


def test_quiet_prints_nothing(qed_cli: Command, disk: Path) -> None:
    assert qed_cli.ok("bench", "-q", "-c", "4", disk) == ""
    assert qed_cli.ok("bench", "-q", "-c", "4", "--json", disk) == ""
