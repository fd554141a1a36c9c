"""The examples and the documentation's code: they run, and say what they claim."""

import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import qed
from support.both import qed_script
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


def test_every_operation_on_whole_images_has_an_example(tmp_path: Path) -> None:
    out = _run(tmp_path, ROOT / "examples/python/whole_images.py", tmp_path)
    assert "0 mended, 13 given back\n1000 requests, 4096000 bytes\n" in out


def test_the_command_has_the_same_examples(tmp_path: Path) -> None:
    done = subprocess.run(
        ["bash", ROOT / "examples/whole_images.sh"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"LC_ALL": "C.UTF-8", "QED": qed_script()},
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert "Images are identical." in done.stdout
    assert "Pattern verification failed" not in done.stdout


@pytest.mark.parametrize("size", ["0", "512", "4096", "300M"])
def test_the_demos_steps_on_images_of_qemus(
    qemu_img: Command, qemu_io: Command, tmp_path: Path, size: str
) -> None:
    # Goal: what the demo does holds for any image, and QEMU agrees. Method: its steps on images of
    # QEMU's with raw copies beside them, compared by QEMU.
    demo = ROOT / "examples/python/demo.py"
    qemu_img.ok("create", "-q", "-f", "qed", "base.qed", size)
    if size == "300M":
        qemu_io.ok("-f", "qed", "-c", "write -q 1M 100k", "-c", "write -q 200M 1M", "base.qed")
    raws = ("overlay.raw", "base.raw")
    for raw in raws:
        qemu_img.ok("convert", "-f", "qed", "-O", "raw", "base.qed", raw)
    before = (tmp_path / "base.qed").read_bytes()
    count = {"300M": 2}.get(size, 0)
    assert f" MiB in {count} extents, " in _run(tmp_path, demo, "extents", "base.qed")
    out = _run(tmp_path, demo, "overlay", "base.qed", "overlay.qed", "overlay.raw")
    assert "read back" in out
    assert (tmp_path / "base.qed").read_bytes() == before
    # The base changes only when the overlay over it has been judged.
    qemu_img.ok("compare", "-q", "-f", "qed", "-F", "raw", "overlay.qed", "overlay.raw")
    assert "added" in _run(tmp_path, demo, "extend", "base.qed", "base.raw")
    qemu_img.ok("compare", "-q", "-f", "qed", "-F", "raw", "base.qed", "base.raw")
    for name in ("overlay.qed", "base.qed"):
        assert qemu_img.run("check", "-f", "qed", name).status in (0, 3)
        assert qed.check(tmp_path / name).clean


def test_the_demo_notices_a_disk_that_differs(qemu_io: Command, path: Path) -> None:
    # Its steps are judges as well: one that accepts anything would prove nothing.
    qed.create(path, "1M")
    qemu_io.ok("-f", "qed", "-c", "write -q 0 64k", path)
    (path.parent / "other.raw").write_bytes(bytes(1 << 20))
    done = _demo("extend", path, path.parent / "other.raw")
    assert done.returncode == 1
    assert "reads differently" in done.stderr


def test_the_demo_explains_itself() -> None:
    done = _demo()
    assert done.returncode == 1
    assert "demo.py overlay BASE OVERLAY RAW" in done.stderr


def _demo(*words: str | Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, ROOT / "examples/python/demo.py", *words],
        capture_output=True,
        text=True,
        check=False,
    )


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
