"""`qed compact`: bring an image's file into the guest's order, and cut it to what it holds."""

from qed.cli import _command as command_line
from qed.cli import _progress
from qed.cli._command import Arguments, Command
from qed.cli._opening import find
from qed.cli._output import json_text
from qed.cli._program import Program


def command(program: Program) -> Command:
    """Return the verb."""
    return Command(
        program,
        "compact",
        run,
        [
            command_line.quiet(),
            command_line.progress(),
            command_line.format_option(),
            command_line.image_options(),
            command_line.output(),
            command_line.cache("-t", "--cache", what="the image"),
            command_line.policy(),
            command_line.file_argument(),
        ],
        summary="Bring an image's file into order and cut it to what it holds.",
        about="Afterwards the tables stand in front, the guest's clusters behind them in their "
        "order, and nothing else is in the file. An interrupted run leaves a sound image.",
        examples=["compact disk.qed", "compact -p --output=json disk.qed"],
    )


def run(program: Program, arguments: Arguments) -> int:
    """Compact and say what moved."""
    file = command_line.one_file(arguments)
    mode = command_line.checked_cache(arguments.cache, "cache")
    image = find(program, arguments, file, format_name=arguments.format, cache=mode)
    with (
        image.open("r+", policy=arguments.policy) as disk,
        _progress.shown(arguments.progress and not arguments.quiet) as progress,
    ):
        report = disk.compact(progress=progress)
    if arguments.output == "json":
        print(json_text(report.to_dict()))
    elif not arguments.quiet:
        print(f"{report.clusters_moved} clusters and {report.tables_moved} tables moved.")
        print(f"File length: {report.length_before} -> {report.length_after} bytes")
    return 0
