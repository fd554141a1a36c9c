"""Whatever goes wrong ends in one clear line, the right status, and nothing left behind."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import qed
from support.both import NAMES, Both, Side, Transcript, qed_script
from support.images import pattern

MIB = 1 << 20
# Each opens the image `disk.qed`; those that write would write `target`.
VERBS: dict[str, tuple[str, ...]] = {
    "info": ("qed", "info", "disk.qed"),
    "check": ("qed", "check", "disk.qed"),
    "map": ("qed", "map", "disk.qed"),
    "compare": ("qed", "compare", "-F", "raw", "disk.qed", "source.raw"),
    "convert": ("qed", "convert", "-O", "raw", "disk.qed", "target"),
    "dd": ("qed", "dd", "-O", "raw", "if=disk.qed", "of=target"),
    "io": ("qed", "io", "-c", "read 0 512", "disk.qed"),
}
EVERY_VERB = pytest.mark.parametrize("verb", list(VERBS))
COPIES = pytest.mark.parametrize("verb", ["convert", "dd"])


@pytest.fixture
def side(tmp_path: Path) -> Side:
    """Return our command under all its names, beside a raw file to copy from."""
    side = Side(tmp_path, dict.fromkeys(("qed", *NAMES), qed_script()))
    (side.directory / "source.raw").write_bytes(pattern(1, 4 * MIB))
    return side


@pytest.fixture
def disk(side: Side) -> Path:
    """Return `disk.qed`, of the same content."""
    path = side.directory / "disk.qed"
    qed.create(path, 4 * MIB)
    with qed.open(path, "r+") as image:
        image.pwrite(pattern(1, 4 * MIB), 0)
    return path


def one_line(done: Transcript, *expected: str, status: int = 1) -> str:
    """Insist on a failure that says one line; return it."""
    assert (done.status, done.out) == (status, ""), done
    assert done.err.endswith("\n")
    assert done.err.count("\n") == 1, done
    assert "Traceback" not in done.err
    for text in expected:
        assert text in done.err
    return done.err


def status_of_failure(verb: str) -> int:
    """Return the status that says: it could not be done. 1 of compare means: they differ."""
    return 2 if verb == "compare" else 1


def copy(verb: str, source: str, target: str) -> list[str]:
    """Return source and target as convert or dd take them."""
    return [source, target] if verb == "convert" else [f"if={source}", f"of={target}"]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["convert"], "file"),
        (["convert", "disk.qed"], "file"),
        (["convert", "--frob", "disk.qed", "target"], "--frob"),
        (["convert", "-O", "vmdk", "disk.qed", "target"], "vmdk"),
        (["convert", "-m", "0", "-O", "raw", "disk.qed", "target"], "between 1 and 16"),
        (["convert", "-S", "100", "-O", "raw", "disk.qed", "target"], "multiples of 512"),
        (["convert", "-o", "colour=red", "-O", "qed", "disk.qed", "target"], "colour"),
        (["convert", "-f", "raw", "-O", "qed", "source.raw", "no/target"], "no/target"),
        (["compare", "disk.qed"], "two"),
        (["compare", "-Z", "disk.qed", "disk.qed"], "Z"),
        (["dd", "if=disk.qed"], "output"),
        (["dd", "of=target"], "input"),
        (["dd", "if=disk.qed", "of=target", "bs=0"], "bs"),
        (["dd", "if=disk.qed", "of=target", "frob=1"], "frob"),
        (["map", "--start-offset=1x", "disk.qed"], "1x"),
        (["io", "-f", "vmdk", "disk.qed"], "vmdk"),
        (["io", "-t", "sometimes", "disk.qed"], "sometimes"),
        (["io", "--backing", "perhaps", "disk.qed"], "perhaps"),
        (["convert", "--backing=perhaps", "-O", "raw", "disk.qed", "target"], "perhaps"),
        (["convert", "-O", "raw", "source.raw", "target"], "-f"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_bad_argument_is_named(side: Side, disk: Path, words: list[str], expected: str) -> None:
    before = side.files()
    done = side.run("qed", *words)
    one_line(done, "qed", expected)
    assert done.left == before


@EVERY_VERB
def test_a_missing_file_is_named(side: Side, verb: str) -> None:
    done = side.run(*VERBS[verb])
    one_line(done, "disk.qed", "No such file", status=status_of_failure(verb))
    assert done.left == ("source.raw",)


@EVERY_VERB
def test_an_image_in_use_is_left_alone(side: Side, disk: Path, verb: str) -> None:
    before = side.files()
    with qed.open(disk, "r+"):
        done = side.run(*VERBS[verb])
    one_line(done, "disk.qed", f"process {os.getpid()} (", status=status_of_failure(verb))
    assert done.left == before
    assert side.run(*VERBS[verb]).status == 0


@COPIES
def test_a_target_in_use_is_left_alone(side: Side, disk: Path, verb: str) -> None:
    before = disk.read_bytes()
    names = copy(verb, "source.raw", "disk.qed")
    with qed.open(disk):
        done = side.run("qed", verb, "-f", "raw", "-O", "qed", *names)
    one_line(done, "disk.qed", f"process {os.getpid()} (")
    assert disk.read_bytes() == before


@pytest.mark.parametrize(
    "words",
    [
        ("info", "disk.qed"),
        ("check", "disk.qed"),
        ("map", "disk.qed"),
        ("compare", "disk.qed", "disk.qed"),
        ("convert", "disk.qed", "target"),
        ("dd", "if=disk.qed", "of=target"),
        ("create", "-q", "-f", "qed", "disk.qed", "1M"),
    ],
    ids=" ".join,
)
def test_an_image_in_use_is_told_in_qemus_words(tmp_path: Path, words: tuple[str, ...]) -> None:
    both = Both(tmp_path, shared=True)
    path = both.qemu.directory / "disk.qed"
    qed.create(path, MIB)
    with qed.open(path, "r+"):
        assert both.agree("qemu-img", *words).status != 0
        assert both.agree("qemu-io", "-c", "read 0 512", "disk.qed").status == 1


@pytest.fixture
def outside(side: Side, disk: Path) -> Path:
    """Turn `disk.qed` into an overlay whose backing file is not in its directory."""
    base = side.directory.parent / "outside.raw"
    base.write_bytes(pattern(1, 4 * MIB))
    qed.create(disk, overwrite=True, backing="../outside.raw", backing_format="raw")
    return base


CHAIN_VERBS = pytest.mark.parametrize("verb", ["compare", "convert", "dd", "io"])


@CHAIN_VERBS
def test_a_backing_file_elsewhere_is_refused(side: Side, outside: Path, verb: str) -> None:
    before = side.files()
    done = side.run(*VERBS[verb])
    one_line(done, "outside.raw", "--backing", status=status_of_failure(verb))
    assert done.left == before


@CHAIN_VERBS
def test_a_refused_backing_file_can_be_allowed(side: Side, outside: Path, verb: str) -> None:
    program, name, *rest = VERBS[verb]
    assert side.run(program, name, "--backing", "follow", *rest).status == 0
    assert side.run("env", "QED_BACKING=follow", program, *VERBS[verb][1:]).status == 0
    inside = side.directory / "inside.raw"
    outside.rename(inside)
    qed.create(
        side.directory / "disk.qed", overwrite=True, backing="inside.raw", backing_format="raw"
    )
    assert side.run(*VERBS[verb]).status == 0
    refused = status_of_failure(verb)
    one_line(side.run(program, name, "--backing=deny", *rest), "inside.raw", status=refused)
    denied = side.run("env", "QED_BACKING=deny", *VERBS[verb])
    one_line(denied, "inside.raw", status=refused)


def test_under_qemus_names_backing_files_are_followed(side: Side, outside: Path) -> None:
    words = ("qemu-img", "convert", "disk.qed", "target")
    assert side.run(*words).status == 0
    assert (side.directory / "target").read_bytes() == outside.read_bytes()
    assert side.run("qemu-io", "-c", "read 0 512", "disk.qed").status == 0
    denied = side.run("env", "QED_BACKING=deny", *words)
    assert denied.status == 1
    assert "outside.raw" in denied.err


@pytest.fixture
def full(side: Side) -> Iterator[Path]:
    """Return a directory `full` on a file system of one MiB."""
    directory = side.directory / "full"
    directory.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(directory)]
    if subprocess.run(mount, check=False, capture_output=True).returncode != 0:
        pytest.skip("no tmpfs can be mounted here: that needs root")
    yield directory
    subprocess.run(["umount", str(directory)], check=True)


@pytest.mark.parametrize("target", ["raw", "qed", "qcow2"])
@COPIES
def test_a_full_disk_is_told_and_nothing_left(
    side: Side, full: Path, verb: str, target: str
) -> None:
    names = (
        ["source.raw", "full/target"] if verb == "convert" else ["if=source.raw", "of=full/target"]
    )
    done = side.run("qed", verb, "-f", "raw", "-O", target, *names)
    one_line(done, "full/target", "No space left on device")
    assert done.left == ("source.raw",)


@pytest.mark.parametrize("target", ["raw", "qed", "qcow2"])
@COPIES
def test_a_file_that_may_not_grow_is_told_and_nothing_left(
    side: Side, verb: str, target: str
) -> None:
    # Goal: the same where no file system can be mounted. Method: RLIMIT_FSIZE, one MiB.
    words = ["qed", verb, "-f", "raw", "-O", target, *copy(verb, "source.raw", "target")]
    done = side.run("sh", "-c", 'ulimit -f 2048; exec "$@"', "sh", *words)
    one_line(done, "target", "File too large")
    assert done.left == ("source.raw",)


def test_a_write_that_finds_no_space_leaves_a_sound_image(side: Side, full: Path) -> None:
    qed.create(full / "disk.qed", 4 * MIB)
    commands = ["-c", "write -q -P 7 0 64k", "-c", "flush", "-c", "write 64k 3M"]
    done = side.run("qed", "io", *commands, "full/disk.qed")
    assert done.status == 1
    assert "No space left on device" in done.out + done.err
    assert qed.check(full / "disk.qed").clean
    with qed.open(full / "disk.qed") as image:
        assert image.pread(65536, 0) == b"\x07" * 65536


def test_a_target_that_was_there_stays(side: Side, disk: Path) -> None:
    # Goal: what the command did not make it does not remove. Method: -n, and too small a limit.
    qed.create(side.directory / "target", 4 * MIB)
    words = ["qed", "convert", "-n", "-f", "raw", "-O", "qed", "source.raw", "target"]
    done = side.run("sh", "-c", 'ulimit -f 2048; exec "$@"', "sh", *words)
    one_line(done, "target", "File too large")
    assert "target" in done.left
    assert qed.check(side.directory / "target").clean
