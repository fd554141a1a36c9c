"""The machine that was measured, in a sentence."""

import os
import platform
import subprocess
from pathlib import Path

import qed


def describe(folder: Path) -> str:
    """Return what a reader must know to compare figures with these."""
    place = _said("findmnt", "-n", "-o", "FSTYPE,SOURCE", "-T", str(folder)).split()
    kind, device = place if len(place) == 2 else ("an unknown file system", "an unknown disk")
    qemu = (_said("qemu-img", "--version").split(" ") + [""] * 3)[2]
    load = os.getloadavg()[0]
    return (
        f"libqed {qed.__version__}, Linux {platform.release()}, {os.cpu_count()} processors "
        f"({_processor()}), {_memory()} GiB of memory, {kind} on {device}, QEMU {qemu}. "
        f"The load average was {load:.1f} at the end."
    )


def _said(*words: str) -> str:
    try:
        return subprocess.run(words, capture_output=True, text=True, check=False).stdout.strip()
    except OSError:
        return ""


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def _memory() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 30
