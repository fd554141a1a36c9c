"""Measuring by the Python face and by the command."""

import json
from pathlib import Path
from typing import Any

import pytest

import qed
from support.commands import Command


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    """Give a disk of eight megabytes with one cluster of data."""
    path = tmp_path / "disk.qed"
    qed.create(path, "8M")
    with qed.open(path, "r+") as image:
        image.pwrite(b"x" * 65536, 2 << 20)
    return path


def test_a_copy_is_as_long_as_was_measured(tmp_path: Path, disk: Path) -> None:
    with qed.open(disk) as image:
        for cluster_size, table_size in (("64K", 4), ("4K", 2), (1 << 20, 1)):
            sizes: dict[str, Any] = {"cluster_size": cluster_size, "table_size": table_size}
            measured = qed.measure(image, **sizes)
            qed.convert(image, tmp_path / "copy", overwrite=True, **sizes)
            assert measured.required == (tmp_path / "copy").stat().st_size
            of_size = qed.measure("8M", **sizes)
            assert of_size.required < measured.required < measured.fully_allocated
            assert of_size.fully_allocated == measured.fully_allocated
        assert qed.measure(image, format="raw") == qed.Measured(8 << 20, 8 << 20)
        with pytest.raises(qed.InvalidArgumentError, match="table_size"):
            qed.measure(image, format="qcow2", table_size=4)
    with pytest.raises(qed.InvalidArgumentError, match="format"):
        qed.measure("1G", format="vmdk")  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        qed.measure(None)  # type: ignore[arg-type]


def test_the_command_measures_qed_images(qed_cli: Command, disk: Path) -> None:
    with qed.open(disk) as image:
        measured = qed.measure(image)
    said = qed_cli.ok("measure", str(disk))
    assert said == (
        f"required size: {measured.required}\nfully allocated size: {measured.fully_allocated}\n"
    )
    told = json.loads(qed_cli.ok("measure", "--output=json", "-O", "qed", str(disk)))
    assert told == {
        "required": measured.required,
        "fully-allocated": measured.fully_allocated,
    }
    for option in ("preallocation=full", "size=1G", "backing_file=x", "backing_fmt=raw"):
        name = option.partition("=")[0]
        refused = qed_cli.run("measure", "-O", "qed", "-o", option, str(disk))
        assert refused.err == f"qed: -o {name} is not supported by measure\n"
