"""`qed repair`: mend an image, or take a repair back."""

import qed
from qed.cli import _command as command_line
from qed.cli import check
from qed.cli._command import Arguments, Command
from qed.cli._program import Program, UsageError


def command(program: Program) -> Command:
    """Return the verb."""
    return Command(
        program,
        "repair",
        run,
        [
            command_line.quiet(),
            command_line.format_option(),
            command_line.output(),
            command_line.cache("-T", "--cache", what="FILE"),
            command_line.flag("--leaks", help="Give back what is leaked; mend nothing else."),
            *check.repair_options("--undo", "Take back the repair that wrote UNDO."),
            command_line.option(
                "--keep-undo", metavar="UNDO", help="Keep in UNDO what is overwritten."
            ),
            command_line.file_argument(),
        ],
        summary="Repair an image, or take a repair back.",
        about="As `check -r all`, with its output and exit statuses. What is referenced twice is "
        "copied, tables that lie in each other or in data are moved, entries that name nothing are "
        "cleared, leaked space is given back. With --undo, the image becomes what it was before "
        "the repair that kept UNDO (here by --keep-undo, in check by --undo), bit by bit.",
        examples=["repair --keep-undo disk.undo disk.qed", "repair --undo disk.undo disk.qed"],
    )


def run(program: Program, arguments: Arguments) -> int:
    """Repair and print the report, or take back what was repaired."""
    image = check.find_qed(program, arguments, "repairing")
    if arguments.undo is None:
        arguments.undo = arguments.keep_undo
        report = check.checked(image, arguments, "leaks" if arguments.leaks else "all")
        return check.told(image, arguments, report)
    given = [
        name for name in ("leaks", "dry_run", "keep_undo", "max_growth") if getattr(arguments, name)
    ]
    if given:
        wrong = f"--{given[0].replace('_', '-')} is for a repair, and --undo takes one back"
        raise UsageError(wrong)
    with image.translated(writing=True):
        qed.undo_repair(image.path, arguments.undo, **image.options)
    return check.CLEAN
