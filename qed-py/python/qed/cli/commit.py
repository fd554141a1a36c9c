"""`qed commit`: what an overlay holds goes into its backing file."""

import qed
from qed.cli import _command as command_line
from qed.cli import _progress
from qed.cli._command import Arguments, Command
from qed.cli._opening import find
from qed.cli._program import Failure, Program
from qed.cli._sizes import size


def command(program: Program) -> Command:
    """Return the verb."""
    return Command(
        program,
        "commit",
        run,
        [
            command_line.quiet(),
            command_line.progress(),
            command_line.format_option(),
            command_line.image_options(),
            command_line.cache("-t", "--cache", what="FILE and its backing file"),
            command_line.flag("-d", "--drop", help="Do not empty FILE: it will be deleted."),
            command_line.option(
                "-b",
                "--base",
                metavar="BASE",
                help="Commit to this file of the chain, not to FILE's own backing file; FILE is "
                "not emptied, and the layers in between are of no use afterwards.",
            ),
            command_line.option(
                "-r", "--rate", metavar="RATE", help="Move at most RATE bytes a second."
            ),
            command_line.policy(),
            command_line.refused("--object", value=True),
            command_line.file_argument(),
        ],
        summary="Give what an image holds to its backing file, and empty the image.",
        about="The backing file grows where it is smaller. Killed at any moment, or in a power "
        "cut, the image over its backing file reads the same, and the commit can be done again.",
        examples=["commit over.qed", "commit -b base.raw -p top.qed"],
    )


def run(program: Program, arguments: Arguments) -> int:
    """Commit, and say so."""
    file = command_line.one_file(arguments)
    mode = command_line.checked_cache(arguments.cache, "cache")
    rate = None if arguments.rate is None else size(program, arguments.rate, "rate limit")
    image = find(program, arguments, file, format_name=arguments.format, cache=mode)
    with image.inspect() as layer:
        if layer.info().backing is None:
            raise Failure("Image does not have a backing file")
    policy = program.backing_policy(arguments.policy)
    with _progress.shown(arguments.progress and not arguments.quiet) as progress:
        try:
            qed.commit(
                image.path,
                base=arguments.base,
                keep=arguments.drop,
                rate=rate,
                progress=progress,
                format=image.format,
                **(image.options | {"backing_policy": policy}),
            )
        except qed.Error as error:
            if "is not in the backing chain" in str(error):
                raise Failure(
                    f"Did not find '{arguments.base}' in the backing chain of '{image.shown}'"
                ) from error
            raise
    if not arguments.quiet:
        print("Image committed.")
    return 0
