"""`qed crash replay`: one state of a run, judged, drawn, or written into a file."""

from qed.cli import _command as command_line
from qed.cli._command import Arguments, Command
from qed.cli._program import Program
from qed.cli.crash import _report, _source


def command(program: Program) -> Command:
    """Return the sub-verb."""
    return Command(
        program,
        "crash replay",
        run,
        [
            *_source.options(),
            *_report.options(),
            command_line.option(
                "--extract", metavar="FILE", help="Write the state into FILE, a sparse image."
            ),
            command_line.file_argument(shown="[LOG] STATE"),
        ],
        summary="Judge one state of a run alone.",
        about="STATE is the word behind 'replay:' in a failure's report. The log's options are "
        "those with which it was explored. Exit status: 0 it holds, 1 an error, 2 it does not.",
        examples=[
            "crash replay run.log 1f2e3d4c5b6a7988/512/0:0+2",
            "crash replay --extract state.qed run.log 1f2e3d4c5b6a7988/512/0:0+2",
        ],
    )


def run(program: Program, arguments: Arguments) -> int:
    """Judge the state and say what is found."""
    file, word = _source.operands(arguments, "a state")
    log = _source.open_run(program, arguments, file)
    if arguments.extract is not None:
        with _source.naming(arguments.extract):
            log.state(word).materialise(arguments.extract)
    oracles = _report.oracles(arguments, log)
    result = log.replay(word, oracles=oracles)
    text = "\n\n".join(map(str, result.failures)) or f"{word} holds: {', '.join(oracles)}"
    return _report.tell(arguments, result, {"state": word, "oracles": oracles}, text)
