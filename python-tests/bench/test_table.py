"""The parts of `make bench` that could tell a falsehood: ratios, goals, counts, the document."""

import re
import subprocess
from itertools import count
from pathlib import Path
from xml.etree import ElementTree

import pytest

import qed
from benches import counts, plot, report
from benches.model import Bench, Counts, Figure, Result, compare
from benches.sides import CLUSTER, GIB, Requests, create, scattered, send
from benches.tables import mapped
from support.commands import Command


def test_sides_take_turns_and_the_ratio_is_that_of_the_medians(tmp_path: Path) -> None:
    order: list[str] = []
    numbers = {"ours": iter([3.0, 100.0, 2.0]), "theirs": iter([4.0, 1.0, 5.0])}

    def side(name: str) -> float:
        order.append(name)
        return next(numbers[name])

    others = [("raw", lambda: side("theirs"), 0.75)]
    result = compare(Bench(tmp_path, 3, {}), "P0", "w", lambda: side("ours"), others)
    assert order == ["ours", "theirs", "theirs", "ours", "ours", "theirs"]
    (figure,) = result.figures
    assert (figure.ours, figure.theirs, figure.value) == (3000, 4000, 0.75)
    assert figure.met


@pytest.mark.parametrize(
    ("theirs", "ours", "goal", "met"),
    [
        (2.0, 1.0, 0.5, True),
        (2.0, 1.01, 0.5, False),
        (2.0, 1.0, None, None),
        (None, 99.0, 100.0, True),
        (None, 101.0, 100.0, False),
    ],
)
def test_a_goal_is_the_largest_ratio_or_number(
    theirs: float | None, ours: float, goal: float | None, met: bool | None
) -> None:
    assert Figure("P0", "w", "b", theirs, ours, "ms", goal).met is met


def test_only_calls_between_the_marks_count_and_one_resumed_once() -> None:
    log = "\n".join(
        [
            '10 pread64(3, "", 8, 0) = 0',
            '10 access("/nonexistent/bench-mark", F_OK) = -1 ENOENT',
            '11 pwritev(3, [{iov_base="", iov_len=8}], 1, 0 <unfinished ...>',
            "10 fdatasync(3) = 0",
            "11 <... pwritev resumed>) = 8",
            "10 --- SIGCHLD ---",
            '10 access("/nonexistent/bench-mark", F_OK) = -1 ENOENT',
            "10 fdatasync(3) = 0",
        ]
    )
    assert counts.between_marks(log) == {"pwritev": 1, "fdatasync": 1}


@pytest.mark.skipif(not counts.available(), reason="no strace")
def test_requests_of_a_run_are_counted(tmp_path: Path) -> None:
    # One request at a time on threads and past the page cache: a call and 4096 bytes each.
    path = tmp_path / "a.raw"
    create(path, "raw", 1 << 24)
    requests = Requests(64, write=True, depth=1, flush_interval=64)
    counted = counts.count(path, "raw", requests)
    assert counted.requests == 64
    names = ("pwrite64", "pwritev", "pwritev2", "io_uring_enter")
    assert sum(counted.calls.get(name, 0) for name in names) >= 64
    assert counted.calls.get("fdatasync", 0) + counted.calls.get("io_uring_enter", 0) >= 1


