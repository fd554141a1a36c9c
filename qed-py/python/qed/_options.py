"""The options of the verbs, for type checkers.

The engine owns the table and refuses what it does not know, with a list of what it does; a test
compares that list to these classes.
"""

import os
from collections.abc import Callable
from typing import Literal, TypeAlias, TypedDict

Path: TypeAlias = str | bytes | os.PathLike[str] | os.PathLike[bytes]
PathOrDescriptor: TypeAlias = Path | int
"""A descriptor is duplicated: closing the original changes nothing."""
BackingSource: TypeAlias = (
    PathOrDescriptor | tuple[PathOrDescriptor, Literal["qed", "qcow2", "raw"]]
)
"""A backing file, with its format where the caller knows it."""
Size: TypeAlias = int | str
"""Bytes, or text like "64K"."""
Switch: TypeAlias = bool | Literal["on", "off"]
Progress: TypeAlias = Callable[[int, int], object]
"""Called with the bytes done and the bytes in all; what it raises stops the work."""


class OpenOptions(TypedDict, total=False):
    """What `open`, `inspect`, `info`, `undo_repair` and `lint` take."""

    backing_policy: Literal["deny", "beneath", "follow"]
    block_devices: Switch
    cache: Literal["writeback", "none", "writethrough", "directsync", "unsafe"]
    copy_on_read: Switch
    detect_zeroes: Literal["off", "on", "unmap"]
    discard: Literal["unmap", "ignore"]
    format: Literal["qed", "qcow2", "raw"]
    l2_cache_size: Size
    lock: Switch
    max_depth: int
    no_follow: Switch
    tolerate_bad_entries: Switch
    trust: Literal["untrusted", "normal", "damaged"]


class CheckOptions(OpenOptions, total=False):
    """What `check` takes beside what `open` takes."""

    dry_run: Switch
    max_growth: Size
    repair: Literal["off", "leaks", "all"]
    undo: Path


class CreateOptions(TypedDict, total=False):
    """What `create` takes beside the size and the backing file."""

    backing_format: Literal["qed", "qcow2", "raw"]
    block_devices: Switch
    cache: Literal["writeback", "none", "writethrough", "directsync", "unsafe"]
    cluster_size: Size
    format: Literal["qed", "qcow2", "raw"]
    lock: Switch
    overwrite: Switch
    preallocation: Literal["off", "metadata", "falloc", "full"]
    table_size: int


class QueueOptions(TypedDict, total=False):
    """What a queue takes beside its depth."""

    aio: Literal["io_uring", "threads"]
    workers: int
