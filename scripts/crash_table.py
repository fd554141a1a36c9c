#!/usr/bin/env python3
"""Makes the table of docs/crash-testing.md: states a power failure may leave, and how many fail.

The same guest calls are made on images of libqed's and of QEMU's drivers, each run is recorded, and
every state is judged: by libqed's oracles where the format is QED, by QEMU's own tools where it is
qcow2. QEMU's runs are recorded anew where qemu-io is there, else those of the engine's tests are
taken. The same logs give the same table.

    scripts/crash_table.py [--quick] [WORD...]

prints Markdown; a WORD is part of a row's first column.
"""

from __future__ import annotations

import argparse
import importlib.util
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import qed
import qed.crash as qc

ROOT = Path(__file__).resolve().parents[1]
RECORDED = ROOT / "qed-core" / "tests" / "data" / "crash"
MODES: tuple[Literal["prefix", "reorder", "torn"], ...] = ("prefix", "reorder", "torn")
BACKING = b"\x01" * 32768
# QEMU's tools judge some twenty states a second.
BY_US = qc.Budget(states=None, failures=1 << 30, full=14, torn_full=12, samples=5000)
BY_QEMU = qc.Budget(states=600, failures=1 << 30)


@dataclass(frozen=True)
class Row:
    """A run: who made it, and of which of the recorded cases."""

    who: str
    case: str
    format: Literal["qed", "qcow2"]
    by_qemu: bool = False
    """Whether QEMU's driver wrote the image."""


ROWS = (
    Row("libqed, QED", "qed-mixed", "qed"),
    Row("libqed, qcow2", "qcow2-mixed", "qcow2"),
    Row("QEMU, QED", "qed-mixed", "qed", by_qemu=True),
    Row("QEMU, qcow2", "qcow2-mixed", "qcow2", by_qemu=True),
    Row("QEMU, qcow2 with lazy refcounts", "qcow2-lazy-mixed", "qcow2", by_qemu=True),
    Row("libqed, QED over a raw file", "qed-zeroes-over-backing", "qed"),
    Row("QEMU, QED over a raw file", "qed-zeroes-over-backing", "qed", by_qemu=True),
)


def recorder() -> ModuleType:
    """Return what recorded the logs of the engine's tests: it knows the cases."""
    spec = importlib.util.spec_from_file_location("record", RECORDED / "record.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def foreign(row: Row, case: Any, record: ModuleType, folder: Path) -> qc.Log:
    """Return the log of a run on QEMU's driver."""
    logs = RECORDED
    if shutil.which("qemu-io") and shutil.which("qemu-img"):
        logs = folder / "logs"
        logs.mkdir()
        record.record(case, folder, logs)
    options: dict[str, Any] = {"backing": folder / "base.raw"} if case.backing else {}
    return qc.Log.open(
        logs / f"{row.case}.log",
        base=logs / f"{row.case}.base",
        workload=logs / f"{row.case}.calls",
        format=row.format,
        **options,
    )


def own(row: Row, case: Any, folder: Path) -> qc.Log:
    """Return the log of the same calls on an image of libqed's."""
    path = folder / "image"
    layout = {"cluster_size": 4096} | ({"table_size": 2} if row.format == "qed" else {})
    base = {"backing": "base.raw", "backing_format": "raw"} if case.backing else {}
    qed.create(path, "1M", format=row.format, **layout, **base)  # type: ignore[arg-type]
    with qed.open(path, "r+", format=row.format) as image:
        for _ in case.before[:1]:
            image.pwrite(b"\xaa" * 4096, 0)
    with qc.record(path, format=row.format) as recording:
        for call in case.calls:
            make(recording.image, call)
    return recording.log


def make(image: qed.Image, call: str) -> None:
    """Make a guest call of a case."""
    verb, *rest = call.split()
    if verb == "flush":
        image.flush()
        return
    offset, length = map(int, rest[0].split("+"))
    if verb == "zero":
        image.write_zeroes(offset, length)
    else:
        image.pwrite(bytes.fromhex(rest[1].removeprefix("fill=")) * length, offset)


def explored(row: Row, log: qc.Log, quick: bool) -> Iterator[str]:
    """Yield how many of the states fail, for each mode alone; a star where not all were walked."""
    budget = BY_US if row.format == "qed" else BY_QEMU
    if quick:
        budget = replace(budget, states=20, samples=5)
    for mode in MODES:
        result = log.explore(modes=(mode,), budget=budget)
        star = "" if result.stats.exhaustive else " *"
        yield f"{len(result.failures)} of {result.stats.unique}{star}"


def rows(wanted: list[str], quick: bool) -> Iterator[str]:
    """Yield the lines of the table."""
    yield "| image | " + " | ".join(MODES) + " |"
    yield "|---|" + "---|" * len(MODES)
    record = recorder()
    cases = {case.name: case for case in record.CASES}
    for row in ROWS:
        if wanted and not any(word in row.who for word in wanted):
            continue
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "base.raw").write_bytes(BACKING)
            case = cases[row.case]
            if row.by_qemu:
                log = foreign(row, case, record, Path(folder))
            else:
                log = own(row, case, Path(folder))
            yield f"| {row.who} | {' | '.join(explored(row, log, quick))} |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="Make the table of crash states.")
    parser.add_argument("--quick", action="store_true", help="walk a few states only")
    parser.add_argument("rows", nargs="*", help="a part of the names of rows")
    given = parser.parse_args()
    for text in rows(given.rows, given.quick):
        print(text, flush=True)


if __name__ == "__main__":
    main()
