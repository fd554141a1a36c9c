"""An image that libqed and QEMU write to in turn, and the bytes it must read as."""

import itertools
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import qed
from support.commands import Command


@dataclass(frozen=True)
class Change:
    """A request: what is written is one byte over and over, as qemu-io does it."""

    offset: int
    length: int
    what: int | Literal["zeroes", "unmap"]

    def for_qemu_io(self) -> str:
        place = f"{self.offset} {self.length}"
        match self.what:
            case "zeroes":
                return f"write -q -z {place}"
            case "unmap":
                return f"write -q -z -u {place}"
            case byte:
                return f"write -q -P {byte} {place}"

    def apply(self, image: qed.Image) -> None:
        if isinstance(self.what, int):
            image.pwrite(bytes([self.what]) * self.length, self.offset)
        else:
            may_unmap = self.what == "unmap"
            image.write_zeroes(self.offset, self.length, may_unmap=may_unmap)


class Shared:
    """Sessions of both on one image; each ends with the image closed."""

    def __init__(self, path: Path, size: int, below: bytes | bytearray = b"") -> None:
        self.path = path
        self.content = bytearray(below[:size]).ljust(size, b"\0")

    def expect(self, changes: Iterable[Change]) -> None:
        """Take the changes for made, whoever makes them."""
        for change in changes:
            byte = change.what if isinstance(change.what, int) else 0
            end = change.offset + change.length
            self.content[change.offset : end] = bytes([byte]) * change.length
            assert end <= len(self.content)

    def ours(self, *changes: Change) -> None:
        """Change the image through the library."""
        with qed.open(self.path, "r+") as image:
            for change in changes:
                change.apply(image)
        self.expect(changes)

    def theirs(self, qemu_io: Command, *changes: Change) -> None:
        """Change the image through QEMU."""
        commands = itertools.chain.from_iterable(("-c", c.for_qemu_io()) for c in changes)
        # Its status tells failures; a pattern that is not met is told in words alone.
        assert qemu_io.ok("-f", "qed", *commands, self.path) == ""
        self.expect(changes)

    def agree(self, qemu_img: Command) -> None:
        """Insist that both read what they should, and find the image sound."""
        with qed.open(self.path) as image:
            assert image.pread(image.size, 0) == self.content
        raw = self.path.with_suffix(".copy")
        qemu_img.ok("convert", "-f", "qed", "-O", "raw", self.path, raw)
        assert raw.read_bytes() == self.content
        raw.unlink()
        report = qed.check(self.path)
        assert report.clean, report
        outcome = qemu_img.run("check", "-f", "qed", "--output=json", self.path)
        assert outcome.status in (0, 3), outcome
        assert json.loads(outcome.out)["check-errors"] == 0


def view(command: Command, path: Path) -> dict[str, object]:
    """Return what a command says of an image, in text and as JSON, as far as both must agree."""
    said: dict[str, object] = {}
    for verb in ("info", "check", "map"):
        outcome = command.run(verb, "-f", "qed", "--output=json", path)
        document = json.loads(outcome.out)
        status = outcome.status
        if verb == "check":
            document.pop("image-end-offset", None)  # QEMU does not tell it
            # To QEMU a cluster that nobody names is a leak; to us only while it takes space.
            free = document.pop("free-clusters", 0)
            if free:
                document["leaks"] = document.get("leaks", 0) + free
                status = status or 3
        said[verb] = (status, document)
    said["map in words"] = command.ok("map", "-f", "qed", path)
    return said
