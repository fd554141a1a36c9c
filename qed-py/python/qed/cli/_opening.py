"""Images as the command line names them: which format, by which rules, and opening them.

An image is named by a path and an optional format, or described by `--image-opts`. A format that
is not given is found by the file's mark; what a file without a mark is, the tool decides.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import qed
from qed.cli import _command as command_line
from qed.cli import _image_opts, _words
from qed.cli._command import Arguments
from qed.cli._program import Failure, Format, Program


class UnknownFormat(Failure):
    """No format was given, and the file has no mark."""


@dataclass(frozen=True)
class Named:
    """An image that the command line names."""

    program: Program
    shown: str
    """As it was typed, for messages and output."""
    path: str
    format: Format
    options: dict[str, Any]
    """Options of the library's `open`: cache, locks, ..."""
    read_only: bool = False
    """`--image-opts` says that it may not be written to."""

    def open(self, mode: str = "r", *, policy: str | None = None) -> qed.Image:
        """Open it with its backing files, as far as the policy allows."""
        if mode != "r" and self.read_only:
            raise Failure(f"Could not open '{self.shown}': it is to be read-only")
        options = self.options | {"backing_policy": self.program.backing_policy(policy)}
        with self.translated(writing=mode != "r"):
            return qed.open(self.path, mode, format=self.format, **options)

    def inspect(self) -> qed.Layer:
        """Open the file alone: no backing file is opened."""
        with self.translated():
            return qed.inspect(self.path, format=self.format, **self.options)

    @contextmanager
    def translated(self, *, writing: bool = False) -> Iterator[None]:
        """Give errors of opening in the words of the tool."""
        try:
            yield
        except qed.Error as error:
            raise _words.opening(
                self.program,
                error,
                self.shown,
                path=self.path,
                format_name=self.format,
                writing=writing,
            ) from error


def find(
    program: Program,
    arguments: Arguments,
    shown: str,
    *,
    format_name: str | None = None,
    cache: str | None = None,
) -> Named:
    """Return the image that `shown` names, by the options of the verb."""
    options: dict[str, Any] = {} if cache in (None, "writeback") else {"cache": cache}
    if getattr(arguments, "force_share", False):
        options["lock"] = False
    if getattr(arguments, "image_opts", False):
        return described(program, shown, options, format_name=format_name)
    return Named(program, shown, shown, which_format(program, shown, format_name), options)


def described(
    program: Program, shown: str, options: dict[str, Any], *, format_name: str | None = None
) -> Named:
    """Return the image that `--image-opts` describes; what it says goes before `options`."""
    if format_name is not None:
        raise Failure("--image-opts and --format are mutually exclusive")
    try:
        image = _image_opts.parse(shown)
    except Failure as failure:
        raise Failure(f"Could not open '{shown}': {failure.text}") from failure
    merged = options | image.options | ({"lock": False} if image.force_share else {})
    return Named(program, shown, image.filename, image.format, merged, image.read_only)


def which_format(program: Program, path: str, given: str | None) -> Format:
    """Return the format: the one that is given, or the one whose mark the file bears."""
    known = command_line.known_format(given)
    if known is not None:
        return known
    if given is not None:
        if program.is_qemu:
            raise Failure(f"Could not open '{path}': Unknown driver '{given}'")
        raise Failure(
            f"format '{given}' is not supported; known are {', '.join(command_line.FORMATS)}"
        )
    try:
        found = qed.probe(path)
    except qed.Error as error:
        raise _words.opening(program, error, path, path=path, format_name="") from error
    found = found or program.unmarked_format
    if found is None:
        raise UnknownFormat(f"{path}: neither QED nor qcow2 by its first bytes; -f says what it is")
    return found


def layer_names(image: Named, disk: qed.Image) -> list[str]:
    """Return the paths of an open chain from the top down, as a person would write them."""
    names = [image.path]
    for layer in disk.layers()[1:]:
        path = layer.path or ""
        # The library names the directory also where it is the current one.
        names.append(path.removeprefix("./") if os.sep not in names[-1] else path)
    return names


def beside(file: str, name: str) -> str:
    """Return the path that a backing name means: beside the image, dots kept as they are."""
    if os.path.isabs(name):  # noqa: PTH117 - the name is kept as it is written
        return name
    head, slash, _ = file.rpartition(os.sep)
    return head + slash + name
