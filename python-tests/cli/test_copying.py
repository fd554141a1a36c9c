"""`qed convert`, `qed dd` and `qed compare`: what they copy, where to, and what they leave."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

import qed
from support.commands import Command
from support.images import pattern

MIB = 1 << 20


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Return a raw disk with data at both ends and in the middle."""
    path = tmp_path / "source.raw"
    content = bytearray(3 * MIB + 512)
    for offset in (0, MIB + 4096, len(content) - 512):
        content[offset : offset + 512] = pattern(offset + 1, 512)
    path.write_bytes(content)
    return path


def disk(path: Path) -> bytes:
    """Return what a guest reads on an image."""
    with qed.open(path, format=qed.probe(path) or "raw") as image:
        return image.pread(image.size, 0)


def test_a_disk_is_copied_and_compared(
    qed_cli: Command, qemu_img: Command, tmp_path: Path, source: Path
) -> None:
    qed_cli.ok("convert", "-f", "raw", source, "a.qed")
    qed_cli.ok("convert", "-O", "raw", "a.qed", "b.raw")
    assert (tmp_path / "b.raw").read_bytes() == source.read_bytes()
    assert qed_cli.ok("compare", "-F", "raw", "a.qed", "b.raw") == "Images are identical.\n"
    assert qemu_img.ok("compare", "-f", "qed", "-F", "raw", "a.qed", source)
    assert qemu_img.run("check", "-f", "qed", "a.qed").status == 0


def test_a_difference_is_told_with_its_byte(qed_cli: Command, tmp_path: Path, source: Path) -> None:
    other = bytearray(source.read_bytes())
    other[MIB + 5] ^= 1
    (tmp_path / "other.raw").write_bytes(other)
    outcome = qed_cli.run("compare", "-f", "raw", "-F", "raw", source, "other.raw")
    assert (outcome.status, outcome.out) == (1, f"Content mismatch at offset {MIB + 5}!\n")
    outcome = qed_cli.run("compare", "-q", "-f", "raw", "-F", "raw", source, "other.raw")
    assert (outcome.status, outcome.out, outcome.err) == (1, "", "")


def test_disks_are_put_one_behind_the_other(qed_cli: Command, tmp_path: Path, source: Path) -> None:
    qed_cli.ok("convert", "-f", "raw", source, source, "both.qed")
    assert disk(tmp_path / "both.qed") == source.read_bytes() * 2


def test_an_image_that_is_there_is_written_into(
    qed_cli: Command, tmp_path: Path, source: Path
) -> None:
    qed.create(tmp_path / "there.qed", 4 * MIB, cluster_size=4096)
    with qed.open(tmp_path / "there.qed", "r+") as image:
        image.pwrite(b"\1" * (4 * MIB), 0)
    qed_cli.ok("convert", "-n", "-f", "raw", source, "there.qed")
    assert qed.info(tmp_path / "there.qed").cluster_size == 4096
    content = source.read_bytes()
    assert disk(tmp_path / "there.qed") == content + b"\1" * (4 * MIB - len(content))
    qed.create(tmp_path / "small.qed", MIB)
    before = (tmp_path / "small.qed").read_bytes()
    outcome = qed_cli.run("convert", "-n", "-f", "raw", source, "small.qed")
    assert "output file is smaller than input file" in outcome.err
    assert (tmp_path / "small.qed").read_bytes() == before


def test_a_new_image_may_have_a_backing_file(
    qed_cli: Command, tmp_path: Path, source: Path
) -> None:
    qed_cli.ok("convert", "-f", "raw", "-B", "source.raw", "-F", "raw", source, "over.qed")
    assert qed.info(tmp_path / "over.qed").backing == "source.raw"
    assert disk(tmp_path / "over.qed") == source.read_bytes()


