"""The disk that the commands work on, and how it is opened.

A disk is named by a path, or described by options. Under QEMU's name a format that is not given is
found by the file's mark, and is raw without one; then no write may give it a mark.
"""

import errno
import os
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any, cast

import qed
from qed.cli import _image_opts, _words
from qed.cli._program import Failure, Format, Program

FORMATS: tuple[Format, ...] = ("qed", "qcow2", "raw")
CACHES = ("writeback", "none", "writethrough", "directsync", "unsafe")
DISCARDS = {"unmap": "unmap", "on": "unmap", "ignore": "ignore", "off": "ignore"}
AIO_MODES = ("threads", "native", "io_uring")
UNSUPPORTED = OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP))
_SECTOR = 512


@dataclass(frozen=True, slots=True)
class Source:
    """What to open, and how."""

    path: str
    format: Format | None = None
    """None: to be found out."""
    described: bool = False
    """By options alone; its path is then left out of messages."""
    read_only: bool = False
    snapshot: bool = False
    """Writes go to a temporary image, and are gone at the end."""
    copy_on_read: bool = False
    force_share: bool = False
    cache: str = "writeback"
    aio: str = "threads"
    policy: str | None = None
    """What `--backing` asks for."""
    options: dict[str, Any] = field(default_factory=dict)
    """More options of the library's `open`."""

    def failure(self, reason: str, *remarks: str) -> Failure:
        """Return why it could not be opened."""
        device = "" if self.described else f" device {self.path}"
        return Failure(f"can't open{device}: {reason}", *remarks)


def cache_mode(word: str) -> str:
    """Return the cache mode that `word` names."""
    mode = {"off": "none"}.get(word, word)
    if mode not in CACHES:
        raise Failure(f"Invalid cache option: {word}")
    return mode


def discard_mode(word: str) -> str:
    """Return the discard mode that `word` names."""
    if word not in DISCARDS:
        raise Failure(f"Invalid discard option: {word}")
    return DISCARDS[word]


def aio_mode(word: str) -> str:
    """Return `word` where it names a way of asynchronous I/O."""
    if word not in AIO_MODES:
        raise Failure(f"Invalid aio option: {word}")
    return word


def known_format(word: str) -> Format | None:
    """Return the format that `word` names, if any."""
    return next((known for known in FORMATS if known == word), None)


def describe(program: Program, source: Source, words: str) -> Source:
    """Return `source` with what the option string `words` says."""
    named = dict(_image_opts.pairs(words))
    path = named.get("file.filename") or named.get("filename")
    if path is None and program.is_qemu:
        missing = 'A block device must be specified for "file"'
        raise source.failure(missing if "driver" in named else "Must specify either driver or file")
    if path is not None and "driver" not in named:
        words = f"driver={_find_format(program, replace(source, path=path))[0]},{words}"
    try:
        image = _image_opts.parse(words)
    except Failure as failure:
        raise source.failure(failure.text) from failure
    if image.read_only and program.is_qemu and not source.read_only:
        raise source.failure("Block node is read-only")
    options = dict(image.options)
    return replace(
        source,
        path=image.filename,
        format=image.format,
        read_only=source.read_only or image.read_only,
        force_share=source.force_share or image.force_share,
        cache=options.pop("cache", source.cache),
        options=source.options | options,
    )


class Disk:
    """An open disk."""

    def __init__(self, image: qed.Image, source: Source, guessed: bool) -> None:
        self.image = image
        self.source = source
        self.size = image.size
        self.read_only = source.read_only
        self.quiesced = False
        self.guessed = guessed
        """Whether the format is a guess, so that no write may give the disk a mark."""

    def check_range(self, offset: int, length: int) -> None:
        """Insist that a request lies within the disk."""
        if offset + length > self.size:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    def write(self, buffers: list[bytes], offset: int, *, fua: bool = False) -> None:
        """Write buffers one behind the other."""
        self.check_mark(buffers, offset)
        if len(buffers) == 1:
            self.image.pwrite(buffers[0], offset, fua=fua)
        else:
            self.image.pwritev(buffers, offset, fua=fua)

    def check_mark(self, buffers: list[bytes], offset: int) -> None:
        """Insist that a write gives a guessed disk no mark."""
        if self.guessed and offset < _SECTOR:
            self._refuse_mark(b"".join(buffers), offset)

    def _refuse_mark(self, data: bytes, offset: int) -> None:
        """Fail where a disk that was guessed to be raw would be something else the next time."""
        head = bytearray(self.image.pread(min(_SECTOR, self.size), 0))
        head[offset : offset + len(data)] = data
        descriptor = os.memfd_create("head", os.MFD_CLOEXEC)
        try:
            os.write(descriptor, head[:_SECTOR])
            if qed.probe(descriptor) is not None:
                raise OSError(errno.EPERM, os.strerror(errno.EPERM))
        finally:
            os.close(descriptor)

    def close(self) -> None:
        """Flush and close."""
        self.image.close()


