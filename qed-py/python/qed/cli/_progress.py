"""How far long work is: a bar on a terminal, elsewhere the line that QEMU's tools print.

The bar is tqdm's, on standard error, and imported only for it. The line goes to standard output,
or to standard error where the data itself goes to standard output.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

Progress = Callable[[int, int], None]


@contextmanager
def shown(
    wanted: bool,
    *,
    step: float = 1,
    stream: TextIO | None = None,
    ends_full: bool = False,
    unit: str = "B",
) -> Iterator[Progress | None]:
    """Give what the library tells of its progress, or None where nobody `wanted` it.

    `step` is how many hundredths must pass between two lines; with `ends_full` the last one says
    once more that all is done, as QEMU's convert does. `unit` is what is counted.
    """
    if not wanted:
        yield None
    elif sys.stderr.isatty():
        with _bar(unit) as progress:
            yield progress
    else:
        line = _Line(step, stream or sys.stdout)
        line.show(0)
        try:
            yield line.progress
            if ends_full:
                line.show(100)
        finally:
            print(file=line.stream)


@contextmanager
def _bar(unit: str) -> Iterator[Progress]:
    from tqdm import tqdm

    with tqdm(unit=unit, unit_scale=True, unit_divisor=1024, file=sys.stderr) as bar:

        def progress(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield progress


class _Line:
    """The hundredths done, in one line that is written over."""

    def __init__(self, step: float, stream: TextIO) -> None:
        self.step = step
        self.stream = stream
        self.last = 0.0

    def progress(self, done: int, total: int) -> None:
        """Show it where enough has changed since the last time."""
        hundredths = 100 * done / total if total else 100.0
        full = hundredths == 100 and self.last < 100
        if full or hundredths >= self.last + self.step:
            self.show(hundredths)

    def show(self, hundredths: float) -> None:
        """Show it."""
        self.last = hundredths
        print(f"    ({hundredths:.2f}/100%)", end="\r", file=self.stream, flush=True)
