"""Whoever has an image open keeps out whom it must: libqed from QEMU's programs, and they from it.

Method: real processes hold the image; each test first shows, or shows at its end, that without the
holder the very same call goes through.
"""

from collections.abc import Callable
from pathlib import Path

import pytest

import qed
from interop.holders import HOLDERS, NotOpenedError
from support.commands import Command

Call = Callable[[Path], object]

LOOKS: dict[str, Call] = {
    "open": lambda path: qed.open(path).close(),
    "inspect": lambda path: qed.inspect(path).close(),
    "info": qed.info,
    "check": qed.check,
}
CHANGES: dict[str, Call] = {
    "open for writing": lambda path: qed.open(path, "r+").close(),
    "create": lambda path: qed.create(path, "1M", overwrite=True),
}


@pytest.fixture
def made(path: Path) -> Path:
    qed.create(path, "1M")
    with qed.open(path, "r+") as image:
        image.pwrite(b"hello", 0)
    return path


def _insist_locked(call: Call, path: Path, program: str, number: int) -> None:
    with pytest.raises(qed.LockedError) as caught:
        call(path)
    # The kernel keeps fifteen bytes of a program's name.
    assert f"process {number} ({program[:15]})" in str(caught.value)
    assert caught.value.filename == str(path)


@pytest.mark.parametrize("program", list(HOLDERS))
def test_a_writing_qemu_keeps_everybody_out_and_is_named(
    qed_cli: Command, made: Path, program: str
) -> None:
    with HOLDERS[program](made, False) as number:
        for call in (LOOKS | CHANGES).values():
            _insist_locked(call, made, program, number)
        for words in (["info"], ["check"], ["map"], ["create", "-q"]):
            size = ["1M"] if words[0] == "create" else []
            outcome = qed_cli.run(*words, made, *size)
            assert outcome.status == 1
            assert f"process {number} (" in outcome.err
        with qed.open(made, lock=False) as image:
            assert image.pread(5, 0) == b"hello"
        qed_cli.ok("info", "-U", made)
    for call in (LOOKS | CHANGES).values():
        call(made)


@pytest.mark.parametrize("program", list(HOLDERS))
def test_a_reading_qemu_keeps_writers_out(qed_cli: Command, made: Path, program: str) -> None:
    with HOLDERS[program](made, True) as number:
        for call in CHANGES.values():
            _insist_locked(call, made, program, number)
        for call in LOOKS.values():
            call(made)
        for verb in ("info", "check", "map"):
            qed_cli.ok(verb, made)
    for call in CHANGES.values():
        call(made)


@pytest.mark.parametrize("program", list(HOLDERS))
def test_a_base_below_a_running_qemu_is_for_reading(path: Path, program: str) -> None:
    base = path.with_name("base.qed")
    qed.create(base, "1M")
    qed.create(path, backing="base.qed")
    with HOLDERS[program](path, False) as number:
        for call in CHANGES.values():
            _insist_locked(call, base, program, number)
        for call in LOOKS.values():
            call(base)
        second = path.with_name("second.qed")
        qed.create(second, backing="base.qed")
        with qed.open(second, "r+") as image:
            image.pwrite(b"beside it", 0)
    for call in CHANGES.values():
        call(base)


def _refused(command: Command, *words: str | Path) -> bool:
    """Return whether a program is refused, which may be for a lock alone."""
    outcome = command.run(*words)
    assert (outcome.status != 0) == (" lock" in outcome.err), outcome
    return outcome.status != 0


def _looking(qemu_img: Command, qemu_io: Command, path: Path) -> list[bool]:
    return [
        _refused(qemu_img, "info", "-f", "qed", path),
        _refused(qemu_img, "check", "-q", "-f", "qed", path),
        _refused(qemu_img, "map", "-f", "qed", path),
        _refused(qemu_img, "convert", "-f", "qed", "-O", "raw", path, "copy.raw"),
        _refused(qemu_io, "-r", "-f", "qed", "-c", "read -q 0 512", path),
    ]


def _changing(qemu_img: Command, qemu_io: Command, path: Path) -> list[bool]:
    return [
        _refused(qemu_io, "-f", "qed", "-c", "write -q 512k 512", path),
        _refused(qemu_img, "resize", "-q", "-f", "qed", path, "2M"),
        _refused(qemu_img, "create", "-q", "-f", "qed", path, "2M"),
    ]


def test_our_writer_keeps_qemu_out(qemu_img: Command, qemu_io: Command, made: Path) -> None:
    with qed.open(made, "r+") as image:
        assert all(_looking(qemu_img, qemu_io, made))
        assert all(_changing(qemu_img, qemu_io, made))
        qemu_img.ok("info", "-U", "-f", "qed", made)
        assert image.pread(5, 0) == b"hello"
        image.pwrite(b"still mine", 65536)
    assert qed.check(made).clean
    assert not any(_looking(qemu_img, qemu_io, made))
    assert not any(_changing(qemu_img, qemu_io, made))


def test_our_reader_keeps_qemus_writers_out(
    qemu_img: Command, qemu_io: Command, made: Path
) -> None:
    with qed.open(made) as image:
        assert not any(_looking(qemu_img, qemu_io, made))
        assert all(_changing(qemu_img, qemu_io, made))
        assert image.pread(5, 0) == b"hello"
    assert not any(_changing(qemu_img, qemu_io, made))


def test_our_overlay_keeps_qemus_writers_off_its_base(
    qemu_img: Command, qemu_io: Command, made: Path
) -> None:
    overlay = made.with_name("overlay.qed")
    qed.create(overlay, backing="disk.qed")
    with qed.open(overlay, "r+") as image:
        assert all(_changing(qemu_img, qemu_io, made))
        assert not any(_looking(qemu_img, qemu_io, made))
        assert image.pread(5, 0) == b"hello"
    assert not any(_changing(qemu_img, qemu_io, made))


@pytest.mark.parametrize("program", list(HOLDERS))
def test_every_program_of_qemus_finds_our_writer(made: Path, program: str) -> None:
    for read_only in (False, True):
        holder = HOLDERS[program](made, read_only)
        with qed.open(made, "r+"), pytest.raises(NotOpenedError, match=" lock"), holder:
            pytest.fail("the image was opened")
        with HOLDERS[program](made, read_only):
            pass
