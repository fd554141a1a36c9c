"""`qed probe`: an image's format by its first bytes. Nothing else is looked at."""

import qed
from qed.cli import _command as command_line
from qed.cli._command import Arguments, Command
from qed.cli._program import Failure, Program


def command(program: Program) -> Command:
    """Return the verb."""
    return Command(
        program,
        "probe",
        run,
        [command_line.file_argument()],
        summary="Tell an image's format by its first bytes: qed or qcow2.",
        about="Exit status 1 where the file bears no format's mark, as raw images do.",
        examples=["probe upload.img"],
    )


def run(program: Program, arguments: Arguments) -> int:
    """Print the format."""
    file = command_line.one_file(arguments)
    found = qed.probe(file)
    if found is None:
        raise Failure(f"{file}: neither QED nor qcow2 by its first bytes")
    print(found)
    return 0
