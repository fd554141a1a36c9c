"""`qed create` beside `qemu-img create`: the same words make the same bytes."""

import os
from pathlib import Path

import pytest

import qed
from support.commands import Command


@pytest.mark.parametrize(
    "words",
    [
        ["10G"],
        ["0"],
        ["1000"],
        ["1.5M"],
        ["-o", "cluster_size=4096,table_size=2", "1M"],
        ["-o", "cluster_size=128k", "-o", "table_size=8", "2T"],
        ["-o", "size=5M"],
        ["-b", "base.raw", "-F", "raw"],
        ["-b", "base.raw", "-F", "raw", "7M"],
        ["-o", "backing_file=base.raw,backing_fmt=raw", "512"],
        ["-o", "backing_file=ba,,se.raw,backing_fmt=raw"],
        ["-b", "base.qed", "-F", "qed"],
    ],
    ids=" ".join,
)
def test_the_same_words_make_the_same_image_and_say_the_same(
    qed_cli: Command, qemu_img: Command, tmp_path: Path, words: list[str]
) -> None:
    # Goal: scripts need not know which tool they call. Method: both make an image of one name;
    # output, headers and length are compared, libqed's own autoclear bits (F1.5) left out.
    for name in ("base.raw", "ba,se.raw"):
        (tmp_path / name).write_bytes(bytes(3 << 20))
    qed.create(tmp_path / "base.qed", "4M")
    path = tmp_path / "disk.qed"
    theirs = (qemu_img.ok("create", "-f", "qed", path, *words), path.read_bytes())
    path.unlink()
    ours = (qed_cli.ok("create", "-f", "qed", path, *words), path.read_bytes())
    assert ours[0] == theirs[0]
    assert len(ours[1]) == len(theirs[1])
    assert ours[1][:32] == theirs[1][:32]
    assert ours[1][40:4096] == theirs[1][40:4096]
    assert qemu_img.run("check", "-f", "qed", path).status == 0


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], "size"),
        (["10Q"], "10Q"),
        (["-1"], "-1"),
        (["65T"], "70368744177664"),
        (["-o", "cluster_size=5000", "1M"], "5000"),
        (["-o", "table_size=3", "1M"], "3"),
        (["-o", "cluster_size=many", "1M"], "many"),
        (["-o", "colour=red", "1M"], "cluster_size"),
        (["-o", "size=1M", "2M"], "only once"),
        (["-o", "backing_file=a", "-b", "b", "2M"], "backing is given twice"),
        (["-o", "", "1M"], "option list"),
        (["-b", "", "1M"], "empty"),
        (["-b", "nope.raw", "-F", "raw"], "nope.raw"),
        (["-b", "base.raw"], "base.raw"),
        (["-u", "-b", "base.raw", "1M"], "backing format"),
        (["-u", "-b", "base.raw", "-F", "raw"], "needs a size"),
        (["-F", "raw", "1M"], "backing"),
        (["-f", "raw", "-b", "base.raw", "-F", "raw"], "not supported for file format 'raw'"),
        (["-b", "base.raw", "-F", "vmdk"], "vmdk"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_is_refused_is_named_and_leaves_nothing(
    qed_cli: Command, tmp_path: Path, words: list[str], expected: str
) -> None:
    (tmp_path / "base.raw").write_bytes(bytes(4096))
    # Behind `--`, `-1` is a size and no option.
    separator = ["--"] if words[:1] == ["-1"] else []
    outcome = qed_cli.run("create", *separator, "new.qed", *words)
    assert (outcome.status, outcome.out) == (1, "")
    assert expected in outcome.err
    assert outcome.err.count("\n") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["base.raw"]


def test_a_file_that_exists_is_overwritten(qed_cli: Command, tmp_path: Path) -> None:
    path = tmp_path / "disk.qed"
    path.write_bytes(b"old" * 1_000_000)
    qed_cli.ok("create", path, "1M")
    assert path.stat().st_size == 5 * 65536
    outcome = qed_cli.run("create", "-o", "overwrite=off", path, "2M")
    assert outcome.status == 1
    assert qed.info(path).virtual_size == 1 << 20


def test_an_image_in_use_is_not_overwritten(qed_cli: Command, path: Path) -> None:
    qed.create(path, "1M")
    before = path.read_bytes()
    with qed.open(path):
        outcome = qed_cli.run("create", path, "2M")
    assert outcome.status == 1
    assert str(os.getpid()) in outcome.err
    assert path.read_bytes() == before


def test_quiet_prints_nothing(qed_cli: Command) -> None:
    assert qed_cli.ok("create", "-q", "a.qed", "1M") == ""


def test_the_options_are_listed_like_qemu_img_does(qed_cli: Command, qemu_img: Command) -> None:
    ours = qed_cli.ok("create", "-f", "qed", "-o", "help").splitlines()
    theirs = qemu_img.ok("create", "-f", "qed", "-o", "help").splitlines()
    names = {line.split("=")[0] for line in theirs if "=<" in line}
    assert names <= {line.split("=")[0] for line in ours}
    assert qed_cli.ok("create", "-o", "?").splitlines() == ours
