"""`qed resize`: a disk of another size."""

from typing import Literal, TypeAlias

from qed import Error
from qed._qed import parse_size
from qed.cli import _command as command_line
from qed.cli._command import Arguments, Command
from qed.cli._opening import find
from qed.cli._program import Failure, Program, UsageError

Mode: TypeAlias = Literal["off", "metadata", "falloc", "full"]

MODES: tuple[Mode, ...] = ("off", "metadata", "falloc", "full")


def command(program: Program) -> Command:
    """Return the verb."""
    return Command(
        program,
        "resize",
        run,
        [
            command_line.quiet(),
            command_line.format_option(),
            command_line.image_options(),
            command_line.flag(
                "--shrink", help="Allow a smaller size: what lies beyond the new end is lost."
            ),
            command_line.policy(),
            command_line.option(
                "--preallocation",
                metavar="MODE",
                help="Space for what a disk grows by: off, metadata, falloc or full.",
            ),
            command_line.refused("--object", value=True),
            command_line.file_argument(shown="FILE [+-]SIZE"),
        ],
        summary="Change the size of a disk.",
        about="A size with + or - in front is added to the disk's or taken from it; put -- before "
        "FILE where it begins with -. What is new reads as zeroes, also over a backing file "
        "that is longer; it has its space at once where --preallocation says so. A shrinking "
        "disk gives its space back (qemu-img does not).",
        examples=[
            "resize disk.qed 20G",
            "resize --preallocation=falloc disk.qed +512M",
            "resize --shrink disk.qed 1G",
        ],
    )


def run(program: Program, arguments: Arguments) -> int:
    """Resize, and say so."""
    if len(arguments.file) < 2:
        raise UsageError("Expecting image file name and size")
    if len(arguments.file) > 2:
        raise UsageError("Extra argument(s) in command line")
    file, text = arguments.file
    named = arguments.preallocation or "off"
    preallocation = next((mode for mode in MODES if mode == named), None)
    if preallocation is None:
        raise Failure(f"Invalid preallocation mode '{named}'")
    sign, number = _signed(program, text)
    image = find(program, arguments, file, format_name=arguments.format)
    with image.open("r+", policy=arguments.policy) as disk:
        size = disk.size + sign * number if sign else number
        _check(program, arguments, image.format, preallocation, (disk.size, size))
        try:
            disk.resize(size, shrink=arguments.shrink, preallocation=preallocation)
        except Error as error:
            if program.is_qemu and error.kind == "invalid-argument":
                raise Failure("Invalid image size specified") from error
            raise
    if not arguments.quiet:
        print("Image resized.")
    return 0


def _check(
    program: Program,
    arguments: Arguments,
    image_format: str,
    mode: Mode,
    sizes: tuple[int, int],
) -> None:
    """Fail where a disk cannot go from one size to the other; in QEMU's words, and its order."""
    old, size = sizes
    if size <= 0:
        raise Failure("New image size must be positive")
    if size <= old and mode != "off":
        raise Failure("Preallocation can only be used for growing images")
    if size < old and not arguments.shrink:
        program.complain("Use the --shrink option to perform a shrink operation.")
        raise Failure(
            "warning: Shrinking an image will delete all data beyond the shrunken image's end. "
            "Before performing such an operation, make sure there is no important data there."
        )
    if image_format != "raw" and size % 512:
        raise Failure("Invalid image size specified")
    # QEMU's tool preallocates no QED images.
    if program.is_qemu and image_format == "qed" and mode != "off":
        raise Failure(f"Unsupported preallocation mode '{mode}'")
    if program.is_qemu and image_format == "raw" and mode == "metadata":
        raise Failure(f"Unsupported preallocation mode: {mode}")


def _signed(program: Program, text: str) -> tuple[int, int]:
    """Return 1, -1 or 0, and the bytes."""
    sign = {"+": 1, "-": -1}.get(text[:1], 0)
    word = text[1:] if sign else text
    try:
        return sign, parse_size(word)
    except Error as error:
        if program.is_qemu:
            raise Failure(
                "Parameter 'size' expects a non-negative number below 2^64",
                "Optional suffix k, M, G, T, P or E means kilo-, mega-, giga-, tera-, peta-",
                "and exabytes, respectively.",
            ) from error
        raise
