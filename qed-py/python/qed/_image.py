"""`Image` and `Layer`: the native handles with Python's manners."""

import os
import warnings
from typing import Any

from qed import _qed
from qed._handle import Handle
from qed._options import PathOrDescriptor, Size
from qed._raw import RawImage


class Image(_qed.Image, Handle):
    """An open image. Every method may be called from any thread; use `qed.open` to get one.

    Offsets and lengths are bytes of the disk the guest sees. A range that passes its end is an
    error, and nothing is read or written. What was written is stable after `flush` or `close`.
    """

    path: str | None
    """The path it was opened by, or None for a descriptor."""

    def __init__(self, path: PathOrDescriptor, mode: str = "r", **options: Any) -> None:
        self.path = None if isinstance(path, int) else os.fsdecode(path)

    def resize(self, size: Size, *, shrink: bool = False) -> None:
        """Make the disk `size` bytes large, while other calls run; what is new reads as zeroes.

        With `shrink` it may become smaller: what lies beyond its new end is lost, and its space
        goes back to the file system. Stable when it returns.
        """
        super().resize(_qed.parse_size(size) if isinstance(size, str) else size, shrink=shrink)

    def raw(self) -> RawImage:
        """Return a new `io.RawIOBase` over this image, with a position of its own.

        Closing it does not close the image. Wrap it in `io.BufferedReader` or `io.BufferedRandom`.
        """
        return RawImage(self)

    def __repr__(self) -> str:
        # Ctrl-C between opening and `__init__` leaves an image without a path to `__del__`.
        path = getattr(self, "path", None)
        if self.closed:
            return f"<qed.Image {path!r} closed>"
        return f"<qed.Image {path!r} mode={'r' if self.read_only else 'r+'!r}>"

    def __del__(self) -> None:
        # A child after fork leaks what its parent has open, rightly and silently.
        if self.closed or not self._is_ours:
            return
        try:
            warnings.warn(f"unclosed {self!r}", ResourceWarning, stacklevel=2, source=self)
        finally:
            self.close()


class Layer(_qed.Layer, Handle):
    """One image file looked at: its facts and its map, with no backing file opened.

    Use `qed.inspect` to get one.
    """

    path: str | None
    """The path it was opened by, or None for a descriptor."""

    def __init__(self, path: PathOrDescriptor, **options: Any) -> None:
        self.path = None if isinstance(path, int) else os.fsdecode(path)

    def __repr__(self) -> str:
        return f"<qed.Layer {self.path!r}{' closed' if self.closed else ''}>"
