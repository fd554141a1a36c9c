"""`qed io` itself: what it does beyond qemu-io, and how it ends."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import qed
from qed.cli._program import QED
from qed.cli.io._commands import find
from support.both import NAMES, PATIENCE_S, Side, qed_script
from support.commands import Command
from support.images import l2_entry, put_word

MIB = 1 << 20


@pytest.fixture
def side(tmp_path: Path) -> Side:
    """Return the command under all its names, beside an image."""
    side = Side(tmp_path, dict.fromkeys(("qed", *NAMES), qed_script()))
    qed.create(side.directory / "a.qed", "1M")
    return side


def test_a_file_without_a_mark_wants_its_format(side: Side) -> None:
    (side.directory / "a.raw").write_bytes(bytes(MIB))
    done = side.run("qed", "io", "-c", "length", "a.raw")
    assert (done.status, done.out) == (1, "")
    assert done.err == (
        "qed io: a.raw: neither QED nor qcow2 by its first bytes; -f says what it is\n"
    )
    assert side.run("qed", "io", "-f", "raw", "-c", "length", "a.raw").out == "1 MiB\n"
    assert side.run("qed", "io", "-c", "length", "a.qed").out == "1 MiB\n"


@pytest.mark.parametrize(
    ("words", "setting", "opens"),
    [
        (["qed", "io"], None, False),
        (["qed", "io", "--backing", "follow"], None, True),
        (["qed", "io"], "follow", True),
        (["qed", "io", "--backing", "deny"], "follow", False),
        (["qemu-io"], None, True),
        (["qemu-io", "--backing", "beneath"], None, False),
        (["qemu-io"], "deny", False),
    ],
)
def test_backing_files_are_opened_by_policy(
    side: Side, words: list[str], setting: str | None, opens: bool, tmp_path: Path
) -> None:
    (tmp_path / "base.raw").write_bytes(b"\5" * MIB)
    qed.create(side.directory / "o.qed", MIB, backing=tmp_path / "base.raw", backing_format="raw")
    environment = side.environment | ({} if setting is None else {"QED_BACKING": setting})
    for commands in (["-c", "read -P 5 0 512", "o.qed"], ["-c", "open o.qed", "-c", "read 0 1"]):
        done = subprocess.run(
            [side.tools / words[0], *words[1:], *commands],
            cwd=side.directory,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == (0 if opens else 1), done
        assert ("base.raw" in done.stderr) is not opens


def test_an_unknown_policy_is_an_error_that_lists_the_known(side: Side) -> None:
    done = side.run("qed", "io", "--backing", "never", "-c", "length", "a.qed")
    assert done.status == 1
    assert done.err == "qed io: --backing expects deny, beneath, follow, not 'never'\n"


def test_q_silences_every_command(side: Side) -> None:
    commands = [
        "-c",
        "write 0 4k",
        "-c",
        "read -v 0 16",
        "-c",
        "aio_write 0 1",
        "-c",
        "discard 0 1",
    ]
    assert side.run("qed", "io", "-q", *commands, "a.qed").out == ""
    assert "Pattern" in side.run("qed", "io", "-q", "-c", "read -P 9 0 1", "a.qed").out


@pytest.mark.parametrize("words", ["driver=qed,filename=a.qed", "filename=a.qed"])
def test_options_take_a_short_file_name(side: Side, words: str) -> None:
    assert side.run("qed", "io", "--image-opts", "-c", "length", words).out == "1 MiB\n"


@pytest.mark.parametrize("name", ["qed", "qemu-io"])
def test_an_unknown_image_option_lists_the_known(side: Side, name: str) -> None:
    words = ["io"] if name == "qed" else []
    option = "driver=qed,file.filename=a.qed,l2-cache-size=1M"
    done = side.run(name, *words, "--image-opts", "-c", "length", option)
    assert done.status == 1
    assert "'l2-cache-size'" in done.err
    assert "cache.direct" in done.err
    assert done.err.count("\n") == 1


def test_read_only_options_open_for_reading(side: Side) -> None:
    words = "driver=qed,file.filename=a.qed,read-only=on"
    done = side.run("qed", "io", "--image-opts", "-c", "read 0 1", "-c", "write 0 1", words)
    assert done.out.startswith("read 1/1 bytes")
    assert done.err == "qed io: Block node is read-only\n"


def test_why_a_request_failed_is_on_standard_error(side: Side) -> None:
    path = side.directory / "a.qed"
    with qed.open(path, "r+") as image:
        image.pwrite(b"x", 0)
    put_word(path, l2_entry(path, 0), 1 << 40)
    done = side.run("qed", "io", "-r", "-c", "read 0 512", "a.qed")
    assert done.status == 1
    assert done.out.startswith("read failed: ")
    assert done.err.startswith("qed io: ")
    assert "L2 entry of guest cluster 0" in done.err
    assert done.err.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--object", "secret,id=a"], "--object is not supported"),
        (["-c", "truncate 2M"], "resizing images is not supported"),
        (["-f", "vmdk"], "format 'vmdk' is not supported; known are qed, qcow2, raw"),
        (["--nosuch"], "unrecognized option '--nosuch'"),
        (["-t", "nosuch"], "Invalid cache option: nosuch"),
        (["-c", "reopen -o nosuch=on"], "known are read-only"),
    ],
)
def test_what_is_not_supported_is_one_line(side: Side, words: list[str], expected: str) -> None:
    done = side.run("qed", "io", *words, "a.qed")
    assert (done.status, done.out) == (1, "")
    assert done.err.startswith("qed")
    assert expected in done.err
    assert done.err.count("\n") == 1


def test_what_no_disk_here_has_fails_instead_of_waiting(side: Side) -> None:
    done = side.run("qed", "io", "-c", "wait_break a", "a.qed")
    assert done.status == 1
    assert done.out == "Could not wait for a breakpoint: Operation not supported\n"


def test_zeroes_are_possible_without_data_where_whole_clusters_are_meant(side: Side) -> None:
    # QEMU refuses every -n on QED images.
    commands = ["-c", "write -q -P 1 0 128k", "-c", "write -zun 0 64k", "-c", "read -P 0 0 64k"]
    assert side.run("qemu-io", *commands, "a.qed").status == 0
    assert side.run("qemu-io", "-c", "write -zn 64k 512", "a.qed").status == 1


def test_a_registered_buffer_works_in_the_background(side: Side) -> None:
    # QEMU fails an assertion there.
    commands = ["-c", "aio_write -r -P 7 0 512", "-c", "aio_flush", "-c", "aio_read -rP 7 0 512"]
    done = side.run("qemu-io", *commands, "a.qed")
    assert done.status == 0
    assert "verification" not in done.out


def test_help_explains_every_command(side: Side) -> None:
    text = side.run("qed", "io", "-c", "help").out
    names = [line.split(" ")[0] for line in text.splitlines() if " -- " in line]
    assert names == sorted(names)
    for name in ("read", "writev", "aio_flush", "alloc", "reopen", "sigraise", "zone_report"):
        assert name in names
    for name in names:
        command = find(name, QED)
        assert command is not None
        explained = side.run("qed", "io", "-c", f"help {name}").out
        assert explained.startswith(f"{name} ")
        for letter in command.letters or () if command.detail else ():
            assert f"\n -{letter}, -- " in explained


def test_the_help_of_the_tool_names_its_options(side: Side) -> None:
    for name, words in (("qed io", ["qed", "io"]), ("qemu-io", ["qemu-io"])):
        done = side.run(*words, "--help")
        assert done.status == 0
        assert done.out.startswith(f"Usage: {name} ")
        for option in ("--cmd", "--format", "--image-opts", "--backing", "--snapshot"):
            assert option in done.out
        assert all(len(line) <= 100 for line in done.out.splitlines())


def test_an_answer_comes_before_the_next_command_is_there(side: Side) -> None:
    with side.start("qed", "io", "a.qed") as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"length\n")
        process.stdin.flush()
        expected = b"qemu-io> 1 MiB\nqemu-io> "
        assert process.stdout.read(len(expected)) == expected
        process.stdin.close()
        assert process.wait(PATIENCE_S) == 0


def test_a_request_in_the_background_reports_while_the_tool_waits(side: Side) -> None:
    with side.start("qed", "io", "a.qed") as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"aio_write -P 7 64k 4k\n")
        process.stdin.flush()
        text = b""
        while b"ops/sec" not in text:
            text += process.stdout.read(1)
        assert b"wrote 4096/4096 bytes at offset 65536\n" in text
        process.stdin.close()
        assert process.wait(PATIENCE_S) == 0


def test_what_runs_in_the_background_ends_before_the_disk_is_closed(side: Side) -> None:
    requests = [f"aio_write -P {i % 255 + 1} {i * 1024} 1k" for i in range(1000)]
    done = side.run("qed", "io", "a.qed", stdin="\n".join(requests).encode())
    assert done.status == 0
    assert done.out.count("wrote 1024/1024") == 1000
    expected = b"".join(bytes([i % 255 + 1]) * 1024 for i in range(1000))
    with qed.open(side.directory / "a.qed") as image:
        assert image.pread(len(expected), 0) == expected


@pytest.mark.parametrize(
    "ready", ["length\n", "write -q -P 7 0 64k\n", "aio_write -q -P 7 0 64k\n"]
)
def test_an_interrupt_ends_quietly_and_closes_the_disk(side: Side, ready: str) -> None:
    with side.start("qed", "io", "a.qed") as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdin.write(f"{ready}".encode())
        process.stdin.flush()
        prompts = 0
        while prompts < 2:
            prompts += process.stdout.read(1) == b">"
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(PATIENCE_S) == 128 + signal.SIGINT
        assert process.stderr.read() == b""
    assert qed.check(side.directory / "a.qed").clean
    with qed.open(side.directory / "a.qed") as image:
        assert image.pread(1, 65535) == (b"\7" if "7" in ready else b"\0")


def test_a_reader_that_leaves_early_ends_it_quietly(side: Side) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as out:
        done = subprocess.run(
            [side.tools / "qed", "io", "-c", "write -P 7 0 4k", "-c", "aio_write 8k 1", "a.qed"],
            cwd=side.directory,
            stdout=out,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert (done.returncode, done.stderr) == (1, b"")
    assert qed.check(side.directory / "a.qed").clean


def test_output_that_cannot_be_stored_is_one_line(side: Side) -> None:
    with Path("/dev/full").open("wb") as out:
        done = subprocess.run(
            [side.tools / "qed", "io", "a.qed"],
            cwd=side.directory,
            input=b"length\n" * 10,
            stdout=out,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr.count(b"\n") == 1
    assert b"No space left" in done.stderr


def test_a_crash_keeps_what_was_flushed(side: Side) -> None:
    for name in (["qed", "io"], ["qemu-io"]):
        commands = ["-c", "write -q -P 7 0 64k", "-c", "flush", "-c", "abort", "-c", "length"]
        assert side.run(*name, *commands, "a.qed").status == -signal.SIGABRT
        assert qed.check(side.directory / "a.qed").corruptions == 0
        with qed.open(side.directory / "a.qed") as image:
            assert image.pread(65536, 0) == b"\7" * 65536


def test_what_was_opened_before_comes_back_when_reopening_fails(side: Side) -> None:
    # Goal: a failed reopen loses nothing. Method: another program reads, and forbids to write.
    path = side.directory / "a.qed"
    with qed.open(path, "r") as holder, side.start("qed", "io", "-r", "a.qed") as process:
        assert holder.size == MIB
        out, err = process.communicate(b"reopen -w\nlength\nwrite 0 1\n", timeout=PATIENCE_S)
    assert out == b"qemu-io> qemu-io> 1 MiB\n" + b"qemu-io> " * 2
    first, second = err.splitlines()
    assert b"has the image open" in first
    assert second == b"qed io: Block node is read-only"


def test_starting_loads_nothing_that_is_slow(tmp_path: Path) -> None:
    qed.create(tmp_path / "a.qed", "1M")
    script = """
