"""Hypothesis's side: workloads that hold, and a machine in which the power fails."""

from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, Phase, find, given, settings
from hypothesis.stateful import run_state_machine_as_test

import qed
import qed.crash as qc
from qed.crash.hypothesis import CrashMachine, calls, ranges, workloads

FEW = settings(deadline=None, max_examples=25, suppress_health_check=list(HealthCheck))


@FEW
@given(workloads())
def test_every_state_of_every_workload_holds(workload: qc.Workload) -> None:
    workload.explore(budget=qc.Budget(states=300, samples=40)).assert_ok()


@FEW
@given(workloads(backing=True, kills=False))
def test_workloads_are_what_was_asked_for(workload: qc.Workload) -> None:
    assert " backing=" in str(workload)
    assert "kill" not in workload.steps
    assert qc.Workload(str(workload)) == workload


@FEW
@given(ranges(8192, unit=512))
def test_ranges_lie_on_the_disk(found: tuple[int, int]) -> None:
    offset, length = found
    assert length > 0
    assert offset % 512 == length % 512 == 0
    assert offset + length <= 8192


def test_calls_shrink_to_the_simplest() -> None:
    assert find(calls(), lambda call: call.startswith("discard"), settings=FEW) == "discard 0+512"


class OnAnImage(CrashMachine):
    """Uses a QED image."""


class OnARawDisk(CrashMachine):
    """Uses a raw disk in units of 4096 bytes, where only the view judges."""

    options: ClassVar[dict[str, Any]] = {"format": "raw"}
    unit = 4096
    budget = qc.Budget(states=1)


TestOnAnImage = OnAnImage.TestCase
TestOnAnImage.settings = settings(FEW, max_examples=8, stateful_step_count=15)
TestOnARawDisk = OnARawDisk.TestCase
TestOnARawDisk.settings = settings(FEW, max_examples=8, stateful_step_count=15)


class Forgetful(CrashMachine):
    """Holds that a disk comes back empty, which is not so."""

    def recovered(self, image: qed.Image, view: qc.View) -> None:
        assert image.pread(image.size, 0).strip(b"\0") == b"", "it is not empty"


def test_a_machine_finds_what_a_crash_shows() -> None:
    once = settings(FEW, max_examples=200, stateful_step_count=12, phases=[Phase.generate])
    with pytest.raises(AssertionError, match="it is not empty"):
        run_state_machine_as_test(Forgetful, settings=settings(once, database=None))
