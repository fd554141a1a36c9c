"""Logs of QEMU's drivers: the same suite finds what is wrong with them, and nothing else.

The logs are those of the engine's own tests; `record.py` beside them made them.
"""

from pathlib import Path
from typing import Any

import pytest

import qed.crash as qc
from support.commands import Command

LOGS = Path(__file__).parents[2] / "qed-core" / "tests" / "data" / "crash"


def recorded(name: str, tmp_path: Path, **options: Any) -> qc.Log:
    """Return a log of QEMU's."""
    if "backing" in name:
        (tmp_path / "base.raw").write_bytes(b"\x01" * 32768)
        options["backing"] = tmp_path / "base.raw"
    log = qc.Log.open(
        LOGS / f"{name}.log",
        base=LOGS / f"{name}.base",
        workload=LOGS / f"{name}.calls",
        lenient=True,
        **options,
    )
    assert log.foreign
    return log


def test_d5_is_one_write_before_its_barrier(tmp_path: Path) -> None:
    result = recorded("qed", tmp_path).explore()
    (failure,) = result.failures
    assert failure.oracle == "structure"
    assert result.stats.judged <= 10
    # The L2 table came early: a sync is missing behind the header's flag and the data.
    assert [str(write) for write in failure.writes] == ["#2 write 0x4000 + 0x200"]
    assert failure.barrier.early == failure.writes
    assert failure.barrier.lost[0].text.startswith("write 0x0 ")
    assert "a sync is missing here" in failure.timeline()
    assert str(failure.barrier).startswith("a sync after #0 write 0x0 + 0x200 or #1 ")


def test_d4_shows_the_backing_file_under_stable_zeroes(tmp_path: Path) -> None:
    (failure,) = recorded("qed-zeroes-over-backing", tmp_path).explore().failures
    assert failure.oracle == "no-foreign-data"
    assert "legal: zeroes" in failure.what


def test_an_overlay_without_zeroes_holds(tmp_path: Path) -> None:
    result = recorded("qed-over-backing", tmp_path).explore()
    result.assert_ok()
    assert result.stats.judged > 80


def test_a_foreign_log_stays_foreign_through_a_file(tmp_path: Path) -> None:
    # Goal: NEED_CHECK is no failure of another program's. Method: saved in our own form, where the
    # caller has to say it.
    log = recorded("qed-over-backing", tmp_path)
    log.save(tmp_path / "a.log")
    backing = tmp_path / "base.raw"
    assert qc.Log.open(tmp_path / "a.log", backing=backing, foreign=True).explore().ok


@pytest.mark.usefixtures("qemu_io")
def test_qcow2_with_lazy_refcounts_loses_data(qemu_img: Command, tmp_path: Path) -> None:
    log = recorded("qcow2-lazy", tmp_path, format="qcow2")
    (failure,) = log.explore(oracles=[qc.Qemu()], budget=qc.Budget(full=10)).failures
    assert len(failure.writes) == 1
    assert failure.barrier.early


@pytest.mark.usefixtures("qemu_io")
def test_qcow2_holds_without_them(qemu_img: Command, tmp_path: Path) -> None:
    log = recorded("qcow2", tmp_path, format="qcow2")
    # QEMU's tools are who judges qcow2, unless others are asked.
    result = log.explore(budget=qc.Budget(full=6, torn_full=1, samples=5))
    result.assert_ok()
    assert result.stats.judged > 20
