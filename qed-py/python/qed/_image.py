"""`Image` and `Layer`: the native handles with Python's manners."""

import os
import warnings
from typing import Any

from qed import _qed
from qed._handle import Handle
from qed._options import Path, PathOrDescriptor, Progress, Size
from qed._raw import RawImage
from qed._results import CompactReport


class Image(_qed.Image, Handle):
    """An open image. Every method may be called from any thread; use `qed.open` to get one.

    Offsets and lengths are bytes of the disk the guest sees. A range that passes its end is an
    error, and nothing is read or written. What was written is stable after `flush` or `close`.
    """

    path: str | None
    """The path it was opened by, or None for a descriptor."""

    def __init__(self, path: PathOrDescriptor, mode: str = "r", **options: Any) -> None:
        self.path = None if isinstance(path, int) else os.fsdecode(path)

    def raw(self) -> RawImage:
        """Return a new `io.RawIOBase` over this image, with a position of its own.

        Closing it does not close the image. Wrap it in `io.BufferedReader` or `io.BufferedRandom`.
        """
        return RawImage(self)

    def compact(
        self, *, batch: Size | None = None, progress: Progress | None = None
    ) -> CompactReport:
        """Bring the file into the guest's order and cut it to what it holds.

        Other calls on the image may go on beside it: `batch` bytes (16M) move at once. What
        `progress` raises stops it, and the image is as sound as before.
        """
        number = None if batch is None else _number(batch)
        return _qed.compact(self, batch=number, progress=progress)

    def stream(
        self,
        base: Path | None = None,
        *,
        rate: Size | None = None,
        progress: Progress | None = None,
    ) -> None:
        """Bring what lies below into the image's own file, and drop its backing file.

        With `base`, the path of a file of the chain, that file stays, as the backing file. At most
        `rate` bytes a second are brought in. Other calls on the image may go on beside it, and
        what they write wins. What `progress` raises stops it: the backing file then stays.
        """
        number = None if rate is None else _number(rate)
        _qed.stream(self, base=base, rate=number, progress=progress)

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


def _number(size: Size) -> int:
    return _qed.parse_size(size) if isinstance(size, str) else size
