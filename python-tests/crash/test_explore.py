"""Exploring: what is walked, what is told of it, and oracles of one's own."""

import pickle
from pathlib import Path
from typing import Literal

import pytest

import qed
import qed.crash as qc


@pytest.fixture
def log(path: Path) -> qc.Log:
    """Return a log with a stable write and one that is not."""
    with qc.record(path, size="1M", cluster_size=4096, table_size=1) as rec:
        rec.image.pwrite(b"a" * 4096, 0)
        rec.image.flush()
        rec.mark("a")
        rec.image.pwrite(b"b" * 4096, 0)
        rec.image.pwrite(b"c" * 2048, 8192)
    return rec.log


def never_b(image: qed.Image, view: qc.View) -> None:
    """Object to a state in which the second write is there."""
    assert image.pread(1, 0) != b"b", "b is there"


def test_the_same_seed_is_the_same_walk(log: qc.Log) -> None:
    one, same = (log.explore(seed=3, budget=qc.Budget(samples=20)) for _ in range(2))
    assert one == same
    assert one.ok
    assert one.stats.exhaustive is False or one.stats.sampled == 0


def test_a_budget_bounds_the_walk_and_says_what_it_left_out(log: qc.Log) -> None:
    whole, part = log.explore(), log.explore(budget=qc.Budget(states=20))
    assert part.stats.generated < whole.stats.generated
    assert part.stats.generated + part.stats.left_out == whole.stats.generated
    assert not part.stats.exhaustive


def test_modes_and_units_say_what_disorder_is_tried(log: qc.Log) -> None:
    assert log.explore(modes={"prefix"}).stats.modes.keys() == {"prefix"}
    assert "torn" not in log.explore(modes={"prefix", "reorder"}).stats.modes
    fine, coarse = (log.explore(unit=unit, oracles=["structure"]) for unit in (512, 4096))
    assert fine.stats.unique > coarse.stats.unique


def test_what_makes_no_sense_is_refused(log: qc.Log) -> None:
    for wrong in ({"unit": 1024}, {"modes": ()}, {"modes": {"often"}}, {"oracles": ["delphi"]}):
        with pytest.raises(qed.InvalidArgumentError):
            log.explore(**wrong)
    with pytest.raises(TypeError, match="a name or a callable"):
        log.explore(oracles=[7])  # type: ignore[list-item]
    with pytest.raises(TypeError, match="collection"):
        log.explore(oracles="structure")
    with pytest.raises(qed.InvalidArgumentError, match="another log"):
        log.replay("0123456789abcdef/512/0:0")
    with pytest.raises(qed.InvalidArgumentError, match="window"):
        log.replay("99:0")


def test_an_oracle_is_not_asked_in_vain(path: Path) -> None:
    # A format that no oracle of libqed's reads is not passed over in silence.
    with qc.record(path, size="1M", format="raw") as rec:
        rec.image.pwrite(b"a" * 512, 0)
    with pytest.raises(qed.InvalidArgumentError, match="cannot judge raw"):
        rec.log.explore(oracles=["structure"])


def test_qcow2_is_recorded_and_judged_by_an_oracle_of_ones_own(tmp_path: Path) -> None:
    # Goal: any format libqed writes. Method: over a backing file, whose bytes the view knows.
    (tmp_path / "base.raw").write_bytes(b"\x01" * 131072)
    with qc.record(
        tmp_path / "disk.qcow2", backing="base.raw", backing_format="raw", format="qcow2"
    ) as rec:
        rec.image.pwrite(b"a" * 4096, 0)
        rec.image.flush()
        rec.mark("a")
        rec.image.pwrite(b"b" * 4096, 65536)

    def holds(image: qed.Image, view: qc.View) -> None:
        assert image.format == "qcow2"
        assert view.allows(0, image.pread(131072, 0))

    result = rec.log.explore(oracles=[holds])
    result.assert_ok()
    assert result.stats.judged > 10
    assert not rec.log.explore(oracles=[lambda image, view: "a" not in view.marks]).ok


def test_a_failure_tells_its_story_and_is_found_again(log: qc.Log) -> None:
    result = log.explore(oracles=[never_b])
    (failure,) = result.failures
    assert (failure.oracle, failure.what) == ("never_b", "AssertionError: b is there")
    assert "call 2: write 0+4096 fill=62" in failure.guest_operations
    assert "power fails" in failure.timeline()
    assert failure.svg().startswith("<svg")
    assert failure.replay in str(failure)
    with pytest.raises(AssertionError, match="power fails"):
        result.assert_ok()
    again = log.replay(failure.replay, oracles=[never_b])
    assert (again.ok, again.stats.generated) == (False, 1) or again.failures[0].what == failure.what
    with log.state(failure.replay).open("r") as image:
        assert image.pread(1, 0) == b"b"


def test_failures_are_saved_with_what_explains_them(log: qc.Log, tmp_path: Path) -> None:
    result = log.explore(oracles=[never_b])
    saved = result.save(tmp_path / "failures")
    assert [file.suffix for file in saved] == [".log", ".txt", ".svg"]
    again = qc.Log.open(saved[0])
    assert again.digest == log.digest
    assert not again.replay(result.failures[0].replay, oracles=[never_b]).ok


