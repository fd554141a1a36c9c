"""Shards: whoever does the work, in threads, processes or a cluster, the result is the same."""

import pickle
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path

import pytest

import qed
import qed.crash as qc
from qed.crash import _shards
from qed.crash._plan import MODES, Plan

BUDGET = qc.Budget(states=5000)


@pytest.fixture
def log(tmp_path: Path) -> qc.Log:
    """Return a log over a backing file, of more than one shard."""
    (tmp_path / "base.raw").write_bytes(b"\x01" * 65536)
    with qc.record(
        tmp_path / "disk.qed",
        backing="base.raw",
        backing_format="raw",
        cluster_size=4096,
        table_size=1,
    ) as rec:
        for cluster in range(12):
            rec.image.pwrite(bytes([cluster]) * 2048, cluster * 4096)
            rec.image.pwrite(bytes([cluster]) * 1024, (cluster // 2) * 4096 + 2048)
        rec.image.flush()
        rec.image.write_zeroes(0, 8192)
    return rec.log


def not_the_last(image: qed.Image, view: qc.View) -> bool:
    """Object to states in which the last write is there."""
    return image.pread(1, 11 * 4096) != b"\x0b"


@contextmanager
def _cluster() -> Iterator[Executor]:
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None, host="127.0.0.1"
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client.get_executor()


def _processes() -> Executor:
    # A fork would copy whatever this process has open.
    return ProcessPoolExecutor(2, mp_context=get_context("spawn"))


def test_a_shard_is_the_logs_digest_a_seed_and_a_range(log: qc.Log) -> None:
    plan = Plan.of(MODES, 512, 5, BUDGET)
    job = _shards.Job(log, plan, ("structure",))
    shards = job.shards()
    assert len(shards) > 1
    assert all(shard.startswith(f"{log.digest:016x}/5/") for shard in shards)
    # It travels with its job, and what comes back does as well.
    sent: _shards.Job = pickle.loads(pickle.dumps(job))
    tally, failures = pickle.loads(pickle.dumps(sent.run(shards[0])))
    here, _ = job.run(shards[0])
    assert (str(tally), tally.digest, failures) == (str(here), here.digest, [])
    assert pickle.loads(pickle.dumps(job)).log is sent.log, "a worker understands a log once"


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_threads_find_the_same(log: qc.Log, workers: int) -> None:
    alone = log.explore(budget=BUDGET)
    with ThreadPoolExecutor(workers) as executor:
        assert log.explore(executor=executor, budget=BUDGET) == alone
        wrong = log.explore(executor=executor, oracles=[not_the_last])
    assert not wrong.ok
    assert wrong == log.explore(oracles=[not_the_last])


def test_processes_find_the_same(log: qc.Log) -> None:
    with _processes() as executor:
        assert log.explore(executor=executor, budget=BUDGET) == log.explore(budget=BUDGET)


# Its own loops are closed late now and then, and say so in a warning.
@pytest.mark.filterwarnings("default")
def test_a_cluster_finds_the_same(log: qc.Log) -> None:
    with _cluster() as executor:
        assert log.explore(executor=executor, budget=BUDGET) == log.explore(budget=BUDGET)


def test_failures_come_in_the_order_of_the_walk(log: qc.Log) -> None:
    # Goal: what a worker finds early does not come first. Method: several failures, cut anyhow.
    budget = qc.Budget(failures=3)
    alone = log.explore(oracles=[not_the_last], budget=budget)
    assert len(alone.failures) == 3
    with ThreadPoolExecutor(4) as executor:
        assert log.explore(oracles=[not_the_last], budget=budget, executor=executor) == alone


def test_a_log_keeps_what_stands_below_it(log: qc.Log) -> None:
    # Goal: a worker judges against the same backing file. Method: through a pickle, and through a
    # file with and without it.
    again: qc.Log = pickle.loads(pickle.dumps(log))
    assert again.explore() == log.explore(budget=BUDGET)
