"""Work in shards: the same ones for any number of workers, so that the result is the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from qed._qed import Tally
from qed.crash._results import Failure

if TYPE_CHECKING:
    from qed.crash._log import Log
    from qed.crash._plan import Plan

Found: TypeAlias = tuple[Tally, list[Failure]]


@dataclass(frozen=True, slots=True)
class Job:
    """What all shards of an exploration have in common. A shard is this and one word."""

    log: Log
    plan: Plan
    oracles: tuple[Any, ...]

    def shards(self) -> list[str]:
        """Return the shards: each names the log, the seed and a range of states."""
        return self.log._native.shards(self.plan, self.oracles)

    def run(self, shard: str) -> Found:
        """Judge the states of one shard."""
        return self.log._native.run(shard, self.plan, self.oracles)


def run(job: Job, shard: str) -> Found:
    """Judge the states of one shard, wherever this is called."""
    return job.run(shard)


def explore(
    job: Job, executor: Executor | None, progress: Callable[[int, int], object] | None
) -> Found:
    """Judge all shards, in order, until there are as many failures as are wanted.

    Shards behind that point count for nothing, though a worker may have begun with them.
    """
    shards = job.shards()
    tally = Tally()
    failures: list[Failure] = []
    found = _beside(executor, job, shards) if executor is not None else map(job.run, shards)
    for done, (part, failed) in enumerate(found, 1):
        tally.merge(part)
        failures += failed
        if progress is not None:
            progress(done, len(shards))
        if len(failures) >= job.plan.failures:
            break
    return tally, failures[: max(1, job.plan.failures)]


def _beside(executor: Executor, job: Job, shards: list[str]) -> Iterator[Found]:
    """Yield the shards' results in order; what is not wanted any more is called off."""
    futures: list[Future[Found]] = [executor.submit(run, job, shard) for shard in shards]
    try:
        for future in futures:
            yield future.result()
    finally:
        for future in futures:
            future.cancel()
