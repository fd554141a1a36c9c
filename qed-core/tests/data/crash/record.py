"""Records the write logs in this folder from QEMU's drivers: run it here, with qemu-io on the path.

Each case leaves three files: `NAME.base`, the image before the first call; `NAME.log`, what QEMU's
blklogwrites saw; `NAME.calls`, a line for each guest call: how many entries the log had when it
returned, and the call as the crash explorer writes it. Requests come one at a time, as a log of
this kind demands.
"""

from __future__ import annotations

import shutil
import struct
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

PROMPT = b"qemu-io> "
BACKING = "backing.raw"


@dataclass(frozen=True)
class Case:
    """An image, what was done before the recording, and the recorded calls.

    `words` are put into the file before it: what a power cut left.
    """

    name: str
    driver: str
    options: str
    calls: tuple[str, ...]
    before: tuple[str, ...] = ()
    words: tuple[tuple[int, int], ...] = ()
    backing: bool = False


MIXED = (
    "write 4096+8192 fill=11",
    "write 16384+2048 fill=22",
    "flush",
    "write 18432+6144 fill=33",
    "zero 4096+4096",
    "write 32768+16384 fill=44",
    "flush",
    "write 4608+1024 fill=55",
    "write 65536+4096 fill=66",
    "write 69632+512 fill=77",
    "flush",
    "write 32768+4096 fill=88",
)

CASES = (
    Case(
        "qed",
        "qed",
        "cluster_size=4096,table_size=2",
        ("write 4096+4096 fill=bb", "flush", "write 8192+4096 fill=cc", "flush"),
        before=("write -P 0xaa 0 4096", "flush"),
    ),
    Case(
        "qed-zeroes-over-backing",
        "qed",
        "cluster_size=4096,table_size=2",
        ("zero 0+4096", "flush", "write 512+512 fill=05", "flush"),
        backing=True,
    ),
    Case(
        "qed-over-backing",
        "qed",
        "cluster_size=4096,table_size=2",
        (
            "write 512+512 fill=11",
            "write 4096+4096 fill=22",
            "flush",
            "write 1024+512 fill=33",
            "write 12288+8192 fill=44",
            "flush",
        ),
        backing=True,
    ),
    Case(
        "qcow2-lazy",
        "qcow2",
        "cluster_size=4096,lazy_refcounts=on",
        ("write 4096+4096 fill=bb", "flush", "write 8192+4096 fill=cc", "flush"),
        before=("write -P 0xaa 0 4096", "flush"),
    ),
    Case(
        "qcow2",
        "qcow2",
        "cluster_size=4096,lazy_refcounts=off",
        ("write 4096+4096 fill=bb", "flush", "write 8192+4096 fill=cc", "flush"),
        before=("write -P 0xaa 0 4096", "flush"),
    ),
    # Of the first case's second write only the L2 entry has survived: it names what lies behind the
    # end, and nothing announces it. What is written next goes there.
    Case(
        "qed-after-d05",
        "qed",
        "cluster_size=4096,table_size=2",
        (
            "write 8192+4096 fill=cc",
            "flush",
            "write 4608+512 fill=dd",
            "write 12288+4096 fill=ee",
            "flush",
            "write 8704+512 fill=11",
            "flush",
        ),
        before=("write -P 0xaa 0 4096", "flush"),
        words=((0x4008, 0x6000),),
    ),
    Case("qed-mixed", "qed", "cluster_size=4096,table_size=2", MIXED),
    Case("qcow2-lazy-mixed", "qcow2", "cluster_size=4096,lazy_refcounts=on", MIXED),
    Case("qcow2-mixed", "qcow2", "cluster_size=4096,lazy_refcounts=off", MIXED),
)


def command(call: str) -> str:
    """Return a call in the words of qemu-io."""
    verb, *rest = call.split()
    if verb == "flush":
        return "flush"
    offset, length = rest[0].split("+")
    if verb == "zero":
        return f"write -q -z {offset} {length}"
    return f"write -q -P 0x{rest[1].removeprefix('fill=')} {offset} {length}"


def entries(log: Path) -> int:
    """Return how many entries the log's superblock counts."""
    count: int = struct.unpack_from("<Q", log.read_bytes(), 16)[0]
    return count


def record(case: Case, folder: Path, target: Path) -> None:
    """Record one case."""
    image, log = folder / "image", folder / "log"
    create = ["qemu-img", "create", "-q", "-f", case.driver, "-o", case.options]
    if case.backing:
        (folder / BACKING).write_bytes(b"\x01" * 32768)
        create += ["-b", BACKING, "-F", "raw"]
    subprocess.run([*create, str(image), "1M"], check=True, cwd=folder)
    if case.before:
        commands = [word for text in case.before for word in ("-c", text)]
        before = ["qemu-io", "-f", case.driver, *commands, str(image)]
        subprocess.run(before, check=True, stdout=subprocess.DEVNULL)
    with image.open("r+b") as file:
        for offset, word in case.words:
            file.seek(offset)
            file.write(struct.pack("<Q", word))
    shutil.copy(image, target / f"{case.name}.base")
    log.touch()
    options = [
        f"driver={case.driver}",
        "file.driver=blklogwrites",
        "file.log-super-update-interval=1",
        "file.file.driver=file",
        f"file.file.filename={image}",
        "file.log.driver=file",
        f"file.log.filename={log}",
    ]
    arguments = ["qemu-io", "-t", "writeback", "--image-opts", ",".join(options)]
    process = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=folder)
    assert process.stdin is not None
    assert process.stdout is not None

    def until_prompt() -> None:
        seen = b""
        while not seen.endswith(PROMPT):
            byte = process.stdout.read(1) if process.stdout else b""
            if not byte:
                raise RuntimeError(f"qemu-io ended: {seen!r}")
            seen += byte

    lines = []
    until_prompt()
    for call in case.calls:
        process.stdin.write(command(call).encode() + b"\n")
        process.stdin.flush()
        until_prompt()
        lines.append(f"{entries(log)} {call}\n")
    # What a clean end writes is no part of what the guest asked for: it is killed here.
    process.kill()
    process.wait()
    shutil.copy(log, target / f"{case.name}.log")
    (target / f"{case.name}.calls").write_text("".join(lines))


def main() -> None:
    """Record every case into this folder."""
    target = Path(__file__).resolve().parent
    for case in CASES:
        with tempfile.TemporaryDirectory() as folder:
            record(case, Path(folder), target)


if __name__ == "__main__":
    main()
