"""The pytest plugin, in runs of pytest of its own."""

import re
from pathlib import Path

import pytest

FAILS = """
    import pytest

    def not_there(image, view):
        assert image.pread(1, 0) == b"\\0", "it is there"

    @pytest.mark.crash(modes=["prefix"])
    def test_it(crash):
        with crash.record(size="1M") as rec:
            rec.image.pwrite(b"x" * 4096, 0)
        crash.check(rec, not_there)
"""


def test_a_test_records_and_checks(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("""
        def test_it(crash, tmp_path):
            with crash.record("disk.qed", size="1M") as rec:
                rec.image.pwrite(b"x" * 4096, 0)
            assert (tmp_path / "disk.qed").exists()
            assert crash.check(rec).stats.judged > 5
    """)
    pytester.runpytest("--strict-markers").assert_outcomes(passed=1)


def test_a_failure_says_how_to_see_it_again(pytester: pytest.Pytester) -> None:
    # Goal: one line leads back. Method: run, take the line, run that.
    pytester.makepyfile(FAILS)
    result = pytester.runpytest("--crash-failures", "kept")
    result.assert_outcomes(failed=1)
    text = result.stdout.str()
    assert "AssertionError: it is there" in text
    assert "power fails" in text
    found = re.search(r"pytest '(\S+)' --crash-replay (\S+)", text)
    assert found is not None
    kept = sorted(
        file.suffix for file in Path(pytester.path, "kept").rglob("*.*") if file.is_file()
    )
    assert kept == [".log", ".svg", ".txt"]
    again = pytester.runpytest(found[1], "--crash-replay", found[2])
    again.assert_outcomes(failed=1)
    assert found[2] in again.stdout.str()


def test_a_replay_skips_tests_of_other_logs(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(FAILS)
    result = pytester.runpytest("-rs", "--crash-replay", "0123456789abcdef/512/0:0")
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["*is not of this test*"])


def test_failures_stay_in_the_tests_directory_unless_told(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(FAILS)
    text = pytester.runpytest().stdout.str()
    saved = re.search(r"saved: (\S+\.log)", text)
    assert saved is not None
    assert Path(saved[1]).parent.name == "crash-failures"


def test_options_and_marks_reach_the_exploration(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("""
        import pytest
        import qed.crash as qc

        @pytest.fixture
        def log(crash):
            with crash.record(size="1M") as rec:
                rec.image.pwrite(b"x" * 9000, 0)
            return rec.log

        def test_the_command_line(crash, log):
            result = crash.check(log)
            assert result.stats.left_out > 0
            assert result == log.explore(seed=9, budget=qc.Budget(states=7, samples=400))

        @pytest.mark.crash(seed=1, oracles=["structure"], budget=qc.Budget(states=3))
        def test_the_mark_wins(crash, log):
            result = crash.check(log)
            assert result == log.explore(
                seed=1, oracles=["structure"], budget=qc.Budget(states=3)
            )

        @pytest.mark.crash(seed=1)
        class TestNear:
            @pytest.mark.crash(seed=2)
            def test_the_nearest_mark_wins(self, crash, log):
                assert crash.check(log, budget=qc.Budget()) == log.explore(seed=2)

        def test_what_the_test_says_wins(crash):
            workload = qc.Workload("| write 0+512; flush")
            assert crash.check(workload, modes=["prefix"]).stats.modes.keys() == {"prefix"}
    """)
    result = pytester.runpytest("--crash-seed", "9", "--crash-budget", "7")
    result.assert_outcomes(passed=4)


@pytest.mark.parametrize("profile", ["quick", "ci", "nightly"])
def test_profiles(pytester: pytest.Pytester, profile: str) -> None:
    pytester.makepyfile(f"""
        import qed.crash as qc

        def test_it(crash):
            workload = qc.Workload("| write 0+512")
            assert crash.check(workload) == workload.explore(budget=qc.Budget.profile("{profile}"))
    """)
    pytester.runpytest("--crash-profile", profile).assert_outcomes(passed=1)


def test_workers_of_xdist_do_not_meet(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("""
        import pytest

        @pytest.mark.parametrize("number", range(6))
        def test_it(crash, number):
            with crash.record("disk.qed", size="1M") as rec:
                rec.image.pwrite(bytes([number]) * 512, 0)
            crash.check(rec, lambda image, view: number % 2 == 0)
    """)
    result = pytester.runpytest("-n", "2", "--crash-failures", "kept")
    result.assert_outcomes(passed=3, failed=3)
    assert len([*Path(pytester.path, "kept").iterdir()]) == 3


def test_a_run_that_asks_for_no_crash_loads_no_engine(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("""
        import sys

        def test_it(request):
            assert request.config.pluginmanager.has_plugin("qed-crash")
            assert [name for name in sys.modules if name.split(".")[0] == "qed"] == []
    """)
    pytester.runpytest_subprocess("-p", "no:cacheprovider").assert_outcomes(passed=1)


def test_what_a_test_leaves_open_is_closed(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("""
        def test_it(crash):
            crash.record(size="1M").image.pwrite(b"x", 0)
    """)
    pytester.runpytest("-W", "error").assert_outcomes(passed=1)
