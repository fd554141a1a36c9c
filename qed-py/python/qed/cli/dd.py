"""`qed dd`: a part of a disk, counted in blocks, copied into a new image."""

from collections.abc import Sequence

from qed.cli import _command as command_line
from qed.cli._command import Arguments, Command
from qed.cli._creation import Creation
from qed.cli._opening import find
from qed.cli._program import Failure, Program
from qed.cli._sizes import size
from qed.cli._target import New

MAX_BLOCK = (1 << 31) - 1

_OPERANDS = ("bs", "count", "if", "of", "skip")


def command(program: Program) -> Command:
    """Return the verb."""
    return Command(
        program,
        "dd",
        run,
        [
            command_line.format_option(what="the input"),
            command_line.image_options(),
            command_line.new_format(program, "-O", "--output-format", what="the output"),
            command_line.force_share(),
            command_line.policy(),
            command_line.refused("--object", value=True),
            command_line.file_argument(
                "operands", shown="[bs=BLOCK] [count=N] [skip=N] if=FILE of=TARGET"
            ),
        ],
        summary="Copy a part of a disk.",
        about="TARGET is created, or replaced. A block is 512 bytes; N blocks are copied behind "
        "those that are skipped (qemu-img counts the skipped ones as well). Zeroes take no space.",
        examples=["dd -O raw bs=1M skip=1 count=64 if=disk.qed of=part.raw"],
    )


def run(program: Program, arguments: Arguments) -> int:
    """Copy."""
    given = _operands(arguments.operands)
    block = size(program, given.get("bs", "512"), "bs", least=1, most=MAX_BLOCK)
    skip = size(program, given.get("skip", "0"), "skip") * block
    count = size(program, given["count"], "count") if "count" in given else None
    if "if" not in given or "of" not in given:
        raise Failure("Must specify both input and output files")
    image = find(program, arguments, given["if"], format_name=arguments.format)
    target_format = command_line.known_format(arguments.output_format)
    if target_format is None:
        raise Failure("Unknown file format")
    with image.open(policy=arguments.policy) as disk:
        if skip > disk.size:
            # To QEMU's tool, and to those before it, this is no failure.
            program.complain(f"{image.shown}: cannot skip to specified offset")
        start = min(skip, disk.size)
        left = disk.size - start
        length = left if count is None else min(left, count * block)
        new = Creation(target_format, options={})
        target = New(program, new, given["of"], doing="creating output image")
        target.copy([disk], {"offset": start, "length": length})
    return 0


def _operands(words: Sequence[str]) -> dict[str, str]:
    operands = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or name not in _OPERANDS:
            raise Failure(f"unrecognized operand {name}")
        operands[name] = value
    return operands
