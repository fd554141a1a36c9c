"""Logs: recorded runs, and how they are explored."""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor
from functools import lru_cache
from pathlib import Path as FilePath
from typing import Any, Final, Literal, Self, TypeAlias, Unpack

from qed import _qed
from qed._options import OpenOptions, Path
from qed.crash import _shards
from qed.crash._oracles import Oracle, prepared
from qed.crash._plan import MODES, Budget, Plan
from qed.crash._results import Event, Result, Stats
from qed.crash._state import State

Progress: TypeAlias = Callable[[int, int], object]
"""Called with the shards that are done and all there are; what it raises ends the exploration."""


class Log:
    """A run on a disk image: what reached its file, what its guest did, and the marks.

    Comes from `record`, from a `Workload`, or from `Log.open`. It is pickled with all it holds;
    a backing file goes by its path.
    """

    def __init__(self, native: _qed.CrashLog, options: OpenOptions) -> None:
        self._native = native
        self._options = options

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        base: Path | None = None,
        lenient: bool = False,
        sector_size: int | None = None,
        workload: Iterable[tuple[str, int]] | Path | None = None,
        backing: Path | None = None,
        backing_format: Literal["qed", "qcow2", "raw"] = "raw",
        foreign: bool = False,
        **options: Unpack[OpenOptions],
    ) -> Self:
        """Read a dm-log-writes file: libqed's own, the kernel's, or QEMU's blklogwrites.

        `base` is what the image's file was before the first entry (libqed's own logs hold it), and
        `backing` the file below the image. `lenient` takes a superblock of zeroes and a tail that
        is cut off; `sector_size` is that of a log whose superblock does not say. `workload` tells
        the guest's calls of a log that another program wrote: pairs of a call (`write 0+4096
        fill=aa`) and the entries that the log held when it returned, or a file with a line
        `entries call` for each. `foreign` says that another program than libqed wrote the image
        of a log in libqed's form. `options` say how the image is opened after a crash, `format`
        what it is: "qed" unless it is given.
        """
        known = (os.fsdecode(backing), backing_format) if backing is not None else None
        facts = {
            "format": options.get("format", "qed"),
            "lenient": lenient,
            "sector_size": sector_size,
            "workload": _workload(workload),
            "backing": known,
            "foreign": foreign,
        }
        content = FilePath(os.fsdecode(path)).read_bytes()
        first = None if base is None else os.fsdecode(base)
        return cls(_qed.CrashLog.decode(content, first, facts, options), options)

    def save(self, path: Path, *, sector_size: int = 512) -> None:
        """Write the log as a dm-log-writes file, from which `Log.open` gets everything back."""
        FilePath(os.fsdecode(path)).write_bytes(self._native.encode(sector_size))

    @property
    def digest(self) -> int:
        """A number that is equal for equal logs."""
        return self._native.digest

    @property
    def format(self) -> Literal["qed", "qcow2", "raw"]:
        """The format of the image."""
        return self._native.format

    @property
    def foreign(self) -> bool:
        """Whether another program than libqed wrote the image."""
        return self._native.foreign

    @property
    def unit(self) -> int:
        """Bytes that the recorded disk writes as a whole."""
        return self._native.unit

    @property
    def calls(self) -> list[str]:
        """The guest's calls, in order."""
        return self._native.calls

    @property
    def marks(self) -> list[str]:
        """The texts of the marks, in order."""
        return self._native.marks

    @property
    def is_portable(self) -> bool:
        """Whether files can hold all of it: what a workload's image stands on is in none."""
        backing = self._native.backing
        return backing is None or backing[0] is not None

    @property
    def events(self) -> list[Event]:
        """What happened, in order."""
        return [Event(*event) for event in self._native.history]

    @property
    def default_oracles(self) -> list[str]:
        """The names of the oracles that judge it where none are given."""
        return self._native.default_oracles

    def explore(
        self,
        *,
        modes: Iterable[Literal["prefix", "reorder", "torn"]] = MODES,
        unit: int | None = None,
        seed: int = 0,
        oracles: Iterable[Oracle] | None = None,
        budget: Budget | None = None,
        executor: Executor | None = None,
        progress: Progress | None = None,
    ) -> Result:
        """Judge the states that a power failure may leave.

        `unit` is what the disk writes as a whole, 512 or 4096 bytes; the recorded disk's unless
        given. `oracles` are `DEFAULT` for QED images, and QEMU's tools where libqed has none for
        the format. `executor` does the work in threads, processes or on other machines: the result
        is the same for any. Oracles of one's own go there by their names, so they are functions of
        a module.
        """
        plan = self._plan(modes, unit, seed, budget)
        chosen = self._native.default_oracles if oracles is None else oracles
        job = _shards.Job(self, plan, prepared(chosen))
        tally, failures = _shards.explore(job, executor, progress)
        return Result(self, Stats.of(tally), tally.digest, tuple(failures))

    def replay(
        self,
        word: str,
        *,
        oracles: Iterable[Oracle] | None = None,
        unit: int | None = None,
    ) -> Result:
        """Judge one state alone: by its name, or by the word of a failure's `replay`."""
        chosen = self._native.default_oracles if oracles is None else oracles
        plan = self._plan(MODES, unit, 0, None)
        tally, failures = self._native.replay(word, plan, prepared(chosen))
        return Result(self, Stats.of(tally), tally.digest, tuple(failures))

    def states(
        self,
        *,
        modes: Iterable[Literal["prefix", "reorder", "torn"]] = MODES,
        unit: int | None = None,
        seed: int = 0,
        budget: Budget | None = None,
        distinct: bool = True,
    ) -> Iterator[State]:
        """Yield the states, fewest operations out of order first within each window.

        They are built a few windows at a time. Equal content comes once, unless `distinct` is off.
        """
        plan = self._plan(modes, unit, seed, budget)
        seen: set[int] = set()
        window: int | None = 0
        while window is not None:
            states, window = self._native.states(plan, window)
            for state in map(State, states):
                if distinct and state.digest in seen:
                    continue
                seen.add(state.digest)
                yield state

    def state(self, word: str, *, unit: int | None = None) -> State:
        """Return the state of a name, or of the word of a failure's `replay`."""
        *log, said, name = ["", "", *word.split("/")][-3:]
        if log != [""] and log != [f"{self.digest:016x}"]:
            raise ValueError(f"{word!r} is a state of another log")
        size = int(said) if said.isdigit() else unit
        return State(self._native.state(name, self._plan(MODES, size, 0, None)))

    def _plan(
        self, modes: Iterable[str], unit: int | None, seed: int, budget: Budget | None
    ) -> Plan:
        return Plan.of(modes, self.unit if unit is None else unit, seed, budget or Budget())

    def __reduce__(self) -> tuple[Any, ...]:
        native = self._native
        facts = (native.format, native.backing, native.foreign)
        packed = zlib.compress(native.encode(512), 1)
        return _unpickled, (packed, facts, tuple(sorted(self._options.items())))

    def __repr__(self) -> str:
        return f"<qed.crash.Log {self.digest:016x} {self.format} {self._native.events} events>"


