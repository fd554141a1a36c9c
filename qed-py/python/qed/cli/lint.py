"""`qed lint`: what another program would choke on, or harm, in an image."""

import qed
from qed.cli import _command as command_line
from qed.cli import _progress
from qed.cli._command import Arguments, Command
from qed.cli._opening import find
from qed.cli._output import json_text
from qed.cli._program import Failure, Program, UsageError

CLEAN, FAILED, FOUND = 0, 1, 2
READERS = ("qemu", "virtualbox")


def command(program: Program) -> Command:
    """Return the verb."""
    return Command(
        program,
        "lint",
        run,
        [
            command_line.quiet(),
            command_line.progress(),
            command_line.output(),
            command_line.chosen(
                "--for", "reader", words=READERS, help="The program that the image is to suit."
            ),
            command_line.flag("--fix", help="Rewrite the image to a form that it takes."),
            command_line.file_argument(),
        ],
        summary="Find what another program would choke on, or harm, in an image.",
        about="Each finding is a line: refuses (it does not open the image), harms (it loses data) "
        "or note; then the rule and what it is about. Exit status: 0 nothing or notes alone, 1 the "
        "lint failed, 2 something that refuses or harms. What --fix has rewritten is listed as "
        "fixed; the guest reads the same before and after. No backing file is opened.",
        examples=["lint --for virtualbox disk.qed", "lint --for qemu --fix disk.qed"],
    )


def run(program: Program, arguments: Arguments) -> int:
    """Lint and print the findings."""
    file = command_line.one_file(arguments)
    if arguments.reader is None:
        raise UsageError(f"--for is missing: {' or '.join(READERS)}")
    image = find(program, arguments, file, format_name="qed")
    with (
        image.translated(writing=arguments.fix),
        _progress.shown(arguments.progress and not arguments.quiet) as progress,
    ):
        try:
            report = qed.lint(
                image.path, arguments.reader, fix=arguments.fix, progress=progress, **image.options
            )
        except qed.NotQedError as error:
            raise Failure(str(error)) from error
    if not arguments.quiet:
        print("\n".join(_text(arguments, file, report)))
    return CLEAN if report.clean else FOUND


def _text(arguments: Arguments, file: str, report: qed.LintReport) -> list[str]:
    if arguments.output == "json":
        return [json_text(report.to_dict() | {"filename": file})]
    lines = [f"fixed: {found.rule}: {found.text}" for found in report.fixed]
    for found in report.findings:
        rest = "" if found.fixable else " (no fix)"
        lines.append(f"{found.severity}: {found.rule}: {found.text}{rest}")
    return lines or [f"{report.reader} takes the image as it is."]
