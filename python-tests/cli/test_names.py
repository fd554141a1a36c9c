"""The command under QEMU's names: its words, statuses and defaults are that tool's."""

from pathlib import Path

import pytest

import qed
from qed.cli import verbs
from qed.cli._program import QED, QEMU_IMG, QEMU_IO, called
from support.both import Both
from support.commands import Command

# Lines that fail before anything is opened, and lines that fail in opening what is not there.
LINES = [
    "",
    "nosuch",
    "--nosuch",
    "-Z info",
    "-T",
    "help",
    *(
        f"{verb} --nosuch"
        for verb in ("info", "check", "create", "map", "compare", "convert", "dd")
    ),
    *(f"{verb} -f" for verb in ("info", "check", "create", "map", "compare", "convert", "dd")),
    *(f"{verb} -f nosuch disk.qed x" for verb in ("compare", "convert")),
    *(f"{verb} -f nosuch disk.qed" for verb in ("info", "check", "map")),
    *(verb for verb in ("info", "check", "create", "map", "compare", "convert", "dd")),
    *(f"{verb} missing" for verb in ("info", "check", "create", "map", "compare", "convert", "dd")),
    *(f"{verb} missing missing" for verb in ("info", "check", "map", "compare", "convert")),
    "info --out missing",
    "info --o=json missing",
    "info --out=json missing",
    "info --back missing",
    "info --help=3",
    "info --output=xml disk.qed",
    "info -qed disk.qed",
    "info -f qed -- disk.raw",
    "info .",
    "info --image-opts nosuch=1 --format qed",
    "info --image-opts driver=nosuch,file.filename=disk.qed",
    "info --image-opts driver=qed,file.filename=missing",
    "check -T nosuch disk.qed",
    "check disk.raw",
    "check -f raw disk.qed",
    "map -s 1x disk.qed",
    "map -s -1 disk.qed",
    "map -l 1x disk.qed",
    "map --max-length=-1 disk.qed",
    "compare -T nosuch disk.qed disk.qed",
    "compare -f qed disk.raw disk.raw",
    "compare -F qed disk.raw disk.raw",
    "create a 1M 2M",
    "create a 10Q",
    "create a -- -1",
    "create -f nosuch a 1M",
    "create -f qed -o colour=red a 1M",
    "create -f qed -o size=1M a 2M",
    "create -f qed -o cluster_size=many a 1M",
    "create -f qed -o size=-1 a",
    "create -f qed -b missing -F raw a",
    "create -f qed -b disk.raw a",
    "create -f qed -b disk.raw -F nosuch a",
    "create -f qed -b disk.raw -F qed a",
    "create -f raw -b disk.raw -F raw a",
    "create -f qed missing/a 1M",
    "create -f qed . 1M",
    "convert -O nosuch disk.qed a",
    "convert -S 1x disk.qed a",
    "convert -S 1000 disk.qed a",
    "convert -m 0 disk.qed a",
    "convert -m 17 disk.qed a",
    "convert -m 1x disk.qed a",
    "convert -T nosuch disk.qed a",
    "convert --target-is-zero disk.qed a",
    "convert -n -o cluster_size=4k disk.qed a",
    "convert --target-image-opts disk.qed driver=qed,file.filename=a",
    "convert -B disk.raw -F raw -O qed disk.qed disk.qed a",
    "convert -B disk.raw -O qed disk.qed a",
    "convert -B disk.raw -F raw -O raw disk.qed a",
    "convert -O qed -o colour=red disk.qed a",
    "convert -n disk.qed missing",
    "dd if=disk.qed",
    "dd of=a",
    "dd if=disk.qed of=a nosuch=1",
    "dd if=disk.qed of=a bs=0",
    "dd if=disk.qed of=a bs=1x",
    "dd if=disk.qed of=a count=-1",
    "dd if=disk.qed of=a skip=1x",
    "dd -O nosuch if=disk.qed of=a",
    "dd if=missing of=a",
    "dd if=disk.qed of=missing/a",
]


@pytest.mark.parametrize("line", LINES)
def test_what_goes_wrong_is_told_in_qemus_words(tmp_path: Path, line: str) -> None:
    both = Both(tmp_path)
    for side in (both.qemu, both.qed):
        qed.create(side.directory / "disk.qed", "1M")
        (side.directory / "disk.raw").write_bytes(bytes(1 << 20))
    # A shell finds the tool in PATH: QEMU's messages repeat the path by which it is called.
    said = both.agree("sh", "-c", f"qemu-img {line}")
    assert said.err != "", "the line is not wrong"


def test_a_name_is_the_last_part_of_the_path_that_calls() -> None:
    assert called("/usr/local/bin/qemu-img") is QEMU_IMG
    assert called("qemu-io") is QEMU_IO
    for other in ("qed", "/opt/qemu-img/qed", "qemu-img.real", "/x/qed/__main__.py", ""):
        assert called(other) is QED


def test_our_own_verbs_are_not_qemus(tmp_path: Path) -> None:
    own = {"compact", "completions", "crash", "io", "lint", "probe", "repair", "stream"}
    assert set(verbs(QED)) - set(verbs(QEMU_IMG)) == own
    ours = Both(tmp_path).qed
    for verb in sorted(own):
        assert f"Command not found: {verb}" in ours.run("qemu-img", verb, "x").err


@pytest.mark.parametrize("verb", ["amend", "bitmap", "snapshot"])
def test_a_verb_that_is_missing_says_so(tmp_path: Path, qed_cli: Command, verb: str) -> None:
    done = Both(tmp_path).qed.run("qemu-img", verb, "x")
    assert (done.status, done.err) == (1, f"qemu-img: {verb} is not supported by libqed\n")
    assert qed_cli.run(verb, "x").err == f"qed: {verb} is not supported by libqed\n"


def test_a_new_image_is_raw_to_qemu_img_and_qed_to_qed(tmp_path: Path, qed_cli: Command) -> None:
    ours = Both(tmp_path).qed
    assert ours.run("qemu-img", "create", "disk", "1M").status == 0
    assert (ours.directory / "disk").read_bytes() == bytes(1 << 20)
    qed_cli.ok("create", "disk", "1M")
    assert qed.probe(tmp_path / "disk") == "qed"


def test_a_file_without_a_mark_is_raw_to_qemu_img_and_an_error_to_qed(
    tmp_path: Path, qed_cli: Command
) -> None:
    ours = Both(tmp_path).qed
    for directory in (ours.directory, tmp_path):
        (directory / "disk").write_bytes(bytes(4096))
    assert "file format: raw\n" in ours.run("qemu-img", "info", "disk").out
    outcome = qed_cli.run("info", "disk")
    assert (outcome.status, outcome.out) == (1, "")
    assert "-f" in outcome.err
    assert "file format: raw\n" in qed_cli.ok("info", "-f", "raw", "disk")


def test_help_is_told_under_the_name_that_calls(tmp_path: Path) -> None:
    ours = Both(tmp_path).qed
    text = ours.run("qemu-img", "--help").out
    assert text.startswith("Usage: qemu-img VERB")
    assert "qed io" not in text
    assert ours.run("qemu-img", "info", "--help").out.startswith("Usage: qemu-img info ")
    assert ours.run("qemu-img", "--version").out == f"qemu-img version {qed.__version__} (libqed)\n"
