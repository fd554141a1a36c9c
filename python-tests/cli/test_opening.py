"""Which image a line names: formats, marks, descriptions, and which backing files are opened."""

import json
import os
import subprocess
from pathlib import Path

import pytest

import qed
from qed.cli import _image_opts
from qed.cli._program import QED, QEMU_IMG, Failure
from support.commands import Command

MIB = 1 << 20


@pytest.fixture
def chain(tmp_path: Path) -> Path:
    """Return an overlay whose backing file stands outside its directory."""
    (tmp_path / "images").mkdir()
    (tmp_path / "base.raw").write_bytes(b"\1" * MIB)
    top = tmp_path / "images" / "top.qed"
    qed.create(top, MIB, backing="../base.raw", backing_format="raw")
    return top


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("driver=qed,file.filename=a", ("a", "qed", False, False, {})),
        ("driver=qcow2,filename=a", ("a", "qcow2", False, False, {})),
        ("driver=raw,file.driver=file,file.filename=a,,b", ("a,b", "raw", False, False, None)),
        ("driver=file,filename=a", ("a", "raw", False, False, {})),
        ("driver=qed,filename=a,read-only=on", ("a", "qed", True, False, {})),
        ("driver=qed,filename=a,force-share", ("a", "qed", False, True, {})),
        ("driver=qed,filename=a,cache.direct=on", ("a", "qed", False, False, {"cache": "none"})),
        (
            "driver=qed,filename=a,cache.no-flush=on,discard=ignore,detect-zeroes=unmap",
            (
                "a",
                "qed",
                False,
                False,
                {"cache": "unsafe", "discard": "ignore", "detect_zeroes": "unmap"},
            ),
        ),
    ],
)
def test_a_description_is_read(
    words: str, expected: tuple[str, str, bool, bool, dict[str, str] | None]
) -> None:
    found = _image_opts.parse(words)
    described = (found.filename, found.format, found.read_only, found.force_share)
    assert described == expected[:4]
    if expected[4] is not None:
        assert found.options == expected[4]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("driver=qed", "file.filename"),
        ("file.filename=a", "driver"),
        ("driver=vmdk,file.filename=a", "vmdk"),
        ("driver=qed,file.driver=nbd,file.filename=a", "nbd"),
        ("driver=qed,file.filename=a,colour=red", "detect-zeroes"),
        ("driver=qed,file.filename=a,read-only=maybe", "read-only"),
        ("driver=qed,file.filename=a,cache.direct=on,cache.no-flush=on", "exclude"),
    ],
)
def test_a_description_that_makes_no_sense_is_refused(words: str, said: str) -> None:
    with pytest.raises(Failure, match=said):
        _image_opts.parse(words)


def test_every_verb_that_opens_takes_a_description(qed_cli: Command, tmp_path: Path) -> None:
    qed.create(tmp_path / "a,b.qed", MIB)
    words = "driver=qed,file.filename=a,,b.qed"
    for verb in ("info", "check", "map"):
        qed_cli.ok(verb, "--image-opts", words)
    qed_cli.ok("compare", "--image-opts", words, words)
    qed_cli.ok("convert", "--image-opts", "-O", "raw", words, "out.raw")
    target = "driver=raw,file.filename=out.raw"
    qed_cli.ok("convert", "-n", "-f", "qed", "--target-image-opts", "a,b.qed", target)
    qed_cli.ok("dd", "--image-opts", "-O", "raw", f"if={words}", "of=part.raw", "count=1")
    assert (tmp_path / "part.raw").stat().st_size == 512
    outcome = qed_cli.run("convert", "-n", "--target-image-opts", "a,b.qed", f"{target},read-only")
    assert "read-only" in outcome.err


def test_the_format_is_found_by_the_mark(qed_cli: Command, tmp_path: Path) -> None:
    qed.create(tmp_path / "disk", MIB)
    assert qed_cli.ok("probe", "disk") == "qed\n"
    assert "file format: qed" in qed_cli.ok("info", "disk")
    assert "file format: raw" in qed_cli.ok("info", "-f", "raw", "disk")


@pytest.mark.parametrize("content", [b"", b"QE", bytes(4096), b"\0QED\0" * 1000])
def test_a_raw_disk_is_never_recognised(qed_cli: Command, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "disk").write_bytes(content)
    for verb in ("probe", "info", "map"):
        outcome = qed_cli.run(verb, "disk")
        assert (outcome.status, outcome.out) == (1, "")
        assert "neither QED nor qcow2" in outcome.err
    assert qed_cli.run("check", "disk").status == 63
    assert qed_cli.run("compare", "disk", "disk").status == 2