import sys
from qed.cli import main
from qed.cli._program import QEMU_IO
before = set(sys.modules)
status = main(["-c", "write 0 4k", "-c", "read -v 0 16", "-c", "map", sys.argv[1]], QEMU_IO)
print(status, *sorted({name.split(".")[0] for name in sys.modules}))
"""
    out = Command([sys.executable, "-c", script], tmp_path).ok("a.qed")
    status, *modules = out.splitlines()[-1].split()
    assert status == "0"
    assert "qed" in modules
    slow = {"click", "tqdm", "argparse", "concurrent", "tempfile", "json", "subprocess", "asyncio"}
    assert not slow & set(modules)


@pytest.mark.parametrize(
    "engine", [(), ("-i", "threads"), ("-i", "io_uring"), ("-k", "-n"), ("-n", "-i", "native")]
)
@pytest.mark.parametrize("name", ["qed", "qemu-io"])
def test_requests_in_the_background_run_on_the_engine_that_is_asked_for(
    side: Side, name: str, engine: tuple[str, ...]
) -> None:
    words = ["qed", "io"] if name == "qed" else ["qemu-io"]
    commands = [f"aio_write -q -P {n} {n * 4}k 4k" for n in range(100)]
    commands += ["aio_flush", "aio_read -P 7 28k 4k", "aio_read -P 1 0 8k", "aio_read 2M 1"]
    script = "".join(f"{line}\n" for line in [*commands, "aio_flush"])
    done = side.run(*words, *engine, "a.qed", stdin=script.encode())
    assert done.status == 0
    out = done.out.replace("qemu-io> ", "")
    assert "read 4096/4096 bytes at offset 28672\n" in out
    assert "Pattern verification failed at offset 0, 8192 bytes\n" in out
    assert "readv failed: Input/output error\n" in out
    with qed.open(side.directory / "a.qed") as image:
        for n in range(100):
            assert image.pread(4096, n * 4096) == bytes([n]) * 4096


def test_a_disk_comes_to_rest_and_gets_an_overlay(side: Side) -> None:
    commands = ["write -q -P 1 0 4k", "quiesce", "read 0 1", "quiesce", "resume", "resume"]
    commands += ["overlay o.qed", "write -q -P 2 0 4k", "read -q -P 2 0 4k", "overlay o.qed"]
    commands += ["resume a", "map"]
    words = [word for line in commands for word in ("-c", line)]
    done = side.run("qed", "io", *words, "a.qed")
    assert done.status == 1
    lines = done.err.splitlines()
    wanted = ["by this very thread", "already", "not quiesced", "o.qed: the file exists"]
    assert all(want in line for want, line in zip(wanted, lines, strict=True)), lines
    assert "Could not resume request: Operation not supported" in done.out
    with qed.open(side.directory / "a.qed") as below, qed.open(side.directory / "o.qed") as above:
        assert below.pread(4096, 0) == b"\1" * 4096
        assert above.pread(4096, 0) == b"\2" * 4096
        assert above.info().backing == "a.qed"


@pytest.mark.parametrize("engine", ["threads", "io_uring"])
def test_requests_wait_for_a_quiesced_disk(side: Side, engine: str) -> None:
    commands = ["quiesce", "aio_write -P 3 0 4k", "aio_flush", "resume", "aio_flush"]
    words = [word for line in commands for word in ("-c", line)]
    done = side.run("qed", "io", "-i", engine, *words, "a.qed")
    assert done.status == 1
    assert done.err == "qed io: requests wait for a quiesced disk: 'resume' it first\n"
    assert done.out.startswith("wrote 4096/4096 bytes at offset 0\n")
    # The end of the run lets them go on.
    done = side.run("qed", "io", "-i", engine, "-c", "quiesce", "-c", "aio_write -q 8k 4k", "a.qed")
    assert (done.status, done.out, done.err) == (0, "", "")
    with qed.open(side.directory / "a.qed") as image:
        assert image.pread(4096, 0) == b"\3" * 4096
        assert image.pread(4096, 8192) == b"\xcd" * 4096


def test_what_qemu_io_has_not_is_not_there_under_its_name(side: Side) -> None:
    done = side.run("qemu-io", "-c", "quiesce", "a.qed")
    assert 'command "quiesce" not found' in done.err
    assert "bad argument count 0 to resume" in side.run("qemu-io", "-c", "resume", "a.qed").err
    assert "overlay" not in side.run("qemu-io", "-c", "help").out
    assert "overlay path -- " in side.run("qed", "io", "-c", "help").out
