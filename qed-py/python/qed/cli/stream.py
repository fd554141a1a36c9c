"""`qed stream`: bring what an overlay has from its backing files into its own file."""

from qed.cli import _command as command_line
from qed.cli import _progress
from qed.cli._command import Arguments, Command
from qed.cli._opening import find
from qed.cli._program import Program
from qed.cli._sizes import size


def command(program: Program) -> Command:
    """Return the verb."""
    return Command(
        program,
        "stream",
        run,
        [
            command_line.quiet(),
            command_line.progress(),
            command_line.format_option(),
            command_line.image_options(),
            command_line.option(
                "-b", "--base", metavar="BASE", help="Keep BASE, a file of the chain, below."
            ),
            command_line.option(
                "-r", "--rate", metavar="RATE", help="Bring in so many bytes a second at most."
            ),
            command_line.cache("-t", "--cache", what="the image"),
            command_line.policy(),
            command_line.file_argument(),
        ],
        summary="Bring what lies below an image into its own file.",
        about="Without -b the image needs no other file afterwards; with it, BASE is its backing "
        "file. An interrupted run leaves the backing file as it was named.",
        examples=["stream overlay.qed", "stream -p -b base.raw -r 50M overlay.qed"],
    )


def run(program: Program, arguments: Arguments) -> int:
    """Stream."""
    file = command_line.one_file(arguments)
    mode = command_line.checked_cache(arguments.cache, "cache")
    rate = None if arguments.rate is None else size(program, arguments.rate, "rate")
    image = find(program, arguments, file, format_name=arguments.format, cache=mode)
    with (
        image.open("r+", policy=arguments.policy) as disk,
        _progress.shown(arguments.progress and not arguments.quiet) as progress,
    ):
        disk.stream(arguments.base, rate=rate, progress=progress)
    if not arguments.quiet:
        print("Image streamed.")
    return 0
