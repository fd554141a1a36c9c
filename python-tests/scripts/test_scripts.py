"""Shell scripts written for QEMU's tools run unchanged with libqed's.

Each script of `cases/` runs twice in empty directories: with QEMU's tools in PATH, and with links
of the same names to `qed`. What it prints, its status and the names of the files it leaves must be
equal. Head lines `# differs: why` and `# ours: text` say that libqed deviates on purpose: then that
text is in its output, and not in QEMU's.
"""

import re
from pathlib import Path

import pytest

from support.both import Both, filtered, insist_same

CASES = sorted((Path(__file__).parent / "cases").glob("*.sh"))


@pytest.fixture
def both(tmp_path: Path) -> Both:
    return Both(tmp_path)


@pytest.mark.parametrize("script", CASES, ids=lambda path: path.stem)
def test_a_script_cannot_tell_whose_tools_it_runs(both: Both, script: Path) -> None:
    theirs, ours = both.run("sh", script)
    assert theirs.out or theirs.err, "the script says nothing that could be compared"
    assert not re.search(r"\.sh: .*(not found|yntax)", theirs.err), "the script itself is wrong"
    if head_line(script, "differs") is None:
        insist_same(theirs, ours)
    else:
        expected = head_line(script, "ours")
        assert expected is not None
        assert expected in ours.out
        assert expected not in theirs.out, "it is said to differ and does not"


def head_line(script: Path, word: str) -> str | None:
    """Return what stands behind `# word: ` in a line of its own."""
    found = re.search(rf"^# {word}: (.+)$", script.read_text(), re.M)
    return None if found is None else found[1]


@pytest.mark.parametrize("script", CASES, ids=lambda path: path.stem)
def test_a_script_begins_with_what_it_is_about(script: Path) -> None:
    first, *rest = script.read_text().splitlines()
    assert re.fullmatch(r"# .{18,97}\.", first)
    assert all(len(line) <= 100 for line in rest)


@pytest.mark.parametrize("tool", ["qemu-img", "qemu-io"])
def test_the_two_sides_run_different_programs(both: Both, tool: str) -> None:
    theirs, ours = both.run(tool, "--version")
    assert theirs.out.startswith(f"{tool} version ")
    assert "QEMU Project developers" in theirs.out
    assert ours.status == 0
    assert ours.out.startswith(f"{tool} version ")
    assert "libqed" in ours.out
    assert "QEMU Project developers" not in ours.out


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            "4 KiB, 1 ops; 00.00 sec (6.895 MiB/sec and 1765.0412 ops/sec)",
            "4 KiB, 1 ops; TIME (RATES)",
        ),
        ("0 bytes, 1 ops; 00.01 sec (0 bytes/sec and 17.2 ops/sec)", None),
        ("512 bytes, 1 ops; 0:19:27.11 (56.152353 bytes/sec and 0.0009 ops/sec)", None),
        ("512 bytes, 1 ops; 00.00 sec (inf EiB/sec and inf ops/sec)", None),
        ("qemu-io> 512,1,0:00:00.00,9844828.581,19228.181", "qemu-io> 512,1,TIME,RATES"),
        ("/a/b/c/disk.qed is there", "DIRECTORY/disk.qed is there"),
    ],
)
def test_times_rates_and_places_are_filtered(line: str, expected: str | None) -> None:
    shown = filtered(line, Path("/a/b/c"))
    assert shown == (expected or re.sub(r"; .*", "; TIME (RATES)", line))
    assert filtered(f"{line}\n{line}\n", Path("/a/b/c")) == f"{shown}\n{shown}\n"


@pytest.mark.parametrize(
    "line",
    [
        "wrote 4096/4096 bytes at offset 0",
        "4096/4096 bytes allocated at offset 0 bytes",
        "virtual size: 1.5 MiB (1572864 bytes)",
        "0       0x10000         0x50000         disk.qed",
        "Pattern verification failed at offset 0, 512 bytes",
        "1/16 = 6.25% allocated, 0.00% fragmented, 0.00% compressed clusters",
        "    (100.00/100%)",
        "512,1,0,12.5,3",
        "4 KiB, 1 ops; 00.00 sec",
    ],
)
def test_nothing_else_is_filtered(line: str) -> None:
    assert filtered(line, Path("/a/b/c")) == line
