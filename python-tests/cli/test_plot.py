"""`qed map --plot`: a picture of where the disk lies in the file."""

import xml.etree.ElementTree as ElementTree
from itertools import pairwise
from pathlib import Path

import pytest

import qed
from qed.cli import _plot
from qed.cli._plot import picture
from qed.cli._svg import runs
from support.commands import Command
from support.images import CLUSTER

SVG = "{http://www.w3.org/2000/svg}"


def draw(cli: Command, path: Path) -> ElementTree.Element:
    target = path.with_suffix(".svg")
    assert cli.ok("map", "--plot", target, path) == ""
    return ElementTree.parse(target).getroot()


def texts(svg: ElementTree.Element) -> list[str]:
    return [element.text or "" for element in svg.iter(f"{SVG}text")]


def drawn(svg: ElementTree.Element, clip: str) -> dict[str, str]:
    """Return the paths of a group, by their fill."""
    for group in svg.iter(f"{SVG}g"):
        if group.get("clip-path") == f"url(#{clip})":
            paths = group.iter(f"{SVG}path")
            return {path.get("fill", ""): path.get("d", "") for path in paths}
    raise AssertionError(f"no group is clipped by {clip}")


def test_an_empty_image_says_that_there_is_no_data(qed_cli: Command, path: Path) -> None:
    qed.create(path, "10G")
    svg = draw(qed_cli, path)
    assert texts(svg)[:2] == [
        path.name,
        "qed image: a disk of 10 GiB in a file of 320 KiB; 0 B data, 0 B zeroes",
    ]
    assert texts(svg).count("no data in the file") == 2
    assert "unallocated, reads zeroes" in texts(svg)
    assert not drawn(svg, "square")
    assert not drawn(svg, "guest")


def test_a_disk_in_order_is_a_line_and_a_reversed_one_falls(qed_cli: Command, path: Path) -> None:
    # Goal: order is seen. Method: 200 clusters are written upward, then in another image downward;
    # each row of the square is filled at one place, which moves right, or left.
    for order in (range(200), range(199, -1, -1)):
        qed.create(path, 200 * CLUSTER, overwrite=True)
        with qed.open(path, "r+") as image:
            for cluster in order:
                image.pwrite(b"x" * CLUSTER, cluster * CLUSTER)
        square = drawn(draw(qed_cli, path), "square")
        boxes = [box.split("h")[0].split(" ") for d in square.values() for box in d.split("M")[1:]]
        by_row = sorted((int(row), int(column)) for column, row in boxes)
        columns = [column for _, column in by_row]
        assert len(columns) > 150
        steps = [after - before for before, after in pairwise(columns)]
        if order.step > 0:
            assert all(step in (0, 1, 2) for step in steps)
        else:
            assert sum(steps) < -150


def test_facts_tell_fragmentation(qed_cli: Command, path: Path) -> None:
    qed.create(path, "64M")
    with qed.open(path, "r+") as image:
        for cluster in (5, 3, 4, 1):
            image.pwrite(b"x", cluster * CLUSTER)
    # Guest clusters 1, 3, 4 and 5 lie in the file in the order 5, 3, 4, 1.
    facts = texts(draw(qed_cli, path))[2]
    assert facts == "3 runs of data: 85.3 KiB on average, 128 KiB the longest; 2 backward jumps"


def test_zeroes_and_what_the_backing_file_holds_are_told_apart(
    qed_cli: Command, path: Path, tmp_path: Path
) -> None:
    (tmp_path / "base.raw").write_bytes(bytes(320 * CLUSTER))
    qed.create(path, backing="base.raw", backing_format="raw")
    with qed.open(path, "r+") as image:
        image.pwrite(b"x" * 80 * CLUSTER, 0)
        image.write_zeroes(160 * CLUSTER, 80 * CLUSTER)
    svg = draw(qed_cli, path)
    assert "left to the backing file" in texts(svg)
    guest = drawn(svg, "guest")
    assert set(guest) == {_plot.DATA, _plot.ZERO}
    # 320 bins of a cluster each: the first quarter is data, the third zeroes, at full height.
    assert guest[_plot.DATA] == "M0 0h80v26h-80z"
    assert guest[_plot.ZERO] == "M160 0h80v26h-80z"


def test_the_same_image_gives_the_same_bytes(qed_cli: Command, path: Path) -> None:
    qed.create(path, "1G")
    with qed.open(path, "r+") as image:
        for cluster in range(0, 4000, 7):
            image.pwrite(b"x", cluster * CLUSTER)
    first, second = path.with_suffix(".1.svg"), path.with_suffix(".2.svg")
    qed_cli.ok("map", "--plot", first, path)
    qed_cli.ok("map", f"--plot={second}", path)
    assert first.read_bytes() == second.read_bytes()


def test_the_picture_stays_small_whatever_the_image(path: Path) -> None:
    # The worst that a square can hold: no two neighbours alike, in any of the shades.
    bins = 320
    cells = [(1 << (3 * (at % 4))) * ((at + at // bins) % 2) for at in range(bins * bins)]
    qed.create(path, "1T")
    with qed.inspect(path) as layer:
        info = layer.info()
    layout = qed._layout.Layout(
        guest_bin=1 << 10,
        file_bin=1 << 10,
        total=(1 << 40, 0, 0),
        runs=1 << 24,
        longest_run=65536,
        backward=1 << 23,
        guest=[(at, bins - at, at % 3) for at in range(bins)],
        file=[at * 3 for at in range(bins)],
        cells=cells,
    )
    text = str(picture(layout, info, "worst"))
    ElementTree.fromstring(text)
    assert len(text) < 2 << 20


def test_names_are_escaped(qed_cli: Command, tmp_path: Path) -> None:
    path = tmp_path / "a<b>&\x1b[31m\udcff.qed"
    qed.create(path, "1M")
    svg = draw(qed_cli, path)
    assert texts(svg)[0] == "a<b>&\\x1b[31m?.qed"


def test_what_has_no_meaning_beside_it_is_refused(qed_cli: Command, path: Path) -> None:
    qed.create(path, "1M")
    target = path.with_suffix(".svg")
    for words in (["-s", "1k"], ["-l", "1k"], ["--output=json"], ["--backing=deny"]):
        outcome = qed_cli.run("map", "--plot", target, *words, path)
        assert (outcome.status, outcome.out) == (1, "")
        assert "has no meaning beside it" in outcome.err
        assert not target.exists()
    outcome = qed_cli.run("map", "--plot", path.parent / "nowhere" / "a.svg", path)
    assert outcome.status == 1
    assert outcome.err.count("\n") == 1


@pytest.mark.parametrize(
    ("values", "expected"),
    [([], []), ([1], [(0, 1, 1)]), ([1, 1, 0, 1], [(0, 2, 1), (2, 1, 0), (3, 1, 1)])],
)
def test_runs_of_equal_values(values: list[int], expected: list[tuple[int, int, int]]) -> None:
    assert list(runs(values)) == expected
