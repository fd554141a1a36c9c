"""The pytest plugin of libqed: the fixture `crash`, its marker and its options.

A package beside `qed`, so that a run of tests that asks for no crash loads no engine.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from qed.crash.testing import Crash


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options, whose names begin with `--crash`."""
    group = parser.getgroup("crash", "states that a power failure may leave (libqed)")
    group.addoption(
        "--crash-profile",
        choices=("quick", "ci", "nightly"),
        default="quick",
        help="how much is walked through (default: quick)",
    )
    group.addoption(
        "--crash-budget", type=int, metavar="STATES", help="at most so many states of each log"
    )
    group.addoption(
        "--crash-seed",
        type=int,
        default=0,
        metavar="SEED",
        help="decides every sample (default: 0)",
    )
    group.addoption(
        "--crash-replay", metavar="ID", help="judge this state alone; a failure prints its ID"
    )
    group.addoption(
        "--crash-failures",
        metavar="DIR",
        help="where failures are saved (default: the directory of the test)",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Announce the marker."""
    config.addinivalue_line(
        "markers",
        "crash(modes, unit, seed, oracles, budget): how the fixture `crash` explores this test's "
        "logs; what is given here wins over the command line",
    )


@pytest.fixture
def crash(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Crash]:
    """Record disks in the test's directory and judge what a power failure may leave of them."""
    from qed.crash.testing import Crash

    options = request.config.option
    marked = [mark.kwargs for mark in request.node.iter_markers("crash")]
    directory = options.crash_failures
    folder = tmp_path / "crash-failures"
    if directory is not None:
        name = "".join(c if c.isalnum() or c in "._-" else "-" for c in request.node.nodeid)
        folder = request.config.invocation_params.dir / directory / name
    known = Crash(
        directory=tmp_path,
        failures=folder,
        test=request.node.nodeid,
        replay=options.crash_replay,
        profile=options.crash_profile,
        states=options.crash_budget,
        seed=options.crash_seed,
        # The marker nearest to the test wins.
        settings={name: value for kwargs in reversed(marked) for name, value in kwargs.items()},
    )
    yield known
    known.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Skip a test that never came to the state that is to be replayed."""
    result = yield
    known: Crash | None = getattr(item, "funcargs", {}).get("crash")
    wanted = item.config.option.crash_replay
    if wanted is not None and known is not None and not known.replayed:
        pytest.skip(f"state {wanted} is not of this test")
    return result