def open_disk(program: Program, source: Source) -> Disk:
    """Open the disk."""
    if source.aio == "native" and source.cache not in ("none", "directsync"):
        raise source.failure(
            "aio=native was specified, but it requires cache.direct=on, which was not specified."
        )
    if source.force_share and not source.read_only:
        raise source.failure("force-share=on can only be used with read-only images")
    if source.copy_on_read and source.read_only:
        raise source.failure("Can't use copy-on-read on read-only device")
    format_name, guessed = _find_format(program, source)
    found = replace(source, format=format_name)
    try:
        image = _snapshot(program, found) if source.snapshot else _open(program, found)
    except qed.Error as error:
        failure = _words.opening(
            program,
            error,
            source.path,
            path=source.path,
            format_name=format_name,
            writing=not source.read_only,
        )
        raise _reworded(program, source, failure) from error
    return Disk(image, found, guessed and not source.snapshot)


def _open(program: Program, source: Source, mode: str | None = None) -> qed.Image:
    options: dict[str, Any] = {"cache": source.cache} | source.options
    if source.force_share:
        options["lock"] = False
    options["backing_policy"] = program.backing_policy(source.policy)
    # A raw disk has no backing file to copy from.
    if source.copy_on_read and source.format != "raw" and mode is None:
        options["copy_on_read"] = True
    wanted = mode or ("r" if source.read_only else "r+")
    assert source.format is not None
    return qed.open(source.path, wanted, format=source.format, **options)


def _snapshot(program: Program, source: Source) -> qed.Image:
    """Open a temporary image that nobody can name, over the one that is asked for."""
    import tempfile

    with _open(program, source, "r") as base:
        size = base.size
        chain = [(cast("str", layer.path), layer.format) for layer in base.layers()]
    with tempfile.TemporaryFile() as file:
        path = os.path.abspath(source.path)  # noqa: PTH100 - only a name in a header
        qed.create(
            file.fileno(),
            size,
            backing=path,
            backing_format=source.format or "qed",
            overwrite=True,
        )
        copies = source.copy_on_read
        return qed.open(
            file.fileno(), "r+", backing_chain=chain, cache="unsafe", copy_on_read=copies
        )


def _find_format(program: Program, source: Source) -> tuple[Format, bool]:
    """Return the format, and whether it is a guess."""
    if source.format is not None:
        return source.format, False
    try:
        marked = qed.probe(source.path)
    except qed.Error as error:
        path = source.path
        failure = _words.opening(program, error, path, path=path, format_name="")
        raise _reworded(program, source, failure) from error
    if marked is not None:
        return marked, False
    if program.unmarked_format is None:
        raise Failure(
            f"{source.path}: neither QED nor qcow2 by its first bytes; -f says what it is"
        )
    return program.unmarked_format, True


def guess_remarks(path: str) -> Iterable[str]:
    """Return the warning about a disk that was taken for raw."""
    margin = " " * len("WARNING: ")
    return (
        f"WARNING: Image format was not specified for '{path}' and probing guessed raw.",
        f"{margin}Automatically detecting the format is dangerous for raw images, "
        "write operations on block 0 will be restricted.",
        f"{margin}Specify the 'raw' format explicitly to remove the restrictions.",
    )


def _reworded(program: Program, source: Source, failure: Failure) -> Failure:
    """Return a failure to open in this tool's words; `qed io` keeps the library's sentence."""
    if not program.is_qemu:
        return failure
    reason = failure.text.removeprefix(f"Could not open '{source.path}': ")
    if reason.startswith("'file' driver requires"):
        reason = f"Could not open '{source.path}': {os.strerror(errno.EISDIR)}"
    return source.failure(reason, *failure.remarks)
