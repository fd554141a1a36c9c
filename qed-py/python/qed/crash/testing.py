"""What the pytest fixture `crash` gives a test."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, Unpack

from qed._options import Path as AnyPath
from qed._options import Size
from qed.crash._log import Log
from qed.crash._oracles import Oracle
from qed.crash._plan import Budget
from qed.crash._record import Recording, RecordOptions, record
from qed.crash._results import Result
from qed.crash._workload import Workload


class Crash:
    """Records disks in the test's directory and judges what a power failure may leave of them."""

    directory: Path
    """The test's own directory, where relative paths lead."""

    def __init__(
        self,
        *,
        directory: Path,
        failures: Path,
        test: str,
        replay: str | None,
        profile: Literal["quick", "ci", "nightly"],
        states: int | None,
        seed: int,
        settings: dict[str, Any],
    ) -> None:
        budget = Budget.profile(profile)
        if states is not None:
            budget = replace(budget, states=states)
        self.directory = directory
        self.replayed = False
        """Whether the state that is to be replayed was one of this test's."""
        self._failures = failures
        self._test = test
        self._replay = replay
        self._settings = {"seed": seed, "budget": budget, **settings}
        self._recordings: list[Recording] = []

    def path(self, name: AnyPath) -> Path:
        """Return the path of a file in the test's directory."""
        return self.directory / os.fsdecode(name)

    def record(
        self,
        name: AnyPath = "disk.qed",
        *,
        size: Size | None = None,
        backing: AnyPath | None = None,
        **options: Unpack[RecordOptions],
    ) -> Recording:
        """Record a disk in the test's directory, as `qed.crash.record` does."""
        recording = record(self.path(name), size=size, backing=backing, **options)
        self._recordings.append(recording)
        return recording

    def check(
        self,
        run: Recording | Log | Workload,
        *oracles: Oracle,
        **settings: Any,
    ) -> Result:
        """Judge a run, by the default oracles unless some are given, and assert that all holds.

        `settings` are those of `Log.explore`; they win over the marker and the command line. What
        fails is saved, and the text says how to see that one state again.
        """
        log = run.log if isinstance(run, Recording) else run
        log = log.record() if isinstance(log, Workload) else log
        known = {**self._settings, **settings}
        if oracles:
            known["oracles"] = oracles
        result = self._explore(log, known)
        if not result.ok:
            raise AssertionError(self._story(result))
        return result

    def close(self) -> None:
        """Close what the test left open."""
        for recording in self._recordings:
            recording.close()

    def _explore(self, log: Log, settings: dict[str, Any]) -> Result:
        if self._replay is None:
            return log.explore(**settings)
        if not self._replay.startswith(f"{log.digest:016x}/"):
            # Another test's state, or another log's of this test: nothing is asked of this one.
            return log.explore(**{**settings, "oracles": (), "budget": Budget(states=1)})
        self.replayed = True
        chosen: Iterable[Oracle] | None = settings.get("oracles")
        return log.replay(self._replay, oracles=chosen)

    def _story(self, result: Result) -> str:
        files = result.save(self._failures)
        again = (f"pytest '{self._test}' --crash-replay {f.replay}" for f in result.failures)
        return "\n".join([str(result), *again, f"saved: {', '.join(map(str, files))}"])
