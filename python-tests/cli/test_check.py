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


def _damaged(path: Path) -> None:
    """Leave two guest clusters that are one, an entry that names nothing, and leaked space."""
    qed.create(path, "1M")
    with qed.open(path, "r+") as image:
        image.pwrite(b"x" * 131072, 0)
    first = l2_entry(path, 0)
    data = int.from_bytes(path.read_bytes()[first : first + 8], "little")
    put_word(path, first + 8 * 5, data)
    put_word(path, first + 8 * 6, 12345)
    with path.open("ab") as file:
        file.write(b"z" * 131072)


def test_a_repair_says_what_it_repaired_and_is_taken_back(qed_cli: Command, path: Path) -> None:
    _damaged(path)
    before = path.read_bytes()
    tried = qed_cli.run("check", "-r", "all", "--dry-run", path.name)
    assert path.read_bytes() == before
    done = qed_cli.run("check", "-r", "all", "--undo", "undo", path.name)
    assert (done.status, done.out) == (tried.status, tried.out)
    assert done.status == 0
    assert done.out.startswith(
        "The following inconsistencies were found and repaired:\n\n"
        "    1 leaked clusters\n    2 corruptions\n\n"
        "Double checking the fixed image now...\nNo errors were found on the image.\n"
    )
    assert len(done.err.splitlines()) == 2
    with qed.open(path) as image:
        assert image.pread(65536, 5 * 65536) == b"x" * 65536
    again = qed_cli.run("repair", path.name)
    assert again.status == 0
    assert "repaired" not in again.out
    assert qed_cli.ok("repair", "--undo", "undo", path.name) == ""
    assert path.read_bytes() == before
    twice = qed_cli.run("repair", "--undo", "undo", path.name)
    assert twice.status == 1
    assert "taken back already" in twice.err


def test_leaks_alone_are_given_back(qed_cli: Command, path: Path) -> None:
    _damaged(path)
    length = path.stat().st_size
    outcome = qed_cli.run("repair", "--leaks", "--output=json", path.name)
    report = json.loads(outcome.out)
    assert (outcome.status, report["leaks-fixed"], report["corruptions"]) == (2, 2, 2)
    assert path.stat().st_size == length - 131072
    refused = qed_cli.run("repair", "--undo", "undo", "--leaks", path.name)
    assert "--leaks is for a repair" in refused.err


def test_what_qemu_repairs_is_repaired_and_told_as_it_does(
    qed_cli: Command, qemu_img: Command, tmp_path: Path
) -> None:
    # Goal: the same words and numbers where QEMU is right; sound to it where it cannot repair.
    mine, theirs = tmp_path / "mine.qed", tmp_path / "theirs.qed"
    for path in (mine, theirs):
        qed.create(path, "1M")
        with qed.open(path, "r+") as image:
            image.pwrite(b"x" * 131072, 0)
        put_word(path, l2_entry(path, 3), 1 << 40)
        put_word(path, l2_entry(path, 4), 12345)
    ours, qemus = (
        qed_cli.run("check", "-r", "all", mine),
        qemu_img.run("check", "-r", "all", theirs),
    )
    assert ours.status == qemus.status == 0
    assert _comparable(ours.out) == qemus.out
    _damaged(hard := tmp_path / "hard.qed")
    assert qed_cli.run("check", "-r", "all", hard).status == 0
    assert qemu_img.run("check", hard).status == 0


def test_a_lint_finds_and_mends_what_others_mistake(qed_cli: Command, path: Path) -> None:
    qed.create(path, "1M")
    with qed.open(path, "r+") as image:
        image.pwrite(b"x" * 131072, 0)
    put_word(path, l2_entry(path, 1), 1)
    assert qed_cli.run("lint", "--for", "qemu", path.name).status == 0
    found = qed_cli.run("lint", "--for", "virtualbox", path.name)
    assert (found.status, found.out.split(":")[:2]) == (2, ["harms", " zero-clusters"])
    mended = qed_cli.run("lint", "--for", "virtualbox", "--fix", "--output=json", path.name)
    report = json.loads(mended.out)
    assert (mended.status, report["findings"]) == (0, [])
    assert report["fixed"][0]["rule"] == "zero-clusters"
    with qed.open(path) as image:
        assert image.pread(131072, 0) == b"x" * 65536 + bytes(65536)


def test_a_probe_for_safety_says_what_is_known(qed_cli: Command, path: Path) -> None:
    qed.create(path, "1M")
    sound = qed_cli.run("probe", "--safety", path.name)
    assert sound.status == 0
    assert "safe: yes\n" in sound.out
    assert "virtual-size: 1048576\n" in sound.out
    qed.create(path, "1M", backing="base", backing_format="raw", overwrite=True)
    backed = qed_cli.run("probe", "--safety", "--output=json", path.name)
    report = json.loads(backed.out)
    assert (backed.status, report["safe"], report["backing"]) == (1, False, "base")
