"""The public face: what is exported, typed and documented is the same thing."""

import inspect
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from types import FunctionType
from typing import get_type_hints

import pytest

import qed
from qed import _options, _qed

ROOT = Path(__file__).parents[2]


def test_all_lists_every_public_name_once() -> None:
    public = {
        name
        for name, value in vars(qed).items()
        if not name.startswith("_") and not inspect.ismodule(value)
    }
    assert sorted(qed.__all__) == sorted(public | {"__version__"})


def test_stubs_match_the_native_module_and_the_package(tmp_path: Path) -> None:
    # Goal: what type checkers believe is true. Method: mypy's stubtest over everything but the
    # command, which has no stubs and no callers.
    allowed = tmp_path / "allowed"
    allowed.write_text(r"qed\.cli\..*")
    words = ["qed", "--mypy-config-file", "pyproject.toml", "--allowlist", str(allowed)]
    done = subprocess.run(
        [sys.executable, "-m", "mypy.stubtest", *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    "words", [["mypy"], ["ruff", "check"], ["ruff", "format", "--check"]], ids=" ".join
)
def test_style_is_executable(words: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", *words, *([] if words == ["mypy"] else ["."])],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_package_says_that_it_is_typed() -> None:
    assert qed.__file__ is not None
    assert Path(qed.__file__).with_name("py.typed").exists()


def test_everything_public_is_documented() -> None:
    undocumented = []
    for name in qed.__all__:
        value = getattr(qed, name)
        if name != "__version__" and not inspect.getdoc(value):
            undocumented.append(name)
    for cls in (_qed.Image, _qed.Layer, qed.Image, qed.Layer, qed.RawImage):
        for name, value in vars(cls).items():
            if not name.startswith("_") and not inspect.getdoc(value):
                undocumented.append(f"{cls.__name__}.{name}")
    assert undocumented == []


def _known(verb: FunctionType, **wrong: object) -> set[str]:
    """Return the names that the engine lists when it refuses an option."""
    with pytest.raises(qed.InvalidArgumentError) as caught:
        verb("nowhere.qed", **wrong)
    names = re.split("known are |it has ", str(caught.value))[-1]
    found = set(re.findall(r"\w+", names))
    assert found, str(caught.value)
    return found


def test_option_classes_match_the_engines_table() -> None:
    known = _known(qed.open, cluster_size=4096)  # type: ignore[arg-type]
    assert known - {"read_only"} == set(get_type_hints(_options.OpenOptions))
    known = _known(qed.create, size=512, trust="normal")  # type: ignore[arg-type]
    assert known - {"backing"} == set(get_type_hints(_options.CreateOptions))


def test_one_version_everywhere() -> None:
    assert qed.__version__ == _qed.__version__ == metadata.version("libqed")
    (script,) = metadata.entry_points(group="console_scripts", name="qed")
    assert script.value == "qed.cli:main"
