"""The exceptions: one class for each kind of the engine.

Every class is an `OSError`, and also the builtin that a person would catch in its place. The kinds
and their names are the same in Rust, C and Python.
"""

import errno as _errno
import io


class Error(OSError):
    """What failed: `str()` is one sentence that names the file and the offset.

    Attributes: `kind` is the stable name of what went wrong, `errno` the system's number or the
    one that stands for the kind, `filename` the file it is about or None, `offset` the byte offset
    it is about (of the guest for requests, of the file for metadata) or None.
    """

    kind: str = "io"
    offset: int | None

    def __init__(
        self,
        errno: int,
        strerror: str,
        filename: str | None = None,
        *,
        kind: str | None = None,
        offset: int | None = None,
    ) -> None:
        names = () if filename is None else (filename,)
        super().__init__(errno, strerror, *names)
        if kind is not None:
            self.kind = kind
        self.offset = offset

    def __str__(self) -> str:
        if self.filename is None:
            return str(self.strerror)
        return f"{self.filename}: {self.strerror}"


class CorruptError(Error):
    """The image breaks a clause of the format."""

    kind = "corrupt"


class UnsupportedError(Error):
    """The image, the file or the machine lacks what the call needs."""

    kind = "unsupported"


class InvalidArgumentError(Error, ValueError):
    """The caller's argument makes no sense: out of range, unknown name, a closed image."""

    kind = "invalid-argument"


class ReadOnlyError(Error, io.UnsupportedOperation):
    """A change was asked of something opened or mounted read-only."""

    kind = "read-only"


class NoSpaceError(Error):
    """The disk, a quota or the image's own address space is full."""

    kind = "no-space"


class LockedError(Error, BlockingIOError):
    """Another process holds the image."""

    kind = "locked"


class RefusedError(Error, PermissionError):
    """The caller's policy forbids it: a backing file that may not be opened."""

    kind = "refused"


class LatchedError(Error):
    """An earlier sync or metadata write failed: nothing may claim to be stable any more."""

    kind = "latched"


class NotFoundError(Error, FileNotFoundError):
    """No such file."""

    kind = "not-found"


class ExistsError(Error, FileExistsError):
    """The file exists, and `overwrite` was not given."""

    kind = "already-exists"


class PermissionDeniedError(Error, PermissionError):
    """The operating system's permissions forbid it."""

    kind = "permission-denied"


class NotQedError(Error, ValueError):
    """The bytes are not a QED image at all."""

    kind = "not-qed"


class DamagedError(CorruptError):
    """The structure is damaged beyond what opening may repair: reads go on, allocation stops."""

    kind = "damaged"


class CancelledError(Error):
    """The caller's callback asked to stop."""

    kind = "cancelled"


class InternalError(Error):
    """A bug inside the library, caught at its boundary."""

    kind = "internal"


class BusyError(Error, BlockingIOError):
    """It cannot be done now: a queue is full, the disk is quiesced, something still uses it."""

    kind = "busy"


_CLASSES: dict[str, type[Error]] = {
    cls.kind: cls
    for cls in (
        Error,
        CorruptError,
        UnsupportedError,
        InvalidArgumentError,
        ReadOnlyError,
        NoSpaceError,
        LockedError,
        RefusedError,
        LatchedError,
        NotFoundError,
        ExistsError,
        PermissionDeniedError,
        NotQedError,
        DamagedError,
        CancelledError,
        InternalError,
        BusyError,
    )
}


def from_native(
    kind: str, errno: int, strerror: str, filename: str | None, offset: int | None
) -> Error:
    """Build the exception for an error of the engine; an unknown kind is a plain `Error`."""
    cls = _CLASSES.get(kind, Error)
    return cls(errno, strerror, filename, kind=kind, offset=offset)


def invalid(text: str) -> InvalidArgumentError:
    """Build the exception for a mistake of the caller that Python code finds."""
    return InvalidArgumentError(_errno.EINVAL, text)


def from_system(error: OSError) -> Error:
    """Build the exception for what the system refused Python code."""
    kinds = {FileNotFoundError: "not-found", PermissionError: "permission-denied"}
    kind = kinds.get(type(error), "io")
    name = None if error.filename is None else str(error.filename)
    return from_native(kind, error.errno or _errno.EIO, str(error.strerror), name, None)
