"""`qed rebase`: another backing file, or none, under an image."""

import os

import qed
from qed.cli import _command as command_line
from qed.cli import _progress
from qed.cli._command import Arguments, Command
from qed.cli._opening import beside, find
from qed.cli._program import Failure, Program, UsageError


def command(program: Program) -> Command:
    """Return the verb."""
    return Command(
        program,
        "rebase",
        run,
        [
            command_line.quiet(),
            command_line.progress(),
            command_line.format_option(),
            command_line.image_options(),
            command_line.cache("-t", "--cache", what="FILE"),
            command_line.cache("-T", "--backing-cache", what="the backing files"),
            command_line.option(
                "-b",
                "--backing",
                metavar="BACKING",
                help='The new backing file, by a path or a name beside FILE; "" for none.',
            ),
            command_line.format_option("-F", "--backing-format", what="BACKING"),
            command_line.flag(
                "-u",
                "--backing-unsafe",
                help="Only change the name: for a backing file that was moved or converted.",
            ),
            command_line.force_share(),
            command_line.policy(only_long=True),
            command_line.refused("-c", "--compress"),
            command_line.refused("--object", value=True),
            command_line.file_argument(),
        ],
        summary="Put an image over another backing file.",
        about="The image reads the same over the new backing file: what that one lacks is written "
        "into the image first. With -u nothing is read or written but the name.",
        examples=["rebase -b new.qed -F qed over.qed", 'rebase -b "" over.qed'],
    )


def run(program: Program, arguments: Arguments) -> int:
    """Rebase."""
    file = command_line.one_file(arguments)
    if arguments.backing is None and not arguments.backing_unsafe:
        raise UsageError("Must specify backing file (-b) or use unsafe mode (-u)")
    mode = command_line.checked_cache(arguments.cache, "cache")
    command_line.checked_cache(arguments.backing_cache, "source cache")
    if arguments.backing_format is not None:
        given = arguments.backing_format
        if command_line.known_format(given) is None:
            raise Failure(f"Invalid format name: '{given}'")
    image = find(program, arguments, file, format_name=arguments.format, cache=mode)
    if image.format != "qed":
        raise Failure(
            f"Could not change the backing file to '{arguments.backing or ''}': "
            "Operation not supported"
        )
    backing = arguments.backing or None
    if backing is not None and not arguments.backing_unsafe:
        _check_new(image.path, backing)
    if backing is not None and arguments.backing_format is None:
        raise Failure(
            f"Could not change the backing file to '{backing}': backing format must be specified"
        )
    policy = program.backing_policy(arguments.policy)
    with (
        image.translated(writing=True),
        _progress.shown(arguments.progress and not arguments.quiet) as progress,
    ):
        qed.rebase(
            image.path,
            backing,
            backing_format=arguments.backing_format if backing is not None else None,
            name_only=arguments.backing_unsafe,
            progress=progress,
            **(image.options | {"backing_policy": policy}),
        )
    return 0


def _check_new(image: str, name: str) -> None:
    path = beside(image, name)
    try:
        os.stat(path)  # noqa: PTH116 - a path of the command line
    except OSError as error:
        raise Failure(
            f"Could not open new backing file '{name}': Could not open '{path}': {error.strerror}"
        ) from error
