"""`qed resize`: a disk of another size."""

from qed import Error
from qed._qed import parse_size
from qed.cli import _command as command_line
from qed.cli._command import Arguments, Command
from qed.cli._opening import find
from qed.cli._program import Failure, Program, UsageError

MODES = ("off", "metadata", "falloc", "full")


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
        "that is longer; it has its space at once where --preallocation says so. A shrinking disk gives its space back (qemu-img does not).",
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
    preallocation = arguments.preallocation or "off"
    if preallocation not in MODES:
        raise Failure(f"Invalid preallocation mode '{preallocation}'")
    sign, number = _signed(program, text)
    image = find(program, arguments, file, format_name=arguments.format)
    with image.open("r+", policy=arguments.policy) as disk:
        size = disk.size + sign * number if sign else number
        if size <= 0:
            raise Failure("New image size must be positive")
        if size < disk.size and not arguments.shrink:
            program.complain("Use the --shrink option to perform a shrink operation.")
            raise Failure(
                "warning: Shrinking an image will delete all data beyond the shrunken image's end. "
                "Before performing such an operation, make sure there is no important data there."
            )
        if image.format != "raw" and size % 512:
            raise Failure("Invalid image size specified")
        if preallocation != "off":
            _check_preallocation(program, preallocation, image.format, grows=size > disk.size)
        try:
            disk.resize(size, shrink=arguments.shrink, preallocation=preallocation)
        except Error as error:
            if program.is_qemu and error.kind == "invalid-argument":
                raise Failure("Invalid image size specified") from error
            raise
    if not arguments.quiet:
        print("Image resized.")
    return 0


def _check_preallocation(program: Program, mode: str, image_format: str, *, grows: bool) -> None:
    """Fail as QEMU's tool does, which preallocates no QED images, under its name."""
    if not grows:
        raise Failure("Preallocation can only be used for growing images")
    if program.is_qemu and image_format == "qed":
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
