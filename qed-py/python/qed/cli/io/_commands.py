"""The table of all commands: names, options, operands and help. What they do stands elsewhere."""

from typing import TYPE_CHECKING

from qed.cli._program import Program
from qed.cli.io import _data_commands, _inspection, _opening, _process, _resting
from qed.cli.io._disk import aio_mode, cache_mode, discard_mode
from qed.cli.io._language import Command, Request
from qed.cli.io._numbers import Wrong

if TYPE_CHECKING:
    from qed.cli.io._session import Session


def find(name: str, program: Program) -> Command | None:
    """Return the command of this name."""
    own = None if program.is_qemu else _OWN.get(name)
    return own or _BY_NAME.get(name)


def names(program: Program) -> list[str]:
    """Return the names of all commands of the tool, in order."""
    own = () if program.is_qemu else _OWN
    return sorted({command.name for command in _SORTED} | {*own})


def _help(session: "Session", request: Request) -> None:
    if not request.operands:
        commands = (find(name, session.program) for name in names(session.program))
        lines = [command.synopsis(command.name) for command in commands if command is not None]
        session.say("\n".join([*lines, "", "Use 'help commandname' for extended help.", ""]))
        return
    name = request.operands[0]
    command = find(name, session.program)
    if command is None:
        raise Wrong(f"command {name} not found")
    session.say(f"{command.synopsis(name)}\n")
    if command.detail:
        session.say(f"\n {command.detail}\n")
        for letter, meaning in command.meanings.items():
            session.say(f" -{letter}, -- {meaning}\n")
        session.say("\n")


def _words(text: str) -> list[str]:
    return [text]


_COMMANDS = (
    Command(
        "abort",
        _process.abort,
        "simulate a program crash using abort(3)",
        needs_disk=False,
    ),
    Command("aio_flush", _process.aio_flush, "completes all outstanding aio requests"),
    Command(
        "alloc",
        _inspection.alloc,
        "checks if offset is allocated in the file",
        "offset [count]",
        least=1,
        most=2,
        short="a",
    ),
    Command(
        "break",
        _process.unsupported("Could not set breakpoint"),
        "sets a breakpoint on event and tags the stopped request as tag",
        "event tag",
        least=2,
        most=2,
    ),
    Command("close", _opening.close, "close the current open file", short="c"),
    Command("flush", _process.flush, "flush all in-core file state to disk", short="f"),
    Command(
        "help",
        _help,
        "help for one or all commands",
        "[command]",
        most=1,
        short="?",
        needs_disk=False,
    ),
    Command("info", _inspection.info, "prints information about the current file", short="i"),
    Command("length", _inspection.length, "gets the length of the current file", short="l"),
    Command("map", _inspection.map_, "prints the allocated areas of a file", ""),
    Command(
        "open",
        _opening.open_,
        "open the file specified by path",
        "[-rsCnkU] [-t cache] [-d discard] [-o options] [path]",
        least=1,
        most=None,
        letters=dict.fromkeys("rsCnkU", None)
        | {"t": cache_mode, "d": discard_mode, "i": aio_mode, "o": _words},
        short="o",
        detail="All later commands work on this file.",
        needs_disk=False,
        meanings={
            "r": "for reading only",
            "s": "writes go to a temporary image, and are gone at the end",
            "C": "what reads find in a backing file is copied into this one",
            "n": "past the page cache: -t none",
            "U": "without asking for locks; with -r only",
            "k": "-i native",
            "i": "how requests in the background are done: threads, native or io_uring",
            "t": "cache mode: writeback, none, writethrough, directsync, unsafe",
            "d": "discard: ignore or unmap",
            "o": "options: driver=FORMAT, cache.direct=on, ...",
        },
    ),
    Command("quit", _process.quit_, "exit the program", most=None, short="q", needs_disk=False),
    Command(
        "remove_break",
        _process.unsupported("Could not remove breakpoint {}"),
        "remove a breakpoint by tag",
        "tag",
        least=1,
        most=1,
    ),
    Command(
        "reopen",
        _opening.reopen,
        "reopens an image with new options",
        "[(-r|-w)] [-c cache] [-o options]",
        most=None,
        letters={"r": None, "w": None, "c": cache_mode, "o": _words},
        detail="Closes the file and opens it again. Another program may get in between.",
        meanings={
            "r": "for reading only",
            "w": "for reading and writing",
            "c": "cache mode",
            "o": "options, as in 'open'",
        },
    ),
    Command(
        "resume",
        _process.unsupported("Could not resume request"),
        "resumes the request tagged as tag",
        "tag",
        least=1,
        most=1,
    ),
    Command(
        "sigraise",
        _process.sigraise,
        "raises a signal",
        "signal",
        least=1,
        most=1,
        detail="Raises the signal of this number in this process.",
        needs_disk=False,
    ),
    Command(
        "sleep",
        _process.sleep,
        "waits for the given value in milliseconds",
        least=1,
        most=1,
        needs_disk=False,
    ),
    Command(
        "truncate",
        _process.truncate,
        "truncates the current file at the given offset",
        "[-m prealloc_mode] off",
        least=1,
        most=3,
        letters={"m": str},
        short="t",
        writes=True,
    ),
    Command(
        "wait_break",
        _process.unsupported("Could not wait for a breakpoint"),
        "waits for the suspension of a request",
        "tag",
        least=1,
        most=1,
    ),
    Command(
        "zone_append",
        _process.unsupported("zone append failed", numbers=True),
        "append write a number of bytes at a specified offset",
        "offset len [len..]",
        least=3,
        most=4,
        short="zap",
    ),
    Command(
        "zone_close",
        _process.unsupported("zone close failed", numbers=True),
        "close a range of zones in zone block device",
        "offset len",
        least=2,
        most=2,
        short="zc",
    ),
    Command(
        "zone_finish",
        _process.unsupported("zone finish failed", numbers=True),
        "finish a range of zones in zone block device",
        "offset len",
        least=2,
        most=2,
        short="zf",
    ),
    Command(
        "zone_open",
        _process.unsupported("zone open failed", numbers=True),
        "explicit open a range of zones in zone block device",
        "offset len",
        least=2,
        most=2,
        short="zo",
    ),
    Command(
        "zone_report",
        _process.unsupported("zone report failed", numbers=True),
        "report zone information",
        "offset number",
        least=2,
        most=2,
        short="zrp",
    ),
    Command(
        "zone_reset",
        _process.unsupported("zone reset failed", numbers=True),
        "reset a zone write pointer in zone block device",
        "offset len",
        least=2,
        most=2,
        short="zrs",
    ),
)

_SORTED = sorted((*_COMMANDS, *_data_commands.COMMANDS), key=lambda command: command.name)
# What `qed io` has beside, or instead.
_OWN = {command.name: command for command in _resting.COMMANDS}
_BY_NAME = {name: command for command in _SORTED for name in (command.name, command.short) if name}