def _unpickled(packed: bytes, facts: tuple[Any, ...], options: tuple[tuple[str, Any], ...]) -> Log:
    """Return the log again; a worker that gets many shards of one log understands it once."""
    return _KNOWN(packed, facts, options)


def _unpickle(packed: bytes, facts: tuple[Any, ...], options: tuple[tuple[str, Any], ...]) -> Log:
    format, backing, foreign = facts
    known = {
        "format": format,
        "lenient": False,
        "sector_size": None,
        "workload": [],
        "backing": backing,
        "foreign": foreign,
    }
    image = OpenOptions(**dict(options))  # type: ignore[typeddict-item]
    return Log(_qed.CrashLog.decode(zlib.decompress(packed), None, known, image), image)


_KNOWN: Final = lru_cache(maxsize=4)(_unpickle)


def _workload(given: Iterable[tuple[str, int]] | Path | None) -> list[tuple[str, int]]:
    if given is None:
        return []
    if not isinstance(given, str | bytes | os.PathLike):
        return list(given)
    path = FilePath(os.fsdecode(given))
    calls = []
    for number, line in enumerate(path.read_bytes().splitlines(), 1):
        entries, _, call = line.partition(b" ")
        if not entries.isdigit() or not call.isascii() or not call:
            raise ValueError(f"{path}: line {number} is not `entries call`")
        calls.append((call.decode("ascii"), int(entries)))
    return calls
