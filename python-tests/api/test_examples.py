"""The examples and the documentation's code: they run, and say what they claim."""

import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import qed
from support.commands import Command

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "docs" / "python.md"


def _run(directory: Path, *words: str | Path) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", *map(str, words)],
        cwd=directory,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    return done.stdout


def test_hello(tmp_path: Path) -> None:
    out = _run(tmp_path, ROOT / "examples/python/hello.py", "disk.qed")
    assert out == "hello from a disk of 10737418240 bytes\ncorruptions: 0\n"


@pytest.mark.parametrize("size", ["0", "4096", "300M"])
def test_the_tour_on_an_image_of_qemus(
    qemu_img: Command, qemu_io: Command, tmp_path: Path, size: str
) -> None:
    qemu_img.ok("create", "-q", "-f", "qed", "theirs.qed", size)
    if size == "300M":
        qemu_io.ok("-f", "qed", "-c", "write -q 1M 100k", "-c", "write -q 200M 1M", "theirs.qed")
    before = (tmp_path / "theirs.qed").read_bytes()
    (tmp_path / "work").mkdir()
    out = _run(tmp_path, ROOT / "examples/python/demo.py", "theirs.qed", "work")
    assert "overlay" in out
    assert out.count("check: 0 corruptions") == 2
    assert (tmp_path / "theirs.qed").read_bytes() == before
    for name in ("overlay.qed", "from-qemu.qed"):
        status = qemu_img.run("check", "-f", "qed", tmp_path / "work" / name).status
        assert status in (0, 3)


def test_the_tour_explains_itself(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples/python/demo.py")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "demo.py IMAGE DIRECTORY" in done.stderr


def _blocks(language: str) -> list[str]:
    found = re.findall(rf"^```{language}\n(.*?)^```$", GUIDE.read_text(), re.MULTILINE | re.DOTALL)
    assert found, f"the guide has no {language}"
    return found


def test_the_guides_code_runs_from_top_to_bottom(tmp_path: Path) -> None:
    # Goal: what the guide shows works. Method: its blocks, one after the other, in one namespace.
    (tmp_path / "base.raw").write_bytes(bytes(1 << 20))
    script = tmp_path / "guide.py"
    script.write_text("\n".join(_blocks("python")))
    _run(tmp_path, script)
    assert qed.check(tmp_path / "disk.qed").clean


def test_the_guides_commands_run_from_top_to_bottom(tmp_path: Path) -> None:
    script = "set -e\nqed() { " + f'{sys.executable} -m qed "$@"' + "; }\n"
    done = subprocess.run(
        ["bash", "-c", script + textwrap.dedent("\n".join(_blocks("sh")))],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"LC_ALL": "C.UTF-8"},
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_the_guide_names_every_exception_and_option() -> None:
    text = GUIDE.read_text()
    names = [name for name in qed.__all__ if name != "__version__"]
    names += [
        *qed._options.OpenOptions.__annotations__,
        *qed._options.CreateOptions.__annotations__,
    ]
    assert [name for name in names if f"`{name}" not in text and f"qed.{name}" not in text] == []
