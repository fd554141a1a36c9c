"""Programs that are built for a run: Rust in its own process, and C against `libqed.so`."""

import json
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from benches.model import Bench

ROOT = Path(__file__).parent.parent


def build(folder: Path, rows: Iterable[str]) -> dict[str, Path]:
    """Build what these rows need, optimised, and return where it is."""
    found = {"in_process": _in_process()}
    return found | ({"reads": _reads(folder)} if "P13" in rows else {})


def number(bench: Bench, program: str, *words: str) -> float:
    """Run one and return the number that it prints."""
    line = [str(bench.programs[program]), *words]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(line)}: {done.stderr.strip()}")
    return float(done.stdout)


def _in_process() -> Path:
    words = ["cargo", "bench", "-q", "--locked", "-p", "qed-core", "--bench", "in_process"]
    words += ["--no-run", "--message-format=json"]
    for message in _messages(words):
        if message.get("target", {}).get("name") == "in_process" and message.get("executable"):
            return Path(message["executable"])
    raise RuntimeError("cargo names no program")


def _reads(folder: Path) -> Path:
    words = ["cargo", "build", "-q", "--locked", "--release", "-p", "qed-capi"]
    words += ["--message-format=json"]
    libraries = [
        Path(name)
        for message in _messages(words)
        for name in message.get("filenames", [])
        if name.endswith("libqed.so")
    ]
    if not libraries:
        raise RuntimeError("cargo names no library")
    return link(folder, libraries[-1])


def link(folder: Path, library: Path) -> Path:
    """Compile `reads.c` against a library, which the program finds by its soname."""
    program = folder / "reads"
    (folder / "libqed.so.0").symlink_to(library)
    line = ["cc", "-O2", "-Wall", "-Werror", f"-I{ROOT / 'include'}", "-o", str(program)]
    line += [str(ROOT / "benches" / "reads.c"), str(library), f"-Wl,-rpath,{folder}"]
    subprocess.run(line, check=True)
    return program


def _messages(words: list[str]) -> list[dict[str, Any]]:
    done = subprocess.run(words, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]
