"""qemu-io's own options, and `open`: both tools open, refuse and say the same."""

import shutil
from pathlib import Path

import pytest

from support.both import Both
from support.commands import tool
from support.images import l2_entry, put_word

LOOK = ("-c", "info", "-c", "length", "-c", "read -P 7 64k 512", "-c", "write 0 512")

# Words behind `qemu-io`; the files are made by `both`.
OPENINGS = {
    "nothing": [],
    "no file": [*LOOK],
    "probed qed": [*LOOK, "a.qed"],
    "probed raw": [*LOOK, "a.raw"],
    "qed": ["-f", "qed", *LOOK, "a.qed"],
    "raw": ["-f", "raw", *LOOK, "a.raw"],
    "raw over qed": ["-f", "raw", "-c", "length", "-c", "info", "a.qed"],
    "probed qcow2": [*LOOK, "-c", "map", "a.qcow2"],
    "qcow2": ["-f", "qcow2", *LOOK, "-c", "map", "-c", "alloc 0 1M", "a.qcow2"],
    "qcow2 of many options": ["-r", "-c", "info", "-c", "length", "small.qcow2"],
    "qcow2 of old": ["-r", "-c", "info", "-c", "length", "old.qcow2"],
    "qcow2 read-only": ["-r", *LOOK, "a.qcow2"],
    "qcow2 requests": [
        *(
            "-c",
            "writev -P 5 100k 3k 300k",
            "-c",
            "readv -P 5 100k 303k",
            "-c",
            "aio_read -P 5 1 1",
        ),
        *("-c", "aio_flush", "-c", "write -z 64k 64k", "-c", "read -P 0 64k 64k", "-c", "flush"),
        *("-c", "write 0 2M", "-c", "read 1M 1", "-c", "write -c 5 64k", "a.qcow2"),
    ],
    "overlay in qcow2": [*LOOK, "-c", "map", "-c", "alloc 0 1M", "overlay.qcow2"],
    "snapshot over qcow2": ["-s", "-c", "write 0 512", "-c", "read 0 512", "overlay.qcow2"],
    "overlay": [*LOOK, "-c", "map", "-c", "alloc 0 1M", "overlay.qed"],
    "option behind the file": ["a.qed", *LOOK],
    "not qed": ["-f", "qed", *LOOK, "a.raw"],
    "not qcow2": ["-f", "qcow2", *LOOK, "a.raw"],
    "unknown format": ["-f", "nosuch", *LOOK, "a.qed"],
    "no format": ["-f", "", *LOOK, "a.qed"],
    "no such file": [*LOOK, "nofile"],
    "no such qed": ["-f", "qed", *LOOK, "nofile"],
    "no name": [*LOOK, ""],
    "a directory": [*LOOK, "directory"],
    "a raw directory": ["-f", "raw", *LOOK, "directory"],
    "a dash": [*LOOK, "--", "-c"],
    "an empty file": [*LOOK, "empty"],
    "an empty qed": ["-f", "qed", *LOOK, "empty"],
    "an orphan": [*LOOK, "orphan.qed"],
    "read-only": ["-r", *LOOK, "-c", "flush", "a.qed"],
    "read-only, long": ["--read-only", *LOOK, "a.qed"],
    "read-only, abbreviated": ["--read", *LOOK, "a.qed"],
    "clustered": ["-rfqed", "-clength", "a.qed"],
    "snapshot": ["-s", "-c", "write -P 9 0 64k", "-c", "read -P 9 0 64k", "-c", "map", "a.qed"],
    "snapshot of an overlay": ["-s", "-c", "write 0 512", "-c", "read -vP 7 510 4", "overlay.qed"],
    "snapshot of raw": ["-s", "-f", "raw", "-c", "write 0 512", "-c", "read 0 512", "a.raw"],
    "copy on read": ["-C", "-c", "read 5k 1", "-c", "map", "-c", "read 300k 1k", "overlay.qed"],
    "copying reads": ["-C", "-c", "aio_read 3k 1", "-c", "aio_flush", "-c", "map", "overlay.qed"],
    "copy in qcow2": ["-C", "-c", "read 70k 1", "-c", "map", "-c", "read 3k 9k", "overlay.qcow2"],
    "copy in a guessed raw": ["-C", "-c", "read 0 1", "a.raw"],
    "copy on read-only": ["-C", "-r", *LOOK, "a.qed"],
    "copy to a snapshot": ["-C", "-s", "-c", "length", "a.qed"],
    "shared": ["-U", *LOOK, "a.qed"],
    "shared, read-only": ["-U", "-r", *LOOK, "a.qed"],
    "cache none": ["-t", "none", *LOOK, "a.qed"],
    "cache directsync": ["--cache=directsync", *LOOK, "a.qed"],
    "cache writethrough": ["--cache", "writethrough", *LOOK, "a.qed"],
    "cache unsafe": ["-t", "unsafe", *LOOK, "a.qed"],
    "cache nosuch": ["-t", "nosuch", *LOOK, "a.qed"],
    "no cache": ["-n", *LOOK, "a.qed"],
    "discard off": ["-d", "off", "-c", "discard 0 64k", "-c", "read -P 7 64k 64k", "a.qed"],
    "discard on": ["-d", "on", *LOOK, "a.qed"],
    "discard nosuch": ["-d", "nosuch", *LOOK, "a.qed"],
    "aio threads": ["-i", "threads", *LOOK, "a.qed"],
    "aio nosuch": ["-i", "nosuch", *LOOK, "a.qed"],
    "aio nothing": ["-i", "", *LOOK, "a.qed"],
    "aio native": ["-i", "native", *LOOK, "a.qed"],
    "aio native, direct": ["-k", "-n", *LOOK, "a.qed"],
    "misaligned": ["-m", "-n", *LOOK, "a.qed"],
    "traced": ["-T", "nosuch", *LOOK, "a.qed"],
    "quit": ["-c", "quit", "-c", "length", "a.qed"],
    "a failure, then more": ["-c", "read 2M 1", "-c", "length", "a.qed"],
    "a file name with a comma": [*LOOK, "a,b.qed"],
    "options": ["--image-opts", *LOOK, "driver=qed,file.driver=file,file.filename=a.qed"],
    "raw options": ["--image-opts", *LOOK, "driver=raw,file.filename=a.raw"],
    "options with a comma": ["--image-opts", *LOOK, "driver=qed,file.filename=a,,b.qed"],
    "options without driver": ["--image-opts", *LOOK, "file.filename=a.qed"],
    "options read-only": ["--image-opts", *LOOK, "driver=qed,file.filename=a.qed,read-only=on"],
    "options, -r": ["-r", "--image-opts", *LOOK, "driver=qed,file.filename=a.qed,read-only=on"],
    "options with more": [
        "--image-opts",
        *LOOK,
        "driver=qed,file.filename=a.qed,cache.direct=on,discard=unmap,detect-zeroes=on",
    ],
    "options and format": ["--image-opts", "-f", "qed", *LOOK, "driver=qed,file.filename=a.qed"],
    "options, no driver": ["--image-opts", *LOOK, "driver=nosuch,file.filename=a.qed"],
    "options, no protocol": [
        "--image-opts",
        *LOOK,
        "driver=qed,file.driver=nosuch,file.filename=a.qed",
    ],
    "options, no file": ["--image-opts", *LOOK, "driver=qed,file.filename=nofile"],
    "options, no name": ["--image-opts", *LOOK, "driver=qed"],
    "options, bad switch": ["--image-opts", *LOOK, "driver=qed,file.filename=a.qed,read-only=x"],
    "options, nothing": ["--image-opts", *LOOK],
    "damaged": ["-r", *LOOK, "-c", "aio_read 64k 512", "-c", "readv 0 1M", "damaged.qed"],
    "open": ["-c", "open a.qed", *LOOK],
    "open read-only": ["-c", "open -r a.qed", *LOOK],
    "open raw": ["-c", "open -o driver=raw a.raw", *LOOK],
    "open a snapshot": ["-c", "open -s a.qed", "-c", "write -P 9 0 64k", "-c", "read -P 9 0 64k"],
    "open copying": ["-c", "open -C overlay.qed", "-c", "read 0 1", "-c", "map"],
    "open direct": ["-c", "open -n a.qed", *LOOK],
    "open by options": ["-c", "open -o driver=qed,file.filename=a.qed", *LOOK],
    "open by many options": ["-c", "open -o driver=qed -o file.filename=a.qed", *LOOK],
    "open no such file": ["-c", "open nofile", *LOOK],
    "open twice named": ["-c", "open -o driver=qed,file.filename=a.qed a.qed", *LOOK],
    "open nothing": ["-c", "open -t none", *LOOK],
    "open another": ["-c", "close", "-c", "open overlay.qed", *LOOK, "a.qed"],
    "format is not for open": ["-f", "raw", "-c", "open a.qed", *LOOK],
    "reopen": [
        *("-c", "reopen -r", "-c", "write 0 1", "-c", "reopen -w", "-c", "write 0 1"),
        *("-c", "reopen -c none", "-c", "read 0 1", "a.qed"),
    ],
    "reopen for writing": ["-r", "-c", "reopen -w", "-c", "write 0 1", "a.qed"],
    "reopen by options": ["-r", "-c", "reopen -o read-only=off", "-c", "write 0 1", "a.qed"],
    "a mark in a guessed raw": ["-c", "write -s a.qed 0 512", "-c", "read -P 7 0 512", "a.raw"],
    "half a mark": ["-c", "write -s a.qed 0 4", "-c", "write -s a.qed 1 4", "a.raw"],
    "a mark byte by byte": [
        *("-c", "write -P 81 0 1", "-c", "write -P 69 1 1", "-c", "write -P 68 2 1"),
        *("-c", "write -P 0 3 1", "-c", "read -v 0 4", "a.raw"),
    ],
    "a mark in a known raw": ["-f", "raw", "-c", "write -s a.qed 0 512", "a.raw"],
}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory of disks, all made by QEMU."""
    where = tmp_path_factory.mktemp("files")
    image, io = tool("qemu-img", where), tool("qemu-io", where)
    for name in ("a.qed", "a,b.qed"):
        image.ok("create", "-q", "-f", "qed", name, "1M")
        io.ok("-f", "qed", "-c", "write -q -P 7 64k 64k", name)
    (where / "a.raw").write_bytes(b"\7" * (1 << 20))
    image.ok("create", "-q", "-f", "qed", "-b", "a.raw", "-F", "raw", "overlay.qed")
    image.ok("create", "-qu", "-f", "qed", "-b", "gone.raw", "-F", "raw", "orphan.qed", "1M")
    image.ok("create", "-q", "-f", "qcow2", "a.qcow2", "1M")
    io.ok("-f", "qcow2", "-c", "write -q -P 7 64k 64k", "a.qcow2")
    image.ok("create", "-q", "-f", "qcow2", "-b", "a.qed", "-F", "qed", "overlay.qcow2", "3M")
    image.ok("create", "-qfqcow2", "-o", "cluster_size=4k,lazy_refcounts=on", "small.qcow2", "9M")
    image.ok("create", "-qfqcow2", "-o", "compat=0.10", "old.qcow2", "1G")
    shutil.copy(where / "a.qed", where / "damaged.qed")
    put_word(where / "damaged.qed", l2_entry(where / "damaged.qed", 1), 1 << 40)
    (where / "directory").mkdir()
    (where / "empty").touch()
    return where


@pytest.fixture
def both(tmp_path: Path, files: Path) -> Both:
    both = Both(tmp_path)
    for side in (both.qemu, both.qed):
        shutil.copytree(files, side.directory, dirs_exist_ok=True)
    return both


@pytest.mark.parametrize("words", list(OPENINGS.values()), ids=list(OPENINGS))
def test_an_opening_ends_as_qemu_ios(both: Both, words: list[str]) -> None:
    both.agree("qemu-io", *words)
    assert (both.qed.directory / "a.raw").stat().st_size == 1 << 20


@pytest.mark.parametrize(
    "words", [["-x", "a.qed"], ["--nosuch"], ["-c"], ["-f"], ["-q", "a.qed"], ["a.qed", "a.raw"]]
)
def test_a_mistake_in_the_options_shows_the_usage(both: Both, words: list[str]) -> None:
    # Through a shell, which calls both by the same name.
    theirs, ours = both.run("sh", "-c", 'qemu-io "$@"', "sh", *words)
    assert (ours.status, ours.err) == (theirs.status, theirs.err)
    assert theirs.out.startswith("Usage: qemu-io [OPTION")
    assert ours.out.startswith("Usage: qemu-io [OPTION")
    for option in ("--cmd", "--image-opts", "-r, --read-only", "-U, --force-share", "--aio"):
        assert option in theirs.out
        assert option in ours.out


def test_a_disk_in_use_is_refused_in_the_same_words(both: Both) -> None:
    with both.qemu.start("qemu-io", both.qed.directory / "a.qed") as holder:
        assert holder.stdin is not None
        assert holder.stdout is not None
        assert holder.stdout.read(1) == b"q"
        both_locked(both, "-c", "length")
        both_locked(both, "-r", "-c", "length")
        both_locked(both, "-U", "-r", "-c", "length")
        holder.stdin.close()


def both_locked(both: Both, *words: str) -> None:
    """Insist that both say the same of the disk that is in use."""
    path = str(both.qed.directory / "a.qed")
    theirs, ours = both.run("qemu-io", *words, path)
    assert (ours.status, ours.out) == (theirs.status, theirs.out)
    assert ours.err.replace("DIRECTORY", str(both.qed.directory)) == theirs.err


def test_the_image_is_as_written_for_the_other_tool(both: Both) -> None:
    commands = ["-c", "write -P 3 100k 300k", "-c", "aio_write -P 4 600k 9k", "-c", "write -z 0 4k"]
    assert both.qed.run("qemu-io", *commands, "a.qed").status == 0
    path = both.qed.directory / "a.qed"
    done = both.qemu.run("qemu-io", "-c", "read -P 3 100k 300k", "-c", "read -P 4 600k 9k", path)
    assert (done.status, done.err) == (0, "")
    assert both.qemu.run("qemu-img", "check", "-q", path).status == 0
