"""Fixtures of all Python tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

import qed
from support.commands import Command, qed_command, tool

# Disk I/O makes a deadline a matter of luck. What fails prints how to repeat it.
settings.register_profile(
    "libqed",
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
settings.load_profile("libqed")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where a test's image goes."""
    return tmp_path / "disk.qed"


@pytest.fixture
def image(path: Path) -> Iterator[qed.Image]:
    """Return a new image of 10 MiB, open for writing."""
    qed.create(path, "10M")
    with qed.open(path, "r+") as image:
        yield image


@pytest.fixture
def qed_cli(tmp_path: Path) -> Command:
    """Return the command `qed`, run in the test's directory."""
    return qed_command(tmp_path)


@pytest.fixture
def qemu_img(tmp_path: Path) -> Command:
    """Return `qemu-img`, run in the test's directory."""
    return tool("qemu-img", tmp_path)


@pytest.fixture
def qemu_io(tmp_path: Path) -> Command:
    """Return `qemu-io`, run in the test's directory."""
    return tool("qemu-io", tmp_path)
