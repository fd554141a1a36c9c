"""Counts that noise does not touch: system calls by strace, bytes by the kernel's own accounts.

A process of its own sends the requests, between two calls that mark the trace. Bytes are those of
`/proc/self/io`, which counts what reached the disk's layer: past the page cache, so with O_DIRECT.
"""

import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from benches.model import Counts
from benches.sides import Format, Requests

_MARK = "/nonexistent/bench-mark"
_CALL = re.compile(r"^(?:\d+ +)?(\w+)\(|<\.\.\. \w+ resumed")

_CHILD = f"""
import json, os, sys
import qed

path, kind, cache, trace, warm, options = json.loads(sys.argv[1])

def accounts():
    with open("/proc/self/io") as text:
        numbers = dict(line.split(": ") for line in text.read().splitlines())
    return int(numbers["write_bytes"]), int(numbers["read_bytes"])

writes = bool(trace or options.get("write"))
with qed.open(path, "r+" if writes else "r", format=kind, cache=cache) as disk:
    if warm:
        qed.bench(disk, count=max(disk.size >> 25, 1), step=1 << 25, depth=1)
    before = accounts()
    os.access({_MARK!r}, os.F_OK)
    qed.bench(disk, trace=trace, **options)
    os.access({_MARK!r}, os.F_OK)
    after = accounts()
print(json.dumps([now - then for now, then in zip(after, before)]))
"""


def available() -> bool:
    """Whether system calls can be counted here."""
    return shutil.which("strace") is not None


def count(path: Path, kind: Format, requests: Requests, *, warm: bool = False) -> Counts:
    """Send the requests once, with all tables in memory or not, and count what that asked for."""
    trace = None if requests.trace is None else str(requests.trace)
    job = json.dumps([str(path), kind, requests.cache, trace, warm, requests.options()])
    with tempfile.NamedTemporaryFile("r") as log:
        words = ["strace", "-f", "-qq", "-s", "64", "-o", log.name]
        words += [sys.executable, "-c", _CHILD, job]
        done = subprocess.run(words, capture_output=True, text=True, check=True)
        calls = between_marks(log.read())
    written, read = json.loads(done.stdout)
    return Counts(requests.count, calls, written, read)


def between_marks(log: str) -> dict[str, int]:
    """Count the calls between two marks, by name; one that was resumed counts once."""
    lines = log.splitlines()
    marks = [number for number, line in enumerate(lines) if _MARK in line]
    first, last = marks[0], marks[-1]
    found = (_CALL.match(line) for line in lines[first + 1 : last])
    return dict(Counter(match[1] for match in found if match is not None and match[1]))
