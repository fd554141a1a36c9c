"""Disks that fail: nothing flushed is lost, and the error comes out."""

import pytest

import qed
import qed.crash as qc


@pytest.mark.parametrize("seed", range(3))
def test_a_failing_disk_loses_nothing_that_was_flushed(seed: int) -> None:
    faults = qc.Workload.generate(seed).faults()
    faults.assert_ok()
    assert faults.ok
    assert faults.tried > 20


def test_what_is_lost_is_told() -> None:
    faults = qc.Faults(7, ("faults: sync 1: Io: a flush claims too much",))
    assert not faults.ok
    with pytest.raises(AssertionError, match="a flush claims too much"):
        faults.assert_ok()


def test_a_workload_that_fails_by_itself_is_refused() -> None:
    with pytest.raises(qed.Error):
        qc.Workload("| write 999999999+512").faults()
