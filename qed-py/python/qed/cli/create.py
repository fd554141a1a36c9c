"""`qed create`: a new image; a file that exists is overwritten, as qemu-img does."""

import qed
from qed.cli import _command as command_line
from qed.cli import _creation, _words
from qed.cli._command import Arguments, Command
from qed.cli._creation import Creation
from qed.cli._opening import beside
from qed.cli._program import Failure, Program, UsageError
from qed.cli._sizes import size


def command(program: Program) -> Command:
    """Return the verb."""
    return Command(
        program,
        "create",
        run,
        [
            command_line.quiet(),
            command_line.new_format(program, "-f", "--format", what="the new image"),
            command_line.option(
                "-b", "--backing", metavar="BASE", help="The new image's backing file."
            ),
            command_line.format_option("-F", "--backing-format", what="BASE"),
            command_line.flag(
                "-u", "--backing-unsafe", help="Do not look at BASE; FMT of it and SIZE are wanted."
            ),
            command_line.new_options(),
            command_line.policy(only_long=True),
            command_line.refused("--object", value=True),
            command_line.file_argument("file", shown="FILE [SIZE]"),
        ],
        summary="Create an image.",
        about="SIZE is that of the disk, by default BASE's. A relative BASE is stored as given and "
        "means a file beside the image. A file that exists is overwritten. A failure leaves "
        "nothing behind.",
        examples=[
            "create -f qed disk.qed 10G",
            "create -f qed -b base.raw -F raw overlay.qed",
            "create -f qed -o cluster_size=128k,table_size=8 big.qed 50T",
        ],
    )


def run(program: Program, arguments: Arguments) -> int:
    """Create the image and say what was created."""
    known = arguments.format in command_line.FORMATS
    if known and _creation.wants_help(arguments.options):
        print(_creation.options_help(program, arguments.format))
        return 0
    if not arguments.file:
        raise UsageError("Expecting image file name")
    file, *sizes = arguments.file
    if len(sizes) > 1:
        raise UsageError(f"Unexpected argument: {sizes[1]}")
    where = f"{file}: "
    if not known:
        raise Failure(f"{where}Unknown file format '{arguments.format}'")
    creation = _wanted(program, arguments, where)
    if sizes:
        if creation.size is not None:
            raise Failure(f"{where}The image size must be specified only once")
        creation.size = size(program, sizes[0], "image size")
    if creation.backing is not None:
        _look_at_base(program, file, creation, arguments, where)
    _create(program, file, creation, quiet=arguments.quiet)
    return 0


def _create(program: Program, file: str, creation: Creation, *, quiet: bool) -> None:
    if creation.size is None:
        raise Failure(f"{file}: Image creation needs a size parameter")
    said = _creation.summary(file, creation, creation.size)
    # QEMU's tools announce what they are about to do, also where they then cannot.
    if program.is_qemu and not quiet:
        print(said, flush=True)
    if program.is_qemu and creation.backing is None:
        # The format of a backing file that there is none of means nothing to QEMU's tools.
        creation.backing_format = None
    try:
        qed.create(file, creation.size, backing=creation.backing, **creation.keywords())
    except qed.Error as error:
        raise _words.creating(program, error, file) from error
    if not program.is_qemu and not quiet:
        print(said)


def _wanted(program: Program, arguments: Arguments, where: str) -> Creation:
    """Return what the options ask for; `-b` and `-F` go before their names in `-o`."""
    creation = _creation.read(program, arguments.format, arguments.options, where)
    for name in ("backing", "backing_format"):
        value = getattr(arguments, name)
        if value is None:
            continue
        if getattr(creation, name) is not None and not program.is_qemu:
            raise Failure(f"{where}{name} is given twice")
        setattr(creation, name, value)
    if creation.backing == "":
        raise Failure(f"{where}Expected backing file name, got empty string")
    if creation.backing is not None and "backing_file" not in _creation.OPTIONS[creation.format]:
        raise Failure(f"{where}Backing file not supported for file format '{creation.format}'")
    return creation


def _look_at_base(
    program: Program, file: str, creation: Creation, arguments: Arguments, where: str
) -> None:
    """Make sure that the backing file is there; without a size the image is as large."""
    base = creation.backing or ""
    path, given = beside(file, base), creation.backing_format
    if given is not None and given not in command_line.FORMATS:
        raise Failure(f"{where}Unknown driver '{given}'", "Could not open backing image.")
    if arguments.backing_unsafe:
        if given is None:
            raise Failure(f"{where}Backing file specified without backing format")
        return
    try:
        found = command_line.known_format(given) or qed.probe(path) or program.unmarked_format
        if found is None:
            raise Failure(f"{where}backing file {base} has no format's mark; -F says what it is")
        policy = program.backing_policy(arguments.policy)
        with qed.open(path, format=found, backing_policy=policy) as disk:
            creation.size = disk.size if creation.size is None else creation.size
    except qed.Error as error:
        raise _words.creating_over(
            program, error, where, path=path, format_name=given or ""
        ) from error
    if given is not None:
        return
    if program.is_qemu:
        detected = f"Detected format of {found}."
        raise Failure(f"{where}Backing file specified without backing format", detected)
    creation.backing_format = found
