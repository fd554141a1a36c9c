"""States: what a power failure may leave."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from qed.crash._image import StateImage

if TYPE_CHECKING:
    from qed._image import Image
    from qed._options import Path
    from qed._qed import CrashState, View


class State:
    """One legal state of a log's file. Its content shares what it does not change with others."""

    __slots__ = ("_native",)

    def __init__(self, native: CrashState) -> None:
        self._native = native

    @property
    def name(self) -> str:
        """Its name within the log: `window:prefix-lost+early~torn.part`."""
        return self._native.name

    @property
    def mode(self) -> Literal["prefix", "reorder", "torn"]:
        """The kind of disorder."""
        return self._native.mode

    @property
    def deviation(self) -> int:
        """How many operations are out of order or torn."""
        return self._native.deviation

    @property
    def length(self) -> int:
        """Bytes of the file."""
        return self._native.length

    @property
    def digest(self) -> int:
        """A number that is equal for equal content."""
        return self._native.digest

    @property
    def view(self) -> View:
        """What had happened, and what was stable, when the power failed."""
        return self._native.view

    def open(self, mode: str = "r+") -> Image:
        """Open the state in memory: what is written goes to a copy that ends with the image."""
        if mode not in ("r", "r+"):
            raise ValueError(f'mode {mode!r} is neither "r" nor "r+"')
        return StateImage(self._native.prepare(mode == "r"), f"crash state {self.name}")

    def materialise(self, path: Path) -> None:
        """Write the state into a sparse file; one that is there is replaced."""
        self._native.materialise(path)

    def __repr__(self) -> str:
        return f"<qed.crash.State {self.name} {self.mode}>"
