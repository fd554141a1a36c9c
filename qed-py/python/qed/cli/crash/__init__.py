"""`qed crash`: runs of a disk are recorded, and what a power failure may leave of them is judged.

One module for each sub-verb. `_source.py` opens the run that is worked on, `_calls.py` makes the
calls that are recorded, `_report.py` says what was found. All else is `qed.crash`.
"""

from qed.cli import GROUPS
from qed.cli import _command as command_line
from qed.cli._command import Arguments, Command
from qed.cli._program import Program, UsageError

SOUND, FAILED, FAILURES_FOUND = 0, 1, 2
"""Exit statuses: everything holds; the command failed; a state does not hold."""

_LISTED = "\n".join(f"  {verb:<8} {text}." for verb, text in GROUPS["crash"].items())


def command(program: Program) -> Command:
    """Return what stands where no sub-verb is named: the list of them."""
    return Command(
        program,
        "crash",
        run,
        [command_line.file_argument("verb", shown="|".join(GROUPS["crash"]))],
        summary="Record a run of a disk, and judge all that a power failure may leave of it.",
        about=f"\b\n{_LISTED}\n\n"
        "A run is recorded with all its writes and syncs. At any moment the power may fail; then "
        "what was synced persists, and of the rest anything may: each write, each sector of it. "
        "Every such state is built and judged: is the image sound, does it open, is what was "
        "flushed there and nothing that never was, and does all hold when life goes on? "
        "Each sub-verb has a --help of its own.",
        examples=[
            "crash record --operations 30 --seed 7 run.log 1M",
            "crash explore run.log",
            "crash explore --base disk.before --workload disk.calls qemu.log",
        ],
    )


def run(program: Program, arguments: Arguments) -> int:
    """Say what sub-verbs there are."""
    known = ", ".join(GROUPS["crash"])
    if arguments.verb:
        raise UsageError(f"unknown verb '{arguments.verb[0]}'; known are {known}")
    raise UsageError(f"Expecting one of {known}")
