"""`qed crash explore`: every state that a power failure may leave of a run, judged."""

import sys
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing import get_context
from typing import Any

import click

import qed.crash as qc
from qed.cli import _command as command_line
from qed.cli._command import Arguments, Command
from qed.cli._program import Failure, Program
from qed.cli._progress import shown
from qed.cli._sizes import integer
from qed.cli.crash import _report, _source

MODES = ("prefix", "reorder", "torn")
_MOST = (1 << 63) - 1


def command(program: Program) -> Command:
    """Return the sub-verb."""
    return Command(
        program,
        "crash explore",
        run,
        [
            *_source.options(),
            *_walk(),
            *_report.options(),
            command_line.progress(),
            command_line.file_argument(shown="[LOG]"),
        ],
        summary="Judge the states that a power failure may leave of a recorded run.",
        about="LOG is a dm-log-writes file: one of 'qed crash record', of QEMU's blklogwrites or "
        "of the kernel's target. Windows of few operations are walked in full, of larger ones a "
        "sample; the report says what was left out. The same log, seed and options walk the same "
        "states, and the digest says so, however many workers there are. Exit status: 0 "
        "everything holds, 1 an error, 2 a state does not hold.",
        examples=[
            "crash explore run.log",
            "crash explore --profile nightly --jobs 8 -p --save failures run.log",
            "crash explore --base disk.before --workload disk.calls --svg why.svg qemu.log",
            "crash explore -f qcow2 --base disk.before --states 500 qemu.log",
            "crash explore --run workload.txt --oracles default,nested --output json",
        ],
    )


def _walk() -> list[click.Parameter]:
    option = command_line.option
    return [
        option(
            "--modes",
            metavar="MODE,...",
            help="Which disorder is tried: prefix (what came first persists), reorder (any of it "
            "does), torn (and any part of a write). All, unless given.",
            shell_complete=command_line.completing(MODES),
        ),
        command_line.chosen(
            "--unit", words=("512", "4096"), help="Bytes that the disk writes as a whole."
        ),
        option("--seed", metavar="SEED", help="Draw other samples (0)."),
        command_line.chosen(
            "--profile", words=("quick", "ci", "nightly"), help="How much is walked through."
        ),
        option("--states", metavar="N", help="At most so many states (100000)."),
        option("--failures", metavar="N", help="Stop after so many failures (1)."),
        option("--full", metavar="N", help="Walk windows of up to N operations in full (10)."),
        option("--torn-full", metavar="N", help="Tear up to N parts of writes in every way (8)."),
        option("--samples", metavar="N", help="States of each kind in larger windows (1500)."),
        option("--jobs", metavar="N", help="So many workers (1)."),
        command_line.chosen(
            "--workers", words=("threads", "processes"), default="threads", help="What they are."
        ),
    ]


def run(program: Program, arguments: Arguments) -> int:
    """Walk, judge, report."""
    (file,) = _source.operands(arguments)
    modes = _modes(arguments.modes)
    seed = _number(arguments.seed, "seed", least=0, most=(1 << 64) - 1) or 0
    jobs = _number(arguments.jobs, "number of jobs", most=1024) or 1
    budget = _budget(arguments)
    log = _source.open_run(program, arguments, file)
    unit = log.unit if arguments.unit is None else int(arguments.unit)
    oracles = _report.oracles(arguments, log)
    # The report is what standard output is for.
    bar = shown(arguments.progress, stream=sys.stderr, unit=" shards")
    with _executor(arguments.workers, jobs) as executor, bar as progress:
        result = log.explore(
            modes=modes,
            unit=unit,
            seed=seed,
            oracles=oracles,
            budget=budget,
            executor=executor,
            progress=progress,
        )
    facts = {"unit": unit, "seed": seed, "oracles": oracles}
    text = f"{result}\ndigest: {result.digest:016x}"
    return _report.tell(arguments, result, facts, text)


def _modes(text: str | None) -> Any:
    modes = MODES if text is None else tuple(text.split(","))
    for mode in modes:
        if mode not in MODES:
            raise Failure(f"mode '{mode}' is none of {', '.join(MODES)}")
    return modes


def _budget(arguments: Arguments) -> qc.Budget:
    """Return the profile's budget, with what is said about it."""
    profile = arguments.profile
    budget = qc.Budget() if profile is None else qc.Budget.profile(profile)
    given: dict[str, Any] = {
        "states": _number(arguments.states, "number of states"),
        "failures": _number(arguments.failures, "number of failures"),
        "full": _number(arguments.full, "number of operations", most=16),
        "torn_full": _number(arguments.torn_full, "number of parts", most=16),
        "samples": _number(arguments.samples, "number of samples"),
    }
    return replace(budget, **{name: value for name, value in given.items() if value is not None})


def _number(text: str | None, what: str, *, least: int = 1, most: int = _MOST) -> int | None:
    return None if text is None else integer(text, what, least=least, most=most)


@contextmanager
def _executor(kind: str, jobs: int) -> Iterator[Executor | None]:
    """Give so many workers; one needs no executor."""
    if jobs == 1:
        yield None
    elif kind == "threads":
        with ThreadPoolExecutor(jobs) as threads:
            yield threads
    else:
        # A process that is begun anew inherits no lock that a thread of this one may hold.
        with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as processes:
            yield processes
