"""Recording: a disk that is used as ever, and a log of all that reached its file."""

from __future__ import annotations

import os
from typing import Any, Literal, TypedDict, Unpack

from qed import _qed
from qed._handle import Handle
from qed._image import Image
from qed._options import CreateOptions, OpenOptions, Path, Size, Switch
from qed._verbs import create
from qed.crash._image import StateImage
from qed.crash._log import Log


class RecordOptions(TypedDict, total=False):
    """What `record` takes beside what it creates: the options of `create` and of `open`."""

    backing_format: Literal["qed", "qcow2", "raw"]
    backing_policy: Literal["deny", "beneath", "follow"]
    block_devices: Switch
    cache: Literal["writeback", "none", "writethrough", "directsync", "unsafe"]
    cluster_size: Size
    detect_zeroes: Literal["off", "on", "unmap"]
    discard: Literal["unmap", "ignore"]
    format: Literal["qed", "qcow2", "raw"]
    l2_cache_size: Size
    lock: Switch
    max_depth: int
    no_follow: Switch
    overwrite: Switch
    table_size: int
    trust: Literal["untrusted", "normal", "damaged"]


class Recording(Handle):
    """A disk that is being recorded: `record` returns one, and it is a context manager."""

    image: Image
    """The image; every method works as ever. It is closed at the end of the `with` block."""

    def __init__(self, path: Path, options: OpenOptions) -> None:
        self._native = _qed.CrashRecorder(path, **options)
        self._options = options
        self.image = StateImage(self._native.prepared(), os.fsdecode(path))

    def mark(self, text: str) -> None:
        """Write a remark into the log: what your program holds to be true from here on.

        An oracle of one's own finds it in the `marks` of its view once it was made.
        """
        self._native.mark(text)

    @property
    def log(self) -> Log:
        """Everything so far; the whole of it once the image is closed."""
        return Log(self._native.log(), self._options)

    def close(self) -> None:
        """Close the image; the log stays."""
        self.image.close()


def record(
    path: Path,
    *,
    size: Size | None = None,
    backing: Path | None = None,
    **options: Unpack[RecordOptions],
) -> Recording:
    """Create an image of this size, or over this backing file, and record what is done to it.

    Without either, the image that is there is opened. The image works without a thread of its own:
    the same calls of one thread leave the same log. `options` are those of `qed.create` and
    `qed.open`.
    """
    given: dict[str, Any] = dict(options)
    first = {name: value for name, value in given.items() if name in CreateOptions.__annotations__}
    opening = {name: value for name, value in given.items() if name not in _CREATE_ONLY}
    if size is not None or backing is not None:
        create(path, size, backing=backing, **first)
    elif left := sorted(given.keys() & _CREATE_ONLY):
        raise ValueError(f"nothing is created without a size or a backing file: {', '.join(left)}")
    return Recording(path, OpenOptions(**opening))  # type: ignore[typeddict-item]


_CREATE_ONLY = CreateOptions.__annotations__.keys() - OpenOptions.__annotations__.keys()
