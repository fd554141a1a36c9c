"""Hypothesis: workloads as strategies, and a state machine in which the power fails.

    from qed.crash.hypothesis import CrashMachine, workloads

    @given(workloads())
    def test_every_state_holds(workload):
        workload.explore(budget=Budget.profile("quick")).assert_ok()

    TestMyDriver = CrashMachine.TestCase

What fails is shrunk by Hypothesis to the fewest steps, and by the explorer to the fewest operations
out of order. Needs the package `hypothesis`.
"""

from __future__ import annotations

import itertools
import tempfile
from pathlib import Path
from typing import Any, ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from qed._image import Image
from qed._qed import View
from qed.crash._plan import Budget
from qed.crash._record import Recording, record
from qed.crash._workload import Workload

_SECTOR = 512
_CLUSTER = 4096


def ranges(
    size: int, *, unit: int = _SECTOR, longest: int = 4 * _CLUSTER
) -> st.SearchStrategy[tuple[int, int]]:
    """Return a strategy for ranges of a disk: offset and length, in multiples of `unit`."""
    last = size // unit - 1

    def of(first: int) -> st.SearchStrategy[tuple[int, int]]:
        lengths = st.integers(1, max(1, min(last - first + 1, longest // unit)))
        return lengths.map(lambda count: (first * unit, count * unit))

    return st.integers(0, last).flatmap(of)


def calls(size: int = 64 * _CLUSTER) -> st.SearchStrategy[str]:
    """Return a strategy for guest calls of a workload, within the first `size` bytes."""
    where = ranges(size).map(lambda found: f"{found[0]}+{found[1]}")
    writes = st.tuples(st.just("write"), where, st.sampled_from(["", " fua"]))
    zeroes = st.tuples(
        st.just("zero"), where, st.sampled_from(["", " unmap", " fua", " fua unmap"])
    )
    discards = st.tuples(st.just("discard"), where, st.just(""))
    made = st.one_of(writes, zeroes, discards).map(lambda words: f"{words[0]} {words[1]}{words[2]}")
    return st.one_of(made, st.just("flush"))


@st.composite
def workloads(
    draw: st.DrawFn, *, steps: int = 12, backing: bool | None = None, kills: bool = True
) -> Workload:
    """Draw a workload of at most so many steps; over a backing file, or not, or either."""
    cluster, table = draw(st.sampled_from([(4096, 1), (4096, 2), (8192, 1), (65536, 1)]))
    unit = draw(st.sampled_from([512, 4096]))
    punch = draw(st.sampled_from([1, 0]))
    size = 64 * cluster
    words = [f"cluster={cluster} table={table} size={size} unit={unit} punch={punch}"]
    if draw(st.booleans()) if backing is None else backing:
        words.append(f"backing={draw(st.sampled_from([4, 9])) * cluster + 5 * _SECTOR}")
    near = min(size, 8 * cluster)
    others = ["reopen", f"compact {cluster}", "stream", *(["kill"] if kills else [])]
    step = st.one_of(calls(near), calls(near), calls(size), st.sampled_from(others))
    chosen = draw(st.lists(step, min_size=1, max_size=steps))
    return Workload(f"{' '.join(words)} | {'; '.join(chosen)}")


class CrashMachine(RuleBasedStateMachine):
    """Uses a disk, lets the power fail, and goes on with what that left.

    After each crash every byte must be one that may be there: what was stable, or what a call has
    made of it since. A subclass adds rules, and `recovered` for what its own format promises. At
    the end the whole of the last run is explored by the default oracles.
    """

    size: ClassVar[int] = 32 * _CLUSTER
    """Bytes of the disk."""
    options: ClassVar[dict[str, Any]] = {"cluster_size": _CLUSTER, "table_size": 1}
    """What the disk is created and opened with, as `qed.crash.record` takes it."""
    unit: ClassVar[int] = _SECTOR
    """What its disk writes as a whole."""
    states: ClassVar[int] = 200
    """A crash leaves one of so many states."""
    budget: ClassVar[Budget] = Budget(states=500, samples=50)
    """How much of the last run is explored at the end."""

    def __init__(self) -> None:
        super().__init__()
        self._folder = tempfile.TemporaryDirectory(prefix="qed-crash-")
        self._crashes = 0
        self.recording: Recording = record(self._path(), size=self.size, **self.options)

    @property
    def image(self) -> Image:
        """The disk, as it is open now."""
        return self.recording.image

    def recovered(self, image: Image, view: View) -> None:
        """Assert what must hold of a disk that has just come back; nothing more by default."""

    @rule(data=st.data(), fill=st.integers(1, 255), fua=st.booleans())
    def write(self, data: st.DataObject, fill: int, fua: bool) -> None:
        """Write one byte over and over."""
        offset, length = data.draw(ranges(self.size))
        self.image.pwrite(bytes([fill]) * length, offset, fua=fua)

    @rule(data=st.data(), may_unmap=st.booleans())
    def zero(self, data: st.DataObject, may_unmap: bool) -> None:
        """Write zeroes."""
        offset, length = data.draw(ranges(self.size))
        self.image.write_zeroes(offset, length, may_unmap=may_unmap)

    @rule(data=st.data())
    def discard(self, data: st.DataObject) -> None:
        """Give space back."""
        offset, length = data.draw(ranges(self.size))
        self.image.discard(offset, length)

    @rule()
    def flush(self) -> None:
        """Make it stable."""
        self.image.flush()

    @rule(data=st.data(), seed=st.integers(0, 1 << 16))
    def crash(self, data: st.DataObject, seed: int) -> None:
        """Let the power fail, and go on with one of the states that may leave."""
        log = self.recording.log
        budget = Budget(states=self.states, samples=self.states)
        found = log.states(unit=self.unit, seed=seed, budget=budget)
        state = data.draw(st.sampled_from(list(itertools.islice(found, self.states))))
        self.recording.close()
        self._crashes += 1
        state.materialise(self._path())
        self.recording = record(self._path(), **self._opening())
        step = 1 << 16
        for offset in range(0, self.size, step):
            found_there = self.image.pread(min(step, self.size - offset), offset)
            assert state.view.allows(offset, found_there), f"bytes from {offset} on, in {state}"
        self.recovered(self.image, state.view)

    def teardown(self) -> None:
        """Explore the last run, then remove the disks."""
        try:
            self.recording.close()
            explored = self.recording.log.explore(unit=self.unit, budget=self.budget)
            explored.assert_ok()
        finally:
            self._folder.cleanup()

    def _path(self) -> Path:
        return Path(self._folder.name) / f"disk-{self._crashes}.img"

    def _opening(self) -> dict[str, Any]:
        created = ("cluster_size", "table_size", "backing_format", "overwrite")
        return {name: value for name, value in self.options.items() if name not in created}
