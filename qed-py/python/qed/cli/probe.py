"""`qed probe`: an image's format by its first bytes, or what a service asks of an upload."""

import qed
from qed.cli import _command as command_line
from qed.cli._command import Arguments, Command
from qed.cli._output import json_text
from qed.cli._program import Failure, Program


def command(program: Program) -> Command:
    """Return the verb."""
    return Command(
        program,
        "probe",
        run,
        [
            command_line.flag("--safety", help="Say whether the file is a safe QED image."),
            command_line.output(),
            command_line.file_argument(),
        ],
        summary="Tell an image's format by its first bytes: qed or qcow2.",
        about="Exit status 1 where the file bears no format's mark, as raw images do. With "
        "--safety: 0 for a QED image that names no backing file, has no unknown feature and whose "
        "tables are sound, else 1; what is known of the file is printed. The work is bounded, and "
        "nothing but the file is opened.",
        examples=["probe upload.img", "probe --safety --output json upload.img"],
    )


def run(program: Program, arguments: Arguments) -> int:
    """Print the format, or what is known of the file."""
    file = command_line.one_file(arguments)
    if arguments.safety:
        return _safety(file, json=arguments.output == "json")
    found = qed.probe(file)
    if found is None:
        raise Failure(f"{file}: neither QED nor qcow2 by its first bytes")
    if arguments.output == "json":
        print(json_text({"filename": file, "format": found}))
    else:
        print(found)
    return 0


def _safety(file: str, *, json: bool) -> int:
    report = qed.safety_check(file)
    facts = {name.replace("_", "-"): value for name, value in report.to_dict().items()}
    if json:
        print(json_text({"filename": file} | {k: v for k, v in facts.items() if v is not None}))
    else:
        for name, value in facts.items():
            print(f"{name}: {_word(value)}")
    return 0 if report.safe else 1


def _word(value: object) -> str:
    if value is None:
        return "unknown"
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)
