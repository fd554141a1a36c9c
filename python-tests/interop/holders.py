"""QEMU's programs with an image open, for as long as a test needs it."""

import contextlib
import os
import select
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

from support.commands import tool

Holder = Callable[[Path, bool], AbstractContextManager[int]]
"""Opens an image, read-only where it is True; gives the number of the process that has it."""


class NotOpenedError(Exception):
    """The program would not open the image; the text is what it said."""


@contextlib.contextmanager
def _talking(path: Path, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program in the image's directory that ends when its input does."""
    with subprocess.Popen(
        words,
        cwd=path.parent,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as process:
        try:
            yield process
        finally:
            assert process.stdin is not None
            assert process.stdout is not None
            with contextlib.suppress(BrokenPipeError):  # It may have ended before.
                process.stdin.close()
            process.stdout.read()


@contextlib.contextmanager
def qemu_io(path: Path, read_only: bool) -> Iterator[int]:
    (program,) = tool("qemu-io", path.parent).program
    flags = ["-r"] if read_only else []
    with _talking(path, program, *flags, "-f", "qed", path.name) as process:
        assert process.stdout is not None
        # Its prompt says that the image is open.
        said = process.stdout.read(len(b"qemu-io> "))
        if said != b"qemu-io> ":
            raise NotOpenedError(os.fsdecode(said + process.stdout.read()))
        yield process.pid


@contextlib.contextmanager
def qemu_storage_daemon(path: Path, read_only: bool) -> Iterator[int]:
    (program,) = tool("qemu-storage-daemon", path.parent).program
    mode = f"read-only={'on' if read_only else 'off'}"
    with _talking(
        path,
        program,
        f"--blockdev=driver=file,node-name=file,filename={path.name},{mode}",
        f"--blockdev=driver=qed,node-name=disk,file=file,{mode}",
        "--chardev=stdio,id=talk",
        "--monitor=chardev=talk",
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        # Its monitor greets when what stands before it on the command line is done.
        said = process.stdout.readline()
        if not said.startswith(b'{"QMP"'):
            raise NotOpenedError(os.fsdecode(said))
        try:
            yield process.pid
        finally:
            process.stdin.write(b'{"execute": "qmp_capabilities"}{"execute": "quit"}')


@contextlib.contextmanager
def qemu_nbd(path: Path, read_only: bool) -> Iterator[int]:
    # A socket's name has to be short. The program returns when the image is open and served.
    with tempfile.TemporaryDirectory() as directory:
        pid_file = Path(directory) / "pid"
        flags = ["-r"] if read_only else []
        place = [f"--pid-file={pid_file}", f"--socket={directory}/socket"]
        words = ["--fork", *place, *flags, "-f", "qed", str(path)]
        outcome = tool("qemu-nbd", path.parent).run(*words)
        if outcome.status != 0:
            raise NotOpenedError(outcome.err)
        number = int(pid_file.read_text())
        handle = os.pidfd_open(number)
        try:
            yield number
        finally:
            signal.pidfd_send_signal(handle, signal.SIGTERM)
            select.select([handle], [], [])
            os.close(handle)


HOLDERS: dict[str, Holder] = {
    "qemu-io": qemu_io,
    "qemu-storage-daemon": qemu_storage_daemon,
    "qemu-nbd": qemu_nbd,
}
