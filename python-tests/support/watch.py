"""Waits until another process touches a file: inotify, so that no test has to sleep or to guess."""

import ctypes
import os
import select
import struct
from pathlib import Path
from types import TracebackType
from typing import Self

ACCESSED, MODIFIED, OPENED, CREATED = 0x001, 0x002, 0x020, 0x100

_EVENT = struct.Struct("iIII")
# A guard against waiting for ever, not a claim about speed.
_PATIENCE_MS = 120_000


class Watch:
    """What happens in a directory from here on."""

    def __init__(self, directory: Path, mask: int) -> None:
        library = ctypes.CDLL(None, use_errno=True)
        self._queue = library.inotify_init1(os.O_CLOEXEC)
        if self._queue < 0:
            raise OSError(ctypes.get_errno(), "inotify_init1")
        if library.inotify_add_watch(self._queue, os.fsencode(directory), mask) < 0:
            raise OSError(ctypes.get_errno(), "inotify_add_watch")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.close(self._queue)

    def wait(self, name: str) -> None:
        """Return as soon as it has happened to a file whose name begins so."""
        ready = select.poll()
        ready.register(self._queue, select.POLLIN)
        while ready.poll(_PATIENCE_MS):
            if any(found.startswith(name) for found in self._names()):
                return
        raise TimeoutError(f"nothing happened to {name}")

    def _names(self) -> set[str]:
        """Read the events that are there; return the names of the files they are about."""
        events, names = os.read(self._queue, 1 << 16), set()
        while events:
            length = _EVENT.unpack_from(events)[3]
            end = _EVENT.size + length
            names.add(os.fsdecode(events[_EVENT.size : end].rstrip(b"\0")))
            events = events[end:]
        return names
