"""The tables, as Markdown, and the place in `docs/benchmarks.md` where they stand."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from benches.model import Counts, Figure, Result

_BEGIN, _END = "<!-- made by make bench -->", "<!-- end -->"
_PICTURE = "![Time of each kind of work beside a raw file](benchmarks.svg)"
_KINDS = {
    "io": {"pread64", "preadv", "preadv2", "pwrite64", "pwritev", "pwritev2", "io_uring_enter"},
    "sync": {"fdatasync", "fsync", "sync_file_range"},
    "length": {"ftruncate", "fallocate"},
}
_NUMBERS = ("row", "work", "beside", "theirs", "ours", "ratio", "goal", "met")


def markdown(results: Iterable[Result], machine: str, pairs: int) -> str:
    """Return the tables of a run."""
    results = list(results)
    lines = [
        f"{machine} {pairs} {'pair' if pairs == 1 else 'pairs'}.",
        "",
        _PICTURE,
        "",
        _head(*_NUMBERS),
    ]
    lines += [_line(figure) for result in results for figure in result.figures]
    counted = [count for result in results for count in result.counts]
    if counted:
        lines += [
            "",
            "Each request of the guest, counted:",
            "",
            _head("row", "work", "side", "I/O calls", "syncs", "lengths", "written", "read"),
            *_counted(counted),
        ]
    notes = [note for result in results for note in result.notes]
    return "\n".join([*lines, *(["", *notes] if notes else []), ""])


def replace(document: Path, tables: str) -> None:
    """Put the tables into the document, in one step."""
    text = document.read_text()
    before, rest = text.split(_BEGIN)
    _, after = rest.split(_END)
    new = document.with_suffix(".new")
    new.write_text(f"{before}{_BEGIN}\n{tables}{_END}{after}")
    new.replace(document)


def terminal(figure: Figure) -> str:
    """Return a figure as a line for somebody who waits."""
    theirs = "" if figure.theirs is None else f"{figure.beside} {_number(figure.theirs)}"
    ratio = "" if figure.theirs is None else f"{figure.value:.3f}"
    cells = f"{figure.row:8}{figure.work:58}{theirs:>24}{_number(figure.ours):>10} {figure.unit:4}"
    return f"{cells}{ratio:>8}  {_goal(figure):>8} {_met(figure)}"


def _head(*names: str) -> str:
    return f"| {' | '.join(names)} |\n|{'---|' * len(names)}"


def _line(figure: Figure) -> str:
    alone = figure.theirs is None
    theirs = "" if figure.theirs is None else f"{_number(figure.theirs)} {figure.unit}"
    cells = [
        figure.row,
        figure.work,
        figure.beside,
        theirs,
        f"{_number(figure.ours)} {figure.unit}",
        "" if alone else f"{figure.value:.2f}",
        _goal(figure),
        _met(figure),
    ]
    return f"| {' | '.join(cells)} |"


def _counted(counted: Iterable[tuple[str, str, str, Counts]]) -> Iterator[str]:
    for row, work, side, counts in counted:
        kinds = (
            sum(number for name, number in counts.calls.items() if name in names)
            for names in _KINDS.values()
        )
        cells = [f"{number / counts.requests:.3f}" for number in kinds]
        cells += [f"{number / counts.requests:,.0f}" for number in (counts.written, counts.read)]
        yield f"| {row} | {work} | {side} | {' | '.join(cells)} |"


def _goal(figure: Figure) -> str:
    if figure.goal is None:
        return ""
    if figure.theirs is None:
        return f"{_number(figure.goal)} {figure.unit}"
    return f"{figure.goal:.2f}"


def _met(figure: Figure) -> str:
    return {None: "", True: "yes", False: "**no**"}[figure.met]


def _number(number: float) -> str:
    """Three digits that mean something, and no exponent."""
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"
