"""What opening or creating an image failed of, in the words of the tool.

`qed` prints the library's sentence, with the command's options where it names the library's. Under
QEMU's names the sentence is the one that QEMU's tool prints for the same failure; where it has none
the library's stands behind QEMU's beginning.
"""

import os
import re

import qed
from qed.cli._program import Failure, Program

_ADVICE = {
    "lock=off": "-U",
    "overwrite=on": "-o overwrite=on",
    "backing_policy=": "--backing ",
}

_NO_MARK = {
    "qed": ("not a QED image", "Image not in QED format"),
    "qcow2": ("not a qcow2 image", "Image is not in qcow2 format"),
}

_BEHIND = "Could not open backing file: "
_QUOTED = re.compile(r"Could not open '[^']*'")
_BACKING = re.compile(r'opening backing file "(?P<name>.*)": ')


def opening(
    program: Program,
    error: qed.Error,
    shown: str,
    *,
    path: str,
    format_name: str,
    writing: bool = False,
) -> Failure:
    """Return why `path`, called `shown` on the command line, could not be opened."""
    if not program.is_qemu:
        return ours(error)
    reason, *remarks = _reason(error, path, format_name, writing)
    return Failure(f"Could not open '{shown}': {reason}", *remarks)


def apart(failure: Failure) -> Failure:
    """Return why a backing file could not be opened, as where each file is opened by itself."""
    _, found, reason = failure.text.partition(_BEHIND)
    name = _QUOTED.match(reason)
    if not found or name is None:
        return failure
    return Failure(f"{name[0]}: {reason}", *failure.remarks)


def creating(program: Program, error: qed.Error, path: str) -> Failure:
    """Return why `path` could not be created."""
    if not program.is_qemu:
        return ours(error)
    if isinstance(error, qed.LockedError):
        reason, *remarks = _reason(error, path, "", True)
        return Failure(f"{path}: {reason}", *remarks)
    if _is_about_a_file(error):
        return Failure(f"{path}: Could not create '{path}': {_system(error)}")
    return Failure(f"{path}: {_sentence(error)}")


def creating_over(
    program: Program, error: qed.Error, where: str, *, path: str, format_name: str
) -> Failure:
    """Return why `path` is no backing file for the image that `where` names."""
    if not program.is_qemu:
        return ours(error)
    reason, *remarks = _reason(error, path, format_name, False)
    return Failure(f"{where}{reason}", *remarks, "Could not open backing image.")


def copying(error: qed.Error, target: str) -> Failure:
    """Return where a copy into `target` failed, as QEMU's tool says it."""
    doing = "writing" if error.filename == target else "reading"
    where = "" if error.offset is None else f" at byte {error.offset}"
    reason = os.strerror(error.errno) if error.errno and error.kind == "io" else _sentence(error)
    return Failure(f"error while {doing}{where}: {reason}")


def ours(error: OSError) -> Failure:
    """Return the library's sentence."""
    return Failure(_advised(str(error)))


def _reason(error: qed.Error, path: str, format_name: str, writing: bool) -> list[str]:
    backing = _BACKING.search(str(error.strerror))
    if backing is not None and error.errno:
        name = backing["name"]
        return [f"{_BEHIND}Could not open '{name}': {_system(error)}"]
    ours, theirs = _NO_MARK.get(format_name, ("", ""))
    if ours and str(error.strerror).startswith(ours):
        return [theirs]
    if isinstance(error, qed.LockedError):
        lock = '"write"' if writing else 'shared "write"'
        return [f"Failed to get {lock} lock", f"Is another process using the image [{path}]?"]
    if path == "":
        return ["The 'file' block driver requires a file name"]
    if isinstance(error, qed.RefusedError) and os.path.isdir(path):  # noqa: PTH112 - bytes in str
        return [f"'file' driver requires '{path}' to be a regular file"]
    if _is_about_a_file(error):
        return [f"Could not open '{path}': {_system(error)}"]
    return [_sentence(error)]


def _is_about_a_file(error: qed.Error) -> bool:
    return isinstance(error, qed.NotFoundError | qed.PermissionDeniedError) or (
        isinstance(error, qed.RefusedError) and "is a directory" in str(error.strerror)
    )


def _system(error: qed.Error) -> str:
    """Return the system's words for the number; a directory's, where that is what stands there."""
    if isinstance(error, qed.RefusedError):
        return "Is a directory"
    return os.strerror(error.errno or 0)


def _sentence(error: qed.Error) -> str:
    return _advised(str(error.strerror))


def _advised(text: str) -> str:
    """Name the command's options where the library names its own."""
    for theirs, words in _ADVICE.items():
        text = text.replace(theirs, words)
    return text
