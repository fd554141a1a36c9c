"""Commands that qemu-io has not: a disk at rest, and an overlay under it."""

from typing import TYPE_CHECKING

import qed
from qed.cli._program import Failure
from qed.cli.io import _process
from qed.cli.io._language import Command, Request
from qed.cli.io._transfer import disk_of

if TYPE_CHECKING:
    from qed.cli.io._session import Session


def quiesce(session: "Session", request: Request) -> None:
    """`quiesce`."""
    disk = disk_of(session)
    try:
        disk.image.quiesce()
    except qed.Error as error:
        raise Failure(str(error)) from error
    disk.quiesced = True


def resume(session: "Session", request: Request) -> None:
    """`resume`; with a tag it is qemu-io's command, for break points."""
    if request.operands:
        _process.unsupported("Could not resume request")(session, request)
        return
    disk = disk_of(session)
    try:
        disk.image.resume()
    except qed.Error as error:
        raise Failure(str(error)) from error
    disk.quiesced = False


def overlay(session: "Session", request: Request) -> None:
    """`overlay`."""
    disk = disk_of(session)
    try:
        disk.image.add_overlay(request.operands[0])
    except qed.Error as error:
        raise Failure(str(error)) from error


COMMANDS = (
    Command(
        "overlay",
        overlay,
        "creates an image over the current file, and goes on in it",
        "path",
        least=1,
        most=1,
        detail="An external snapshot: the current file keeps what it has, and is only read from "
        "now on.",
        writes=True,
    ),
    Command(
        "quiesce",
        quiesce,
        "makes everything stable, and closes the current file until 'resume'",
        detail="It may be copied meanwhile, or changed by another program. Commands that need the\n"
        " disk fail; requests in the background wait.",
    ),
    Command(
        "resume",
        resume,
        "opens a quiesced file again",
        "[tag]",
        most=1,
        detail="With a tag it is the command of qemu-io, which resumes a request at a break point.",
    ),
)
