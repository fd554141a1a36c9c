"""`qed info` beside `qemu-img info`."""

import json
import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import qed
from qed.cli._output import human_size, printable
from support import zoo
from support.both import Both
from support.commands import Command
from support.images import put_word


@pytest.mark.parametrize("name", list(zoo.ALL))
def test_text_and_json_are_those_of_qemu_img(
    qed_cli: Command, qemu_img: Command, qemu_io: Command, path: Path, name: str
) -> None:
    zoo.ALL[name](qemu_img, qemu_io, path)
    for file in (path.name, str(path)):
        assert qed_cli.ok("info", file) == qemu_img.ok("info", file)
        ours = json.loads(qed_cli.ok("info", "--output=json", file))
        assert ours == json.loads(qemu_img.ok("info", "--output=json", file))


@pytest.mark.parametrize(
    ("image", "backing"),
    [
        ("disk.qed", "base.raw"),
        ("sub/disk.qed", "../base.raw"),
        ("sub/disk.qed", "here.raw"),
        ("sub/disk.qed", "/absolute/base.raw"),
    ],
)
def test_where_a_backing_name_leads(
    qed_cli: Command, qemu_img: Command, tmp_path: Path, image: str, backing: str
) -> None:
    (tmp_path / "sub").mkdir()
    qemu_img.ok("create", "-q", "-f", "qed", "-u", "-b", backing, "-F", "raw", image, "1M")
    assert qed_cli.ok("info", image) == qemu_img.ok("info", image)
    ours = json.loads(qed_cli.ok("info", "--output=json", image))
    assert ours == json.loads(qemu_img.ok("info", "--output=json", image))


@pytest.mark.parametrize(
    "options", ["compat=0.10", "compat=1.1", "lazy_refcounts=on,refcount_bits=1,cluster_size=4096"]
)
def test_a_qcow2_image_tells_what_is_its_own(tmp_path: Path, options: str) -> None:
    both = Both(tmp_path)
    words = ("-q", "-f", "qcow2", "-o", options, "disk.qcow2", "1M")
    for side in (both.qemu, both.qed):
        assert side.run(str(both.qemu.tools / "qemu-img"), "create", *words).status == 0
    assert "compat" in both.agree("qemu-img", "info", "disk.qcow2").out
    assert "compat" in both.agree("qemu-img", "info", "--output=json", "disk.qcow2").out


def test_a_files_length_is_its_bytes(qed_cli: Command, tmp_path: Path) -> None:
    (tmp_path / "disk.raw").write_bytes(b"abc")
    assert "file length: 3 B (3 bytes)" in qed_cli.ok("info", "-f", "raw", "disk.raw")


@pytest.mark.parametrize("verb", ["check", "info", "map"])
def test_json_is_laid_out_as_qemus_tool_does(
    qed_cli: Command, qemu_img: Command, qemu_io: Command, path: Path, verb: str
) -> None:
    zoo.ALL["written"](qemu_img, qemu_io, path)
    ours = qed_cli.ok(verb, "--output=json", path.name)
    theirs = qemu_img.ok(verb, "--output=json", path.name)
    kept = [line for line in ours.splitlines() if "image-end-offset" not in line]
    assert kept == theirs.splitlines()


def test_an_image_left_unchecked_is_reported(qed_cli: Command, path: Path) -> None:
    qed.create(path, "1M")
    assert "cleanly shut down" not in qed_cli.ok("info", path)
    assert json.loads(qed_cli.ok("info", "--output=json", path))["dirty-flag"] is False
    put_word(path, 16, 0x2)
    assert "cleanly shut down: no\n" in qed_cli.ok("info", path)
    assert json.loads(qed_cli.ok("info", "--output=json", path))["dirty-flag"] is True


