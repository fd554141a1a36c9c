"""What the command loads to start: no more than the verb at hand needs."""

import subprocess
import sys
from pathlib import Path

import pytest

import qed

HEAVY = ("click", "tqdm", "argparse", "asyncio", "subprocess", "pathlib", "gzip", "urllib")


def loaded(directory: Path, *words: str) -> set[str]:
    """Run a command line in a new interpreter; return which heavy modules it loaded."""
    script = (
        "import sys\n"
        "from qed.cli import main\n"
        f"status = main({list(words)!r})\n"
        f"loaded = [name for name in {HEAVY!r} if name in sys.modules]\n"
        "print(status, *loaded, file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=directory, capture_output=True, text=True, check=True
    )
    status, *modules = done.stderr.split()
    assert status == "0", done
    return set(modules)


def test_the_version_loads_no_parser(tmp_path: Path) -> None:
    assert loaded(tmp_path, "--version") == set()
    assert loaded(tmp_path, "--help") == set()


@pytest.mark.parametrize("verb", ["info", "check", "map"])
def test_a_look_at_an_image_loads_the_parser_alone(tmp_path: Path, verb: str) -> None:
    qed.create(tmp_path / "disk.qed", "1M")
    assert loaded(tmp_path, verb, "disk.qed") == {"click"}


def test_progress_without_a_terminal_loads_no_bar(tmp_path: Path) -> None:
    qed.create(tmp_path / "disk.qed", "1M")
    assert loaded(tmp_path, "convert", "-p", "disk.qed", "copy.qed") == {"click"}


def test_a_verb_does_not_load_the_others(tmp_path: Path) -> None:
    script = (
        "import sys; from qed.cli import main; main(['probe', '--help'])\n"
        "print(sorted(n for n in sys.modules if n.startswith('qed.cli.') and '._' not in n),"
        " file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stderr == "['qed.cli.probe']\n"