@pytest.mark.parametrize(
    ("answer", "what"),
    [(None, None), (True, None), (False, "it says no"), ("wrong", "wrong"), (7, "TypeError")],
)
def test_an_oracle_answers_or_raises(log: qc.Log, answer: object, what: str | None) -> None:
    result = log.explore(oracles=[lambda image, view: answer], budget=qc.Budget(states=5))  # type: ignore[return-value, list-item]
    assert (None if result.ok else result.failures[0].what[: len(what or "")]) == what


@pytest.mark.parametrize("ending", [KeyboardInterrupt, SystemExit])
def test_what_ends_the_program_is_no_verdict(log: qc.Log, ending: type[BaseException]) -> None:
    def judge(image: qed.Image, view: qc.View) -> None:
        raise ending

    with pytest.raises(ending):
        log.explore(oracles=[judge])


def test_progress_counts_shards_and_may_cancel(log: qc.Log) -> None:
    told: list[tuple[int, int]] = []
    log.explore(progress=lambda done, total: told.append((done, total)))
    assert told == [(number + 1, len(told)) for number in range(len(told))]

    def cancel(done: int, total: int) -> None:
        raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        log.explore(progress=cancel)


def test_the_view_says_what_was_stable(log: qc.Log) -> None:
    # Goal: an oracle can tell what is promised. Method: states before and behind the mark.
    before = behind = 0
    for state in log.states():
        view = state.view
        with state.open("r") as image:
            assert view.allows(0, image.pread(4096, 0))
        calls = {call.number: call for call in view.calls}
        if "a" in view.marks:
            behind += 1
            assert calls[0].stable
            assert not view.allows(0, bytes(4096))
        else:
            before += 1
    assert before > 0
    assert behind > 0
    assert not view.allows(0, b"x" * 4096)
    assert view.is_stable(65536, 4096)
    with pytest.raises(qed.InvalidArgumentError, match="whole sectors"):
        view.is_stable(1, 512)


def test_states_open_and_materialise(log: qc.Log, tmp_path: Path) -> None:
    states = list(log.states())
    assert len({state.digest for state in states}) == len(states)
    assert len(list(log.states(distinct=False))) > len(states)
    for state in (states[0], states[-1]):
        state.materialise(tmp_path / "state.qed")
        assert (tmp_path / "state.qed").stat().st_size == state.length
        with state.open() as ours, qed.open(tmp_path / "state.qed") as file:
            assert ours.pread(ours.size, 0) == file.pread(file.size, 0)
            ours.pwrite(b"x", 0)
        with state.open("r") as fresh:
            assert fresh.pread(1, 0) != b"x"
    with pytest.raises(ValueError, match="mode"):
        states[0].open("w")


def test_a_workload_is_a_line(tmp_path: Path) -> None:
    line = (
        "cluster=4096 table=1 size=4194304 unit=512 punch=1 | write 0+4096; flush; discard 0+4096"
    )
    workload = qc.Workload(line)
    assert (str(workload), workload.steps) == (line, ["write 0+4096", "flush", "discard 0+4096"])
    assert pickle.loads(pickle.dumps(workload)) == workload
    workload.explore().assert_ok()
    assert workload.record().digest == workload.record().digest
    made = [qc.Workload.generate(7, shape=shape) for shape in ("plain", "faults")]
    assert made[0] == qc.Workload.generate(7) != made[1]

    def made_with(step: str, shape: Literal["compacting", "streaming"]) -> qc.Workload:
        made = (qc.Workload.generate(seed, shape=shape) for seed in range(100))
        return next(workload for workload in made if step in str(workload))

    streamed = made_with("stream to lower", "streaming")
    streamed.explore(budget=qc.Budget(states=200)).assert_ok()
    copied = pickle.loads(pickle.dumps(streamed.record()))
    assert copied.explore(budget=qc.Budget(states=200)).ok
    made_with("compact", "compacting").explore(budget=qc.Budget(states=200)).assert_ok()
    with pytest.raises(qed.InvalidArgumentError, match="makes no sense"):
        qc.Workload("| fly 0+1")
    with pytest.raises(qed.InvalidArgumentError, match="none of plain"):
        qc.Workload.generate(7, shape="wild")  # type: ignore[arg-type]


def test_a_workload_shrinks_to_the_calls_that_matter() -> None:
    def no_sevens(image: qed.Image, view: qc.View) -> bool:
        return image.pread(1, 0) != b"\x07"

    workload = qc.Workload("| write 8192+512; write 0+512 fill=07; zero 4096+512; flush; flush")
    assert not workload.explore(oracles=[no_sevens]).ok
    shrunk = workload.shrink(oracles=[no_sevens])
    assert shrunk.steps == ["write 0+512 fill=07", "flush"]
    with pytest.raises(qed.InvalidArgumentError, match="nothing to shrink"):
        workload.shrink()