@pytest.mark.parametrize("unit", [4096, CLUSTER])
def test_scattered_requests_visit_everything_once(unit: int) -> None:
    blocks = {index * scattered(unit) % GIB for index in range(GIB // unit)}
    assert len(blocks) == GIB // unit
    # What qemu-img takes as a step.
    assert scattered(unit) < 1 << 31


def test_images_of_tables_alone_are_sound_and_map_everything(
    tmp_path: Path, qemu_img: Command
) -> None:
    path = tmp_path / "large.qed"
    mapped(path, 8 * GIB)
    found = qed.check(path)
    assert found.clean
    assert found.leaks == 0
    with qed.open(path) as disk:
        assert [extent.kind for extent in disk.extents()] == ["data"]
        assert disk.size == 8 * GIB
    assert f"virtual size: 8 GiB ({8 * GIB} bytes)" in qemu_img.ok("info", path)


def test_what_is_sent_to_both_sides_is_the_same(tmp_path: Path, qemu_img: Command) -> None:
    # Goal: QEMU gets the requests that we get. Method: both write to raw disks; they are equal.
    requests = Requests(100, step=scattered(CLUSTER), depth=4, write=True, flush_interval=20)
    disks = [tmp_path / "ours.raw", tmp_path / "theirs.raw"]
    for path in disks:
        create(path, "raw", 1 << 26)
    assert send(disks[0], "raw", requests) > 0
    said = qemu_img.ok("bench", "-f", "raw", *requests.qemu_words(), disks[1])
    assert "Sending flush every 20 requests" in said
    assert disks[0].read_bytes() == disks[1].read_bytes()
    assert disks[0].read_bytes().count(b"Z" * 4096) == 100


def _results() -> list[Result]:
    figures = [
        Figure("P3", "small writes", "raw file", 100.0, 110.0, "ms", 1.25),
        Figure("P3", "small writes", "QEMU qed", 1600.0, 110.0, "ms"),
        Figure("P12", "open", "", None, 120.0, "µs", 100),
    ]
    counted = (
        "P3",
        "small writes",
        "libqed",
        Counts(10, {"pwritev": 12, "fdatasync": 1}, 40960, 0),
    )
    return [Result(figures, [counted])]


def test_the_document_keeps_all_but_its_tables(tmp_path: Path) -> None:
    document = tmp_path / "benchmarks.md"
    document.write_text("above\n<!-- made by make bench -->\nold\n<!-- end -->\nbelow\n")
    tables = report.markdown(_results(), "A machine.", 9)
    report.replace(document, tables)
    text = document.read_text()
    assert text.startswith("above\n<!-- made by make bench -->\nA machine. 9 pairs.\n")
    assert text.endswith("<!-- end -->\nbelow\n")
    assert "old" not in text
    assert "| P3 | small writes | raw file | 100 ms | 110 ms | 1.10 | 1.25 | yes |" in text
    assert "| P12 | open |  |  | 120 µs |  | 100 µs | **no** |" in text
    assert "| P3 | small writes | libqed | 1.200 | 0.100 | 0.000 | 4,096 | 0 |" in text
    report.replace(document, tables)
    assert document.read_text() == text


def test_the_repository_s_document_has_a_place_for_the_tables(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    copy = tmp_path / "benchmarks.md"
    copy.write_text((root / "docs" / "benchmarks.md").read_text())
    report.replace(copy, "new tables\n")
    assert copy.read_text().count("new tables") == 1


def test_the_picture_has_a_bar_for_each_side_beside_the_raw_file() -> None:
    rows = plot.ratios(_results())
    assert rows == [("P3  small writes", {"libqed": 1.1, "QEMU qed": 16.0})]
    picture = plot.draw(rows)
    root = ElementTree.fromstring(picture)
    texts = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert {"P3  small writes", "1.10", "16.00", "libqed"} <= set(texts)
    # On a light page and on a dark one: no text in black or white, no page of its own.
    assert not re.search(r'fill="(#000|#fff|black|white)', picture)
    widths = [
        float(element.attrib["width"])
        for element in root.iter("{http://www.w3.org/2000/svg}rect")
        if float(element.attrib["y"]) > 50
    ]
    assert widths[0] < widths[1]


def test_a_run_that_is_interrupted_changes_no_document(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from benches import __main__ as main

    document = tmp_path / "benchmarks.md"
    document.write_text("<!-- made by make bench -->\nold\n<!-- end -->\n")
    monkeypatch.setattr(main, "DOCS", tmp_path)
    monkeypatch.setattr("benches.programs.build", lambda folder, rows: {})
    calls = count()

    def row(bench: Bench) -> list[Result]:
        (bench.folder / "disk").write_bytes(b"x")
        if next(calls) == 1:
            raise KeyboardInterrupt
        return _results()

    monkeypatch.setattr(main, "ROWS", {"A": row, "B": row})
    monkeypatch.setattr("sys.argv", ["benches", "--folder", str(tmp_path)])
    with pytest.raises(KeyboardInterrupt):
        main.main()
    assert "old" in document.read_text()
    assert [path.name for path in tmp_path.iterdir()] == ["benchmarks.md"]
    # A part is printed and not written; all of it is.
    monkeypatch.setattr("sys.argv", ["benches", "--folder", str(tmp_path), "A"])
    main.main()
    assert "old" in document.read_text()
    monkeypatch.setattr("sys.argv", ["benches", "--folder", str(tmp_path)])
    main.main()
    assert "old" not in document.read_text()
    assert (tmp_path / "benchmarks.svg").exists()


def test_the_c_side_compiles_as_c99_without_a_warning() -> None:
    source = Path(__file__).parents[2] / "benches" / "reads.c"
    words = ["cc", "-std=c99", "-Wall", "-Wextra", "-Werror", "-fsyntax-only"]
    words += [f"-I{source.parents[1] / 'include'}", str(source)]
    subprocess.run(words, check=True)