@pytest.mark.parametrize("target_format", ["raw", "qed"])
def test_pipes_are_read_and_written(
    qed_cli: Command, tmp_path: Path, source: Path, target_format: str
) -> None:
    # Goal: `cat disk.raw | qed convert - - | ...` in one pass. Method: a shell's real pipes.
    command = " ".join(qed_cli.program)
    size = source.stat().st_size
    done = subprocess.run(
        f"cat source.raw | {command} convert -f raw -O {target_format} -o size={size} - - > out",
        shell=True,
        cwd=tmp_path,
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert disk(tmp_path / "out") == source.read_bytes()
    done = subprocess.run(
        f"cat source.raw | {command} convert -f raw - in.qed", shell=True, cwd=tmp_path, check=True
    )
    assert disk(tmp_path / "in.qed") == source.read_bytes()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["-", "out"], "-f raw"),
        (["-f", "qed", "-", "out"], "-f raw"),
        (["-f", "raw", "-", "source.raw", "out"], "alone"),
        (["-f", "raw", "-o", "size=1G", "source.raw", "out"], "size"),
        (["-f", "raw", "-F", "raw", "source.raw", "out"], "-B"),
        (["-f", "raw", "-o", "cluster_size=5000", "source.raw", "out"], "5000"),
        (["-f", "raw", "-o", "colour=red", "source.raw", "out"], "cluster_size"),
        (["-f", "raw", "source.raw", "missing/out"], "missing/out"),
        (["-f", "raw", "-O", "raw", "source.raw", "source.raw"], "source.raw"),
    ],
)
def test_what_cannot_be_copied_leaves_nothing(
    qed_cli: Command, tmp_path: Path, source: Path, words: list[str], said: str
) -> None:
    before = source.read_bytes()
    outcome = qed_cli.run("convert", *words)
    assert (outcome.status, outcome.out) == (1, "")
    assert said in outcome.err
    assert outcome.err.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["source.raw"]
    assert source.read_bytes() == before


def test_a_reader_that_leaves_ends_the_copy(qed_cli: Command, tmp_path: Path, source: Path) -> None:
    command = " ".join(qed_cli.program)
    done = subprocess.run(
        f"({command} convert -f raw -O raw -S 0 source.raw -; echo $? > status) | head -c 1",
        shell=True,
        cwd=tmp_path,
        capture_output=True,
        check=True,
    )
    assert done.stdout == source.read_bytes()[:1]
    assert done.stderr.count(b"\n") <= 1
    assert (tmp_path / "status").read_text() == "1\n"


def test_an_interrupt_in_the_middle_leaves_nothing(qed_cli: Command, tmp_path: Path) -> None:
    # Goal: Ctrl-C ends a copy with 130. Method: a pipe that stays open holds the copy in its
    # middle until it has made its file; then it is interrupted.
    process = subprocess.Popen(
        [*qed_cli.program, "convert", "-f", "raw", "-", "out.qed"],
        cwd=tmp_path,
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    with process:
        assert process.stdin is not None
        assert process.stderr is not None
        process.stdin.write(b"\1" * MIB)
        process.stdin.flush()
        deadline = time.monotonic() + 60
        while not any(tmp_path.iterdir()) and time.monotonic() < deadline:
            os.sched_yield()
        process.send_signal(signal.SIGINT)
        said = process.stderr.read()
        process.stdin.close()
    assert (process.returncode, said) == (130, b"")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("operands", "start", "end"),
    [
        ([], 0, None),
        (["bs=1M"], 0, None),
        (["count=3"], 0, 1536),
        (["bs=4k", "skip=1"], 4096, None),
        (["bs=4k", "skip=1", "count=2"], 4096, 3 * 4096),
        (["bs=1M", "skip=3", "count=5"], 3 * MIB, None),
        (["bs=1000", "skip=2", "count=7"], 2000, 9000),
        (["count=0"], 0, 0),
        (["bs=1M", "skip=4"], 4 * MIB, None),
    ],
    ids=str,
)
def test_dd_copies_the_blocks_it_is_asked_for(
    qed_cli: Command, tmp_path: Path, source: Path, operands: list[str], start: int, end: int | None
) -> None:
    outcome = qed_cli.run("dd", "-f", "raw", "-O", "raw", f"if={source}", "of=part", *operands)
    assert outcome.status == 0
    part = source.read_bytes()[start:end]
    # A disk is whole sectors.
    assert (tmp_path / "part").read_bytes() == part + bytes(-len(part) % 512)
    assert ("cannot skip" in outcome.err) == (start > source.stat().st_size)
