"""`qed crash show`: what a log holds, event by event."""

from collections.abc import Iterator
from typing import Any

import qed.crash as qc
from qed.cli import _command as command_line
from qed.cli._command import Arguments, Command
from qed.cli._output import json_text, printable
from qed.cli._program import Program
from qed.cli.crash import SOUND, _source


def command(program: Program) -> Command:
    """Return the sub-verb."""
    return Command(
        program,
        "crash show",
        run,
        [
            *_source.options(),
            command_line.output(),
            command_line.file_argument(shown="[LOG]"),
        ],
        summary="Show what a log holds: the guest's calls, and the disk's work beside them.",
        about="A log that another program recorded holds no calls: --workload tells them.",
        examples=["crash show run.log", "crash show --output json qemu.log"],
    )


def run(program: Program, arguments: Arguments) -> int:
    """Print the log."""
    (file,) = _source.operands(arguments)
    log = _source.open_run(program, arguments, file)
    if arguments.output == "json":
        print(json_text(_document(log)))
    else:
        print("\n".join(_lines(log)))
    return SOUND


def facts(log: qc.Log) -> dict[str, Any]:
    """Return what a log is, in a few fields."""
    return {
        "log": f"{log.digest:016x}",
        "format": log.format,
        "writer": "another program" if log.foreign else "libqed",
        "unit": log.unit,
        "calls": len(log.calls),
        "marks": len(log.marks),
        "events": len(log.events),
    }


def _document(log: qc.Log) -> dict[str, Any]:
    events = [
        {"kind": event.kind, "number": event.number, "text": event.text} for event in log.events
    ]
    return facts(log) | {"events": events}


def _lines(log: qc.Log) -> Iterator[str]:
    for name, value in facts(log).items():
        yield f"{name}: {value}"
    rows = [(_guest(event), _disk(event)) for event in log.events]
    width = min(max((len(guest) for guest, _ in rows), default=0), 48)
    for guest, disk in rows:
        yield f"  {printable(guest):<{width}} | {disk}".rstrip()


def _guest(event: qc.Event) -> str:
    match event.kind:
        case "call":
            return f"call {event.number}: {event.text}"
        case "returned":
            return f"call {event.number} returned"
        case "call-failed":
            return f"call {event.number} failed"
        case "mark":
            return f"-- {event.text}"
    return ""


def _disk(event: qc.Event) -> str:
    match event.kind:
        case "operation":
            return f"#{event.number} {event.text}"
        case "completed":
            return f"#{event.number} completed"
        case "failed":
            return f"#{event.number} failed: {event.text}"
    return ""