# Each opens the whole chain.
OPENING = {
    "map": ["map"],
    "info": ["info", "--backing-chain"],
    "compare": ["compare", "images/top.qed"],
    "convert": ["convert", "-O", "raw"],
    "dd": ["dd", "-O", "raw"],
}


def line(verb: str, *options: str) -> list[str]:
    """Return the words that open the chain with that verb."""
    words = [*OPENING[verb], *options]
    if verb == "dd":
        return [*words, "if=images/top.qed", "of=out"]
    return [*words, "images/top.qed", *(["out"] if verb == "convert" else [])]


@pytest.mark.parametrize("verb", list(OPENING))
def test_a_backing_file_elsewhere_is_refused_unless_it_is_allowed(
    qed_cli: Command, tmp_path: Path, chain: Path, verb: str
) -> None:
    for policy in ("beneath", "deny"):
        outcome = qed_cli.run(*line(verb, "--backing", policy))
        assert (outcome.status, outcome.out) == (2 if verb == "compare" else 1, "")
        assert "base.raw" in outcome.err
        assert outcome.err.count("\n") == 1
        # It names what would allow it, as the command calls that.
        assert "--backing follow" in outcome.err
        assert not (tmp_path / "out").exists()
    qed_cli.ok(*line(verb, "--backing", "follow"))
    qed_cli.ok(*line(verb, "--backing-policy=follow"))


@pytest.mark.parametrize("verb", [verb for verb in OPENING if verb != "map"])
def test_the_environment_sets_the_policy(
    qed_cli: Command, chain: Path, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    monkeypatch.delenv("QED_BACKING", raising=False)
    assert "base.raw" in qed_cli.run(*line(verb)).err
    monkeypatch.setenv("QED_BACKING", "follow")
    qed_cli.ok(*line(verb))
    assert "base.raw" in qed_cli.run(*line(verb, "--backing=deny")).err
    monkeypatch.setenv("QED_BACKING", "everything")
    assert "QED_BACKING" in qed_cli.run(*line(verb)).err


def test_each_tool_has_its_policy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("QED_BACKING", raising=False)
    assert (QED.backing_policy(), QEMU_IMG.backing_policy()) == ("beneath", "follow")
    monkeypatch.setenv("QED_BACKING", "deny")
    assert (QED.backing_policy(), QEMU_IMG.backing_policy()) == ("deny", "deny")
    assert QEMU_IMG.backing_policy("beneath") == "beneath"


def test_a_look_at_one_layer_opens_no_other(qed_cli: Command, tmp_path: Path, chain: Path) -> None:
    (tmp_path / "base.raw").unlink()
    for verb in ("info", "check", "map"):
        qed_cli.ok(verb, chain)
    (run,) = json.loads(qed_cli.ok("map", "--output=json", chain))
    assert (run["present"], run["zero"], run["data"]) == (False, False, False)


def test_map_goes_through_the_chain_where_it_is_asked_to(
    qed_cli: Command, tmp_path: Path, chain: Path
) -> None:
    (run,) = json.loads(qed_cli.ok("map", "--output=json", "--backing=follow", chain))
    assert (run["depth"], run["data"], run["offset"]) == (1, True, 0)
    table = qed_cli.ok("map", "--backing=follow", "images/top.qed").splitlines()
    assert table[1].split() == ["0", "0x100000", "0", "images/../base.raw"]


def test_locks_are_respected_by_what_copies(qed_cli: Command, path: Path) -> None:
    qed.create(path, "1M")
    with qed.open(path, "r+"):
        for words in (
            ["compare", path, path],
            ["convert", path, "out"],
            ["dd", f"if={path}", "of=out"],
            ["convert", "-n", "-f", "qed", "-O", "qed", path, path],
        ):
            outcome = qed_cli.run(*words)
            assert outcome.status == (2 if words[0] == "compare" else 1)
            assert str(os.getpid()) in outcome.err
            assert sorted(path.parent.iterdir()) == [path]
        qed_cli.ok("compare", "-U", path, path)
        qed_cli.ok("convert", "-U", path, "out")


def test_a_name_that_is_a_directory_is_told(qed_cli: Command) -> None:
    for verb in ("info", "check", "map", "probe"):
        outcome = qed_cli.run(verb, ".")
        assert outcome.status == 1
        assert "directory" in outcome.err


def test_an_image_may_come_by_descriptor_path(qed_cli: Command, path: Path) -> None:
    qed.create(path, "1M")
    with path.open("rb") as file:
        done = subprocess.run(
            [*qed_cli.program, "info", "/dev/fd/0"], stdin=file, capture_output=True, check=False
        )
    assert b"file format: qed" in done.stdout, done
