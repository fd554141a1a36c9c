"""Commands that open, reopen and close the disk."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from qed.cli import _image_opts
from qed.cli._program import Failure
from qed.cli.io._disk import Source, describe
from qed.cli.io._language import Misuse, Request
from qed.cli.io._transfer import disk_of

if TYPE_CHECKING:
    from qed.cli.io._session import Session

_SWITCHES = {"on": True, "off": False}
_CHANGEABLE = ("read-only", "cache.direct", "cache.no-flush", "discard", "detect-zeroes")
"""What `reopen -o` may change."""


def open_(session: "Session", request: Request) -> None:
    """`open`."""
    letters, values = request.letters, request.values
    if len(request.operands) > 1:
        raise Misuse
    if session.disk is not None:
        raise Failure("file open already, try 'help close'")
    path = request.operands[0] if request.operands else ""
    source = replace(
        session.defaults,
        path=path,
        described=not path,
        read_only="r" in letters,
        snapshot="s" in letters,
        copy_on_read="C" in letters,
        force_share="U" in letters,
        cache="none" if "n" in letters else values.get("t", "writeback"),
        aio="native" if "k" in letters else values.get("i", "threads"),
        options={"discard": values["d"]} if "d" in letters else {},
    )
    words = ",".join(values.get("o", []))
    if path and words:
        if {"filename", "file.filename"} & dict(_image_opts.pairs(words)).keys():
            raise source.failure("Can't specify 'file' and 'filename' options at the same time")
        words += f",filename={path.replace(',', ',,')}"
    if words:
        source = describe(session.program, source, words)
    elif not path:
        raise source.failure("Must specify either driver or file")
    session.open(source)


def close(session: "Session", request: Request) -> None:
    """`close`."""
    session.close()


def reopen(session: "Session", request: Request) -> None:
    """`reopen`: the disk is closed and opened again, and as it was where that fails."""
    letters, values = request.letters, request.values
    if sum(letter in "rw" for letter in request.order) > 1:
        raise Failure("Only one -r/-w option may be given")
    if request.operands:
        raise Misuse
    disk = disk_of(session)
    changes = _changes(session, disk.source, ",".join(values.get("o", [])))
    if letters & {"r", "w"}:
        if "read_only" in changes:
            raise Failure("Cannot set both -r/-w and 'read-only'")
        changes["read_only"] = "r" in letters
    if "c" in letters:
        if "cache" in changes:
            raise Failure("Cannot set both -c and the cache options")
        changes["cache"] = values["c"]
    if disk.source.snapshot:
        _change_snapshot(session, changes)
        return
    before, after = disk.source, replace(disk.source, **changes)
    session.close()
    try:
        session.open(after)
    except Failure:
        session.open(before)
        raise


def _change_snapshot(session: "Session", changes: dict[str, Any]) -> None:
    """Change what can be changed of a temporary image, which cannot be opened twice."""
    disk = disk_of(session)
    if changes.keys() - {"read_only", "cache"}:
        raise Failure("a snapshot's options cannot be changed")
    session.finish_requests()
    disk.read_only = changes.get("read_only", disk.read_only)


def _changes(session: "Session", source: Source, words: str) -> dict[str, Any]:
    """Return the fields of `source` that the option string changes."""
    given = {
        key: "on" if value is None else value
        for key, value in (_image_opts.pairs(words) if words else [])
    }
    if given.pop("driver", source.format) != source.format:
        raise Failure("Cannot change the option 'driver'")
    for key in given:
        if key not in _CHANGEABLE:
            known = "" if session.program.is_qemu else f"; known are {', '.join(_CHANGEABLE)}"
            raise Failure(f"Cannot change the option '{key}'{known}")
    changes: dict[str, Any] = {}
    if "read-only" in given:
        changes["read_only"] = _switch(given, "read-only")
    if {"cache.direct", "cache.no-flush"} & given.keys():
        direct, no_flush = (_switch(given, f"cache.{word}") for word in ("direct", "no-flush"))
        if direct and no_flush:
            raise Failure("cache.direct and cache.no-flush exclude each other")
        changes["cache"] = "none" if direct else "unsafe" if no_flush else "writeback"
    passed = {key.replace("-", "_"): given[key] for key in _CHANGEABLE[3:] if key in given}
    if passed:
        if passed.get("discard", "unmap") not in ("unmap", "ignore", "on", "off"):
            raise Failure("Invalid discard option")
        changes["options"] = source.options | passed
    return changes


def _switch(given: dict[str, str], key: str) -> bool:
    word = given.get(key, "off")
    if word not in _SWITCHES:
        raise Failure(f"Parameter '{key}' expects 'on' or 'off'")
    return _SWITCHES[word]
