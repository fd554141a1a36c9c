"""An image as a raw stream, so that everything that reads or writes files can use it."""

from __future__ import annotations

import errno
import io
import os
from typing import TYPE_CHECKING

from qed._errors import NoSpaceError

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from qed._image import Image


class RawImage(io.RawIOBase):
    """An `io.RawIOBase` over an open image.

    It has a position and the image's size; it reads short at the end, and writing at the end
    fails as it does on a block device. As with other raw files, `flush()` moves nothing to the
    disk: that is `image.flush()` or closing the image. Closing this leaves the image open.
    """

    def __init__(self, image: Image) -> None:
        self._image = image
        self._position = 0

    @property
    def name(self) -> str | None:
        """The image's path."""
        return self._image.path

    @property
    def mode(self) -> str:
        """Python's name for how it is open."""
        return "rb+" if self.writable() else "rb"

    def readable(self) -> bool:
        """Answer True."""
        self._check_open()
        return True

    def writable(self) -> bool:
        """Answer whether the image may be written to."""
        self._check_open()
        return not self._image.read_only

    def seekable(self) -> bool:
        """Answer True."""
        self._check_open()
        return True

    def tell(self) -> int:
        """Return the position."""
        self._check_open()
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Move the position, also past the end; return it."""
        self._check_open()
        bases = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._image.size}
        if whence not in bases:
            raise ValueError(f"invalid whence ({whence})")
        position = bases[whence] + offset
        if position < 0:
            raise ValueError(f"negative seek position {position}")
        self._position = position
        return position

    def readinto(self, buffer: Buffer, /) -> int:
        """Fill `buffer` from the position; return how many bytes the end of the image allows."""
        self._check_open()
        with memoryview(buffer) as view, view.cast("B") as target:
            count = min(len(target), self._left())
            if count > 0:
                self._image.pread_into(target[:count], self._position)
        self._position += count
        return count

    def readall(self) -> bytes:
        """Return everything from the position to the end."""
        self._check_open()
        count = self._left()
        data = self._image.pread(count, self._position) if count else b""
        self._position += count
        return data

    def write(self, buffer: Buffer, /) -> int:
        """Write at the position what fits before the end; return how many bytes that is."""
        self._check_open()
        if not self.writable():
            raise io.UnsupportedOperation("write")
        with memoryview(buffer) as view, view.cast("B") as source:
            count = min(len(source), self._left())
            if count == 0 and len(source) > 0:
                raise NoSpaceError(
                    errno.ENOSPC,
                    f"writing at the end of the image of {self._image.size} bytes",
                    self._image.path,
                    offset=self._position,
                )
            if count > 0:
                self._image.pwrite(source[:count], self._position)
        self._position += count
        return count

    def _left(self) -> int:
        return max(0, self._image.size - self._position)

    def _check_open(self) -> None:
        if self.closed:
            raise ValueError("I/O operation on closed file")
