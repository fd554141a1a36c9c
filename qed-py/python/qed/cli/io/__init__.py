"""`qed io`: reads and writes a disk by qemu-io's commands, from `-c` or standard input.

Called by the name `qemu-io` it is that tool: commands, options, output, exit statuses and wording.
The command language is in `_language.py` and the tables of commands; `_session.py` carries lines
out; `_disk.py` opens disks. Nothing slow is imported before it is needed: scripts start this often.
"""

import os
import sys
from collections.abc import Iterator

import qed
from qed.cli._program import Failure, Program, UsageError
from qed.cli.io._session import Session
from qed.cli.io._tool import Arguments, HelpWanted, VersionWanted, parse, usage

_PROMPT = "qemu-io> "
_CHUNK = 1 << 16


def main(words: list[str], program: Program) -> int:
    """Run the tool; return the exit status."""
    try:
        return _run(program, parse(words, program))
    except HelpWanted:
        print(usage(program), end="")
        return 0
    except VersionWanted:
        print(f"{program.name} version {qed.__version__}{' (libqed)' if program.is_qemu else ''}")
        return 0
    except UsageError as error:
        return _report_usage(program, error)
    except Failure as failure:
        program.report(failure)
        return 1


def _report_usage(program: Program, error: UsageError) -> int:
    """Say that the command line makes no sense; qemu-io shows its usage on standard output."""
    if not program.is_qemu:
        program.report(error)
        return 1
    if error.by_getopt:
        program.complain(error.text)
    print(usage(program), end="")
    return 1


def _run(program: Program, arguments: Arguments) -> int:
    eager = not (arguments.commands and program.is_qemu)
    session = Session(program, arguments.defaults, eager=eager, quiet=arguments.quiet)
    sound = True
    try:
        if arguments.source is not None:
            session.open(arguments.source)
        if arguments.commands:
            for line in arguments.commands:
                sound = session.run(line) and sound
                if session.finished:
                    break
        else:
            sound = _run_input(session)
    finally:
        session.close()
    return 0 if sound else 1


def _run_input(session: Session) -> bool:
    """Carry out the lines of standard input; each has a prompt, and so has its end."""
    sound = True
    session.say(_PROMPT)
    for line in _lines(session):
        sound = session.run(line) and sound
        if session.finished:
            break
        session.say(_PROMPT)
    return sound


def _lines(session: Session) -> Iterator[str]:
    """Yield lines as they come; what was printed is brought out before waiting for more."""
    rest = b""
    while True:
        session.wait(sys.stdin.fileno())
        chunk = os.read(sys.stdin.fileno(), _CHUNK)
        if not chunk:
            break
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield os.fsdecode(line)
    if rest:
        yield os.fsdecode(rest)
