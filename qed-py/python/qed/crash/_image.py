"""Images that something else than `qed.open` has opened: recorded ones, and crash states."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from qed._image import Image

if TYPE_CHECKING:
    from qed._qed import Prepared


class StateImage(Image):
    """A `qed.Image` over a disk that is open already."""

    def __new__(cls, disk: Prepared, path: str | None) -> Self:
        return super().__new__(cls, disk)

    def __init__(self, disk: Prepared, path: str | None) -> None:
        self.path = path
