"""Images in many states, all made by QEMU, for comparing one program's view with another's."""

from collections.abc import Callable
from pathlib import Path

from support.commands import Command
from support.images import l2_entry, put_word, words

Maker = Callable[[Command, Command, Path], None]


def _empty(qemu_img: Command, qemu_io: Command, path: Path) -> None:
    qemu_img.ok("create", "-q", "-f", "qed", path, "1G")


def _no_bytes(qemu_img: Command, qemu_io: Command, path: Path) -> None:
    qemu_img.ok("create", "-q", "-f", "qed", path, "0")


def _written(qemu_img: Command, qemu_io: Command, path: Path) -> None:
    qemu_img.ok("create", "-q", "-f", "qed", path, "3G")
    _write(qemu_io, path, "0 1M", "3M 1k", "2M 1k", "900M 100k", "2G 1M")


def _small_clusters(qemu_img: Command, qemu_io: Command, path: Path) -> None:
    options = "cluster_size=4096,table_size=2"
    qemu_img.ok("create", "-q", "-f", "qed", "-o", options, path, "100000k")
    _write(qemu_io, path, "0 10k", "5000k 100k", "50M 1M", "97M 512")


def _zeroes(qemu_img: Command, qemu_io: Command, path: Path) -> None:
    qemu_img.ok("create", "-q", "-f", "qed", path, "10M")
    _write(qemu_io, path, "0 1M", "-z 128k 192k", "-z 5M 1M", "6M 64k")


def _overlay(qemu_img: Command, qemu_io: Command, path: Path) -> None:
    qemu_img.ok("create", "-q", "-f", "raw", path.parent / "base.raw", "5M")
    qemu_img.ok("create", "-q", "-f", "qed", "-b", "base.raw", "-F", "raw", path)
    _write(qemu_io, path, "64k 64k", "-z 1M 64k")


def _leaking(qemu_img: Command, qemu_io: Command, path: Path) -> None:
    _written(qemu_img, qemu_io, path)
    with path.open("ab") as file:
        file.write(bytes(3 * 65536))


def _corrupt(qemu_img: Command, qemu_io: Command, path: Path) -> None:
    _written(qemu_img, qemu_io, path)
    put_word(path, l2_entry(path, 5), 1 << 40)
    put_word(path, l2_entry(path, 7), words(path, l2_entry(path, 8), 1)[0])


def _write(qemu_io: Command, path: Path, *places: str) -> None:
    for place in places:
        qemu_io.ok("-f", "qed", "-c", f"write -q {place}", path)


SOUND: dict[str, Maker] = {
    "empty": _empty,
    "no-bytes": _no_bytes,
    "written": _written,
    "small-clusters": _small_clusters,
    "zeroes": _zeroes,
}
ALL: dict[str, Maker] = SOUND | {"overlay": _overlay, "leaking": _leaking, "corrupt": _corrupt}
