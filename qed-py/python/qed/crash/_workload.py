"""Workloads as data: one line that is generated, printed, parsed back, run and shrunk."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Self

from qed import _qed
from qed.crash._log import Log
from qed.crash._oracles import DEFAULT, Oracle, prepared
from qed.crash._plan import MODES, Budget, Plan

if TYPE_CHECKING:
    from qed.crash._results import Result


@dataclass(frozen=True, slots=True)
class Faults:
    """What came of the failures of a disk."""

    tried: int
    """Faults that were tried, each in a run of its own."""
    failures: tuple[str, ...]
    """What is wrong, a sentence for each fault that something was lost by."""

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.failures

    def assert_ok(self) -> None:
        """Raise an AssertionError that says what is wrong."""
        if self.failures:
            raise AssertionError("\n".join(self.failures))


class Workload:
    """A QED image on some disk, and what is done to it, as one line.

    `cluster=4096 table=1 size=4194304 unit=512 punch=1 | write 0+4096; flush; zero 0+512`. Of the
    image's facts only what differs from these need be given; `backing=32768` puts a file below it,
    `lower=49152` another one below that, and `copy_on_read=1` keeps what is read of them. Steps are
    `write`, `zero`, `discard` and `read` with `offset+length` (`fua`, `unmap`, `fill=aa`), `flush`,
    `resize 8192`, `compact 4096` (bytes at once), `stream`, `stream to lower`, `reopen`, `kill`,
    `repair`, `try STEP`, `fail [sync nth=2]`, `shorten 512 [write]`, `queued {CALL, CALL}` (in
    flight together) and `during [write after] {CALL, CALL} STEP`.
    """

    __slots__ = ("_native",)

    def __init__(self, line: str) -> None:
        self._native = _qed.CrashWorkload(line)

    @classmethod
    def generate(
        cls,
        seed: int,
        *,
        shape: Literal[
            "plain",
            "during-flush",
            "during-write",
            "faults",
            "resizing",
            "queued",
            "compacting",
            "streaming",
        ] = "plain",
    ) -> Self:
        """Return a random workload; the same seed and shape make the same one."""
        return cls(str(_qed.CrashWorkload.generate(seed, shape)))

    @property
    def steps(self) -> list[str]:
        """What is done, step by step."""
        return self._native.steps

    def record(self) -> Log:
        """Run it in memory and return the log."""
        return Log(self._native.record(), {})

    def explore(self, **options: Any) -> Result:
        """Run it and judge the states: the options are those of `Log.explore`."""
        return self.record().explore(**options)

    def shrink(
        self,
        *,
        modes: Iterable[Literal["prefix", "reorder", "torn"]] = MODES,
        seed: int = 0,
        oracles: Iterable[Oracle] = DEFAULT,
        budget: Budget | None = None,
    ) -> Self:
        """Return the shortest workload found that fails the same oracle; this one fails."""
        plan = Plan.of(modes, self._native.unit, seed, budget or Budget())
        return type(self)(str(self._native.shrink(plan, prepared(oracles))))

    def faults(self) -> Faults:
        """Run it once for each fault of its disk, with no crash: the oracle `faults`.

        Each write, zeroing, punch, change of length and sync fails in turn: with EIO or ENOSPC,
        after a part of it or after all of it, once or for ever. Nothing that was acknowledged and
        flushed may be lost, and the error must surface.
        """
        tried, wrong = self._native.faults()
        return Faults(tried, tuple(wrong))

    def __str__(self) -> str:
        return str(self._native)

    def __repr__(self) -> str:
        return f"Workload({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Workload) and str(self) == str(other)

    def __hash__(self) -> int:
        return hash(str(self))

    def __reduce__(self) -> tuple[type[Self], tuple[str]]:
        return type(self), (str(self),)
