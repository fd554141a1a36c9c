"""`qed check` beside `qemu-img check`: statuses, text, JSON."""

import json
import re
from pathlib import Path

import pytest

import qed
from support import zoo
from support.commands import Command
from support.images import l2_entry, put_word

STATUS = {"leaking": 3, "corrupt": 2}


def _comparable(text: str) -> str:
    """Leave out what only libqed says: where the last cluster in use ends."""
    return re.sub(r"Image end offset: \d+\n", "", text)


@pytest.mark.parametrize("name", list(zoo.ALL))
def test_status_text_and_json_are_those_of_qemu_img(
    qed_cli: Command, qemu_img: Command, qemu_io: Command, path: Path, name: str
) -> None:
    zoo.ALL[name](qemu_img, qemu_io, path)
    theirs = qemu_img.run("check", "-f", "qed", path.name)
    ours = qed_cli.run("check", "-f", "qed", path.name)
    assert ours.status == theirs.status == STATUS.get(name, 0)
    their_document = json.loads(qemu_img.run("check", "--output=json", path.name).out)
    outcome = qed_cli.run("check", "--output=json", path.name)
    assert outcome.status == ours.status
    our_document = json.loads(outcome.out)
    assert our_document.pop("image-end-offset", 0) % 4096 == 0
    if name == "corrupt":
        # How damaged clusters count as allocated and leaked is each tool's own business.
        assert our_document["corruptions"] == their_document["corruptions"] == 2
        assert our_document["check-errors"] == 0
        assert "2 errors were found on the image." in ours.out
    else:
        assert our_document == their_document
        assert _comparable(ours.out) == theirs.out


def test_quiet_leaves_only_the_status(qed_cli: Command, path: Path) -> None:
    qed.create(path, "1M")
    with path.open("ab") as file:
        file.write(bytes(65536))
    for words in (["-q"], ["--quiet", "--output=json"]):
        outcome = qed_cli.run("check", *words, path)
        assert (outcome.status, outcome.out, outcome.err) == (3, "", "")


def test_corruptions_are_named_on_standard_error(qed_cli: Command, path: Path) -> None:
    qed.create(path, "1M")
    with qed.open(path, "r+") as image:
        image.pwrite(b"x" * 131072, 0)
    put_word(path, l2_entry(path, 1), 12345)
    before = path.read_bytes()
    outcome = qed_cli.run("check", path.name)
    assert outcome.status == 2
    assert "1 errors were found on the image." in outcome.out
    (line,) = outcome.err.splitlines()
    assert line.startswith("qed: disk.qed: ")
    assert "guest cluster 1" in line
    assert path.read_bytes() == before
    assert qed_cli.run("check", "--output=json", path.name).err == ""


def test_what_is_no_qed_image_does_not_support_checks(
    qed_cli: Command, qemu_img: Command, tmp_path: Path
) -> None:
    (tmp_path / "disk.raw").write_bytes(bytes(65536))
    for words in (["disk.raw"], ["-f", "qed", "disk.raw"]):
        ours, theirs = qed_cli.run("check", *words), qemu_img.run("check", *words)
        assert ours.status == theirs.status
        assert (ours.out, ours.err.count("\n")) == ("", 1)
    assert qed_cli.run("check", "disk.raw").status == 63


def test_an_image_that_cannot_be_opened_is_a_failed_check(qed_cli: Command, path: Path) -> None:
    qed.create(path, "1M")
    put_word(path, 16, 1 << 40)
    outcome = qed_cli.run("check", path)
    assert outcome.status == 1
    assert "0x10000000000" in outcome.err
