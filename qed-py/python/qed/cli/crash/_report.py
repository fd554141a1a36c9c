"""What an exploration found: for people, for programs, as files."""

from pathlib import Path
from typing import Any

import click

import qed.crash as qc
from qed.cli import _command as command_line
from qed.cli._command import Arguments
from qed.cli._output import json_text
from qed.cli.crash import FAILURES_FOUND, SOUND
from qed.cli.crash._source import naming


def options() -> list[click.Parameter]:
    """Declare how states are judged, and what is told of it."""
    option = command_line.option
    return [
        option(
            "--oracles",
            metavar="NAME,...",
            help="What must hold in every state: structure, no-foreign-data, durable, recovery, "
            "life-goes-on, backing-untouched (together: default), nested, qemu. qcow2 is judged by "
            "QEMU's tools.",
            shell_complete=command_line.completing(["default", *qc.DEFAULT, qc.NESTED, qc.QEMU]),
        ),
        option("--svg", metavar="FILE", help="Draw the first failure."),
        option("--save", metavar="DIR", help="Save the log and each failure's text and picture."),
        command_line.output(),
        command_line.quiet(),
    ]


def oracles(arguments: Arguments, log: qc.Log) -> list[str]:
    """Return the oracles that are asked."""
    if arguments.oracles is None:
        return log.default_oracles
    chosen: list[str] = []
    for name in arguments.oracles.split(","):
        chosen += log.default_oracles if name == "default" else [name]
    return list(dict.fromkeys(chosen))


def tell(arguments: Arguments, result: qc.Result, facts: dict[str, Any], text: str) -> int:
    """Print the result, write the files that are asked for, return the exit status.

    `text` is for people; programs get `facts` and all that was found.
    """
    if arguments.svg is not None and result.failures:
        with naming(arguments.svg):
            Path(arguments.svg).write_text(result.failures[0].svg(), encoding="utf-8")
    if arguments.save is not None:
        with naming(arguments.save):
            result.save(arguments.save)
    if not arguments.quiet:
        if arguments.output == "json":
            print(json_text(document(result, facts)))
        else:
            print(text)
    return SOUND if result.ok else FAILURES_FOUND


def document(result: qc.Result, facts: dict[str, Any]) -> dict[str, Any]:
    """Return the JSON object: what was asked for, then what was found."""
    log, stats = result.log, result.stats
    return {
        "log": f"{log.digest:016x}",
        "format": log.format,
        **facts,
        "sound": result.ok,
        "digest": f"{result.digest:016x}",
        "states": {
            "generated": stats.generated,
            "unique": stats.unique,
            "judged": stats.judged,
            "left-out": stats.left_out,
            "exhaustive": stats.exhaustive,
        },
        "windows": {
            "count": stats.windows,
            "sampled": stats.sampled,
            "largest": stats.largest,
        },
        "modes": {
            mode: {"generated": generated, "judged": judged}
            for mode, (generated, judged) in stats.modes.items()
        },
        "failures": [_failure(failure) for failure in result.failures],
    }


def _failure(failure: qc.Failure) -> dict[str, Any]:
    barrier = failure.barrier
    return {
        "oracle": failure.oracle,
        "what": failure.what,
        "state": failure.state,
        "replay": failure.replay,
        "writes": _writes(failure.writes),
        "barrier": {
            "lost": _writes(barrier.lost),
            "early": _writes(barrier.early),
            "torn": _writes(barrier.torn),
        },
        "guest-operations": list(failure.guest_operations),
        "report": failure.report,
    }


def _writes(writes: tuple[qc.Write, ...]) -> list[dict[str, Any]]:
    return [{"number": write.number, "text": write.text} for write in writes]
