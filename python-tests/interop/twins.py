"""A random chain in two copies: one for QEMU's tool, one for libqed's, under the same name."""

import json
import shutil
from pathlib import Path
from random import Random

import qed
from scripts.layers import SECTOR, Layer, random_chain
from support.both import Both, Side, Transcript

MIB = 1 << 20


class Twins:
    """A random chain in two copies: QEMU's tool works on one, libqed's on the other."""

    def __init__(self, root: Path, seed: int) -> None:
        self.both = Both(root)
        self.random = Random(seed)
        self.layers = random_chain(self.random, self.both.qemu)
        top = self.layers[-1]
        if top.format != "qed":
            # What libqed changes under an image is a QED image's.
            shape = ("-o", f"cluster_size={self.random.choice([4096, 65536])}")
            below = ("-b", top.name, "-F", top.format)
            size = self.random.choice([top.size, top.size // 2 // SECTOR * SECTOR, MIB])
            self._add(Layer("top.qed", "qed", max(size, SECTOR)), *shape, *below)
        self.extra = Layer("extra.raw", "raw", self.random.randint(1, 4096) * SECTOR)
        self._add(self.extra)
        self.layers.remove(self.extra)
        shutil.copytree(self.both.qemu.directory, self.both.qed.directory, dirs_exist_ok=True)

    @property
    def top(self) -> Layer:
        return self.layers[-1]

    def _add(self, layer: Layer, *options: str) -> None:
        qemu = self.both.qemu
        done = qemu.run(
            "qemu-img", "create", "-q", "-f", layer.format, *options, layer.name, str(layer.size)
        )
        assert done.status == 0, done
        length = self.random.randint(1, layer.size // SECTOR) * SECTOR
        write = f"write -q -P {self.random.randrange(1, 256)} {layer.size - length} {length}"
        assert qemu.run("qemu-io", "-f", layer.format, "-c", write, layer.name).out == ""
        self.layers.append(layer)

    def do(self, *words: str) -> Transcript:
        """Do it on both sides, with the same words for it; return what ours said."""
        return self.both.agree("qemu-img", *words)

    def read(self, side: Side, layer: Layer) -> bytes:
        """Return a layer's guest bytes, as QEMU and libqed both read them."""
        path, copy = side.directory / layer.name, side.directory / "copy"
        with qed.open(path, format=layer.format, backing_policy="follow") as image:
            found = image.pread(image.size, 0)
        done = self.both.qemu.run(
            "qemu-img", "convert", "-f", layer.format, "-O", "raw", path, copy
        )
        assert (done.status, done.out, done.err) == (0, "", ""), (layer, done)
        assert found == copy.read_bytes(), f"{layer.name} is read in two ways"
        copy.unlink()
        return found

    def agree(self, *layers: Layer) -> list[bytes]:
        """Insist that these layers read the same on both sides and are sound; return the bytes."""
        content = []
        for layer in layers:
            theirs, ours = self.read(self.both.qemu, layer), self.read(self.both.qed, layer)
            assert theirs == ours, f"{layer.name} differs"
            content.append(ours)
            self.insist_sound(layer)
        return content

    def insist_sound(self, layer: Layer) -> None:
        """Insist that nobody finds corruption in either copy; QEMU alone checks qcow2 images."""
        found = []
        for side in (self.both.qemu, self.both.qed):
            path = side.directory / layer.name
            if layer.format == "qed":
                report = qed.check(path)
                assert report.clean, report
            if layer.format != "raw":
                words = ("check", "-f", layer.format, "--output=json", path)
                document = json.loads(self.both.qemu.run("qemu-img", *words).out)
                assert document["check-errors"] == 0
                found.append(document.get("corruptions", 0))
        # It finds some in what it has itself made of compressed writes: then we have not added any.
        assert found in ([], [0, 0]) or (layer.format == "qcow2" and found[1] <= found[0]), layer
