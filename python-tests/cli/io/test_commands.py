"""Commands, each said to qemu-io and to libqed under its name: what comes back is the same."""

from pathlib import Path

import pytest

from support.both import Both

# Every file is one session, held by both sides: once from standard input and once from -c.
SESSIONS = sorted((Path(__file__).parent / "sessions").glob("*.txt"))
EVERY_SESSION = pytest.mark.parametrize("session", SESSIONS, ids=lambda path: path.stem)


@pytest.fixture
def both(tmp_path: Path) -> Both:
    """Return both sides, each with the same image and pattern files."""
    both = Both(tmp_path)
    for side in (both.qemu, both.qed):
        both.qemu.run("qemu-img", "create", "-q", "-f", "qed", side.directory / "a.qed", "1M")
        (side.directory / "pattern").write_bytes(bytes(range(255)))
        (side.directory / "empty").touch()
    return both


@EVERY_SESSION
def test_a_session_reads_the_same_as_qemu_ios(both: Both, session: Path) -> None:
    lines = session.read_text().splitlines()
    theirs = both.agree("qemu-io", "a.qed", stdin=session.read_bytes())
    assert theirs.out.count("qemu-io> ") > len(lines) * 9 // 10, "the session ended early"


@EVERY_SESSION
def test_commands_of_the_command_line_end_the_same(both: Both, session: Path) -> None:
    words = [word for line in session.read_text().splitlines() for word in ("-c", line)]
    theirs = both.agree("qemu-io", "-f", "qed", *words, "a.qed")
    assert theirs.out, "nothing is printed that could be compared"


@pytest.mark.parametrize(
    "line",
    [
        *("write 0 4k", "write 0", "write 0 foo", "read 2M 1", "read -P 1 0 1", "aio_read 2M 1"),
        *("foo", "quit", "q", "flush", "", " ", "\tlength", "length\r", "quit\n", "a\0b"),
    ],
)
def test_a_command_alone_ends_with_the_same_status(both: Both, line: str) -> None:
    both.agree("qemu-io", "a.qed", stdin=line.encode())
    if "\0" not in line:
        both.agree("qemu-io", "-c", line, "a.qed")
