"""The guide: its code runs from top to bottom, and it names what there is."""

import re
import subprocess
import sys
from pathlib import Path

import qed.crash as qc
from qed.crash import hypothesis

GUIDE = Path(__file__).parents[2] / "docs" / "crash-testing.md"


def _blocks(language: str) -> list[str]:
    text = GUIDE.read_text()
    found = re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert found, f"the guide has no {language}"
    return found


def test_the_guides_code_runs_from_top_to_bottom(tmp_path: Path) -> None:
    # Goal: what the guide shows works, and looks as it shows. Method: its blocks in one module,
    # with the test that is in it, under pytest.
    script = tmp_path / "test_guide_itself.py"
    script.write_text("\n".join(_blocks("python")))
    done = subprocess.run(
        [
            sys.executable,
            "-W",
            "error",
            "-m",
            "pytest",
            "-q",
            "-s",
            "-p",
            "no:cacheprovider",
            script,
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout
    (picture,) = _blocks("text")
    shown = [line.rstrip() for line in done.stdout.splitlines()]
    assert [line for line in picture.splitlines() if line.rstrip() not in shown] == []


def test_the_guide_names_everything() -> None:
    text = GUIDE.read_text()
    told = {
        "Barrier",
        "Event",
        "Failure",
        "GuestCall",
        "Recording",
        "Result",
        "State",
        "Stats",
        "Write",
    }
    names = [name for name in qc.__all__ if name.upper() != name and name not in told | {"Oracle"}]
    missing = [name for name in names if f"qc.{name}" not in text]
    missing += [name for name in qc.DEFAULT if f"`{name}`" not in text]
    missing += [name for name in ("workloads", "calls", "ranges") if f"`{name}()`" not in text]
    assert missing == []
    assert hypothesis.CrashMachine.__name__ in text


def test_everything_public_is_documented() -> None:
    undocumented = []
    for name in qc.__all__:
        value = getattr(qc, name)
        if isinstance(value, type):
            members = [value, *(m for key, m in vars(value).items() if not key.startswith("_"))]
            documented = (type, property, staticmethod, classmethod)
            undocumented += [
                f"{name}: {member}"
                for member in members
                if (callable(member) or isinstance(member, documented)) and not member.__doc__
            ]
    assert undocumented == []
