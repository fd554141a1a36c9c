"""`qed map` beside `qemu-img map`."""

import json
from pathlib import Path

import pytest

import qed
from support import zoo
from support.commands import Command

RANGES = [
    [],
    ["--start-offset=100k", "--max-length=2M"],
    ["--start-offset=1000", "--max-length=5000"],
    ["--max-length", "0"],
    ["--start-offset=100T"],
    ["--start-offset", "2M", "--max-length=100T"],
]


@pytest.mark.parametrize("name", list(zoo.SOUND))
def test_text_and_json_are_those_of_qemu_img(
    qed_cli: Command, qemu_img: Command, qemu_io: Command, path: Path, name: str
) -> None:
    zoo.SOUND[name](qemu_img, qemu_io, path)
    for words in RANGES:
        for output in ("human", "json"):
            line = ["map", f"--output={output}", *words, path.name]
            assert qed_cli.ok(*line) == qemu_img.ok(*line), line


def test_an_overlay_shows_its_own_layer(
    qed_cli: Command, qemu_img: Command, qemu_io: Command, path: Path
) -> None:
    # Goal: no backing file is opened, and what is in the overlay is told as qemu-img tells it.
    # Method: the runs of depth 0 are compared; then the base is taken away.
    zoo.ALL["overlay"](qemu_img, qemu_io, path)
    theirs = json.loads(qemu_img.ok("map", "--output=json", path))
    (path.parent / "base.raw").unlink()
    ours = json.loads(qed_cli.ok("map", "--output=json", path))
    assert [run for run in ours if run["present"]] == [run for run in theirs if run["depth"] == 0]
    absent = [run for run in ours if not run["present"]]
    assert [(run["start"], run["length"]) for run in absent] == [
        (0, 65536),
        (131072, 917504),
        (1114112, 4128768),
    ]
    assert not any(run["zero"] or run["data"] for run in absent)
    assert qed_cli.ok("map", path).count(str(path)) == 1


def test_a_run_of_many_gigabytes_is_one_run(qed_cli: Command, path: Path) -> None:
    # D12: qemu-img's lengths are 32 bits wide there.
    qed.create(path, "10T", table_size=8)
    with qed.open(path, "r+") as image:
        image.pwrite(b"x", 5 << 40)
    runs = json.loads(qed_cli.ok("map", "--output=json", path))
    assert [run["length"] for run in runs] == [5 << 40, 65536, (5 << 40) - 65536]


def test_offsets_are_sizes(qed_cli: Command, path: Path) -> None:
    qed.create(path, "1M")
    for words in (["--start-offset=1x"], ["--max-length=-1"]):
        outcome = qed_cli.run("map", *words, path)
        assert outcome.status == 1
        assert "is no size" in outcome.err