def test_no_backing_file_is_opened(qed_cli: Command, path: Path) -> None:
    # Goal: a hostile name is only printed. Method: names that are missing, a loop, or not text.
    with_name(path, b"missing/\x1b[2J\nimage: fake\xff")
    text = qed_cli.ok("info", path)
    assert "backing file: missing/\\x1b[2J\\nimage: fake\udcff (actual" in text
    assert "\nimage: fake" not in text
    document = json.loads(qed_cli.ok("info", "--output=json", path))
    assert document["backing-filename"] == "missing/\x1b[2J\nimage: fake\udcff"
    with_name(path, b"disk.qed")
    assert "backing file: disk.qed (actual path: " in qed_cli.ok("info", path)
    assert qed_cli.ok("map", path).count("\n") == 1
    assert qed_cli.run("check", path).status == 0


def with_name(path: Path, name: bytes) -> None:
    """Make an image that names a backing file which nobody looked for."""
    qed.create(path, "1M", overwrite=True)
    put_word(path, 16, 0x1)
    put_word(path, 56, 64 | len(name) << 32)
    with path.open("r+b") as file:
        file.seek(64)
        file.write(name)


def test_locks_are_respected_unless_sharing_is_forced(qed_cli: Command, path: Path) -> None:
    qed.create(path, "1M")
    with qed.open(path, "r+"):
        for verb in ("info", "check", "map"):
            outcome = qed_cli.run(verb, path)
            assert outcome.status == 1
            assert str(os.getpid()) in outcome.err
            assert "-U" in outcome.err
            qed_cli.ok(verb, "-U", path)
    with qed.open(path):
        qed_cli.ok("info", path)


def test_a_running_qemu_is_respected(qed_cli: Command, qemu_io: Command, path: Path) -> None:
    qed.create(path, "1M")
    with subprocess.Popen(
        [*qemu_io.program, "-f", "qed", path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as qemu:
        assert qemu.stdin is not None
        assert qemu.stdout is not None
        # Its prompt says that the image is open.
        assert qemu.stdout.read(len(b"qemu-io> ")) == b"qemu-io> "
        outcome = qed_cli.run("info", path)
        assert outcome.status == 1
        assert str(qemu.pid) in outcome.err
        qed_cli.ok("info", "--force-share", path)
        qemu.stdin.write(b"quit\n")
        qemu.stdin.close()
        qemu.stdout.read()
    qed_cli.ok("info", path)


@given(st.integers(0, (1 << 63) - 1))
def test_sizes_are_three_digits_and_a_unit(size: int) -> None:
    number, unit = human_size(size).split(" ")
    shift = {"B": 0, "KiB": 10, "MiB": 20, "GiB": 30, "TiB": 40, "PiB": 50, "EiB": 60}[unit]
    assert 0 <= float(number) <= 1000
    assert abs(float(number) - size / (1 << shift)) <= 0.005 * size / (1 << shift)


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "0.977 KiB"),
        (1024, "1 KiB"),
        (266240, "260 KiB"),
        (1 << 20, "1 MiB"),
        (3 << 29, "1.5 GiB"),
    ],
)
def test_sizes_as_text(size: int, text: str) -> None:
    assert human_size(size) == text


@given(st.text())
def test_printable_text_controls_no_terminal(text: str) -> None:
    shown = printable(text)
    assert all(c.isprintable() or "\udc80" <= c <= "\udcff" for c in shown)
    if text.isprintable():
        assert shown == text


def test_what_the_machine_offers_is_told_where_it_is_asked_for(
    qed_cli: Command, path: Path
) -> None:
    qed.create(path, "1M")
    refusal = qed.aio_refusal()
    engine = "io_uring" if refusal is None else "threads"
    assert f"\nqueues: {engine}" in qed_cli.ok("info", "--machine", path)
    assert "queues" not in qed_cli.ok("info", path)
    document = json.loads(qed_cli.ok("info", "--machine", "--output=json", path))
    assert document["queues"] == {"aio": engine, "refusal": refusal}
    with qed.open(path) as image, image.queue() as queue:
        assert queue.aio == engine
