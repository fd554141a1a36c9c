"""`qed convert`: a disk, or several one behind the other, copied into an image of any format."""

import sys
from contextlib import ExitStack
from typing import Any

import qed
from qed.cli import _command as command_line
from qed.cli import _creation, _progress
from qed.cli._command import Arguments, Command
from qed.cli._opening import Named, described, find, which_format
from qed.cli._program import Failure, Format, Program
from qed.cli._sizes import size
from qed.cli._target import Existing, New, Target

MAX_WORKERS = 16
MAX_SPARSE = 16 << 20

STREAM = "-"
"""Standard input or output; to QEMU's tool a file of that name."""


def command(program: Program) -> Command:
    """Return the verb."""
    return Command(
        program,
        "convert",
        run,
        [*_options(program), *_refused()],
        summary="Copy a disk, or several one behind the other, into an image of any format.",
        about=_about(program),
        examples=[
            "convert -p -f raw -O qed disk.raw disk.qed",
            "convert -O qcow2 overlay.qed flat.qcow2",
            "convert -n -W -m 16 -f raw -O qed disk.raw existing.qed",
            *([] if program.is_qemu else ["convert -O raw disk.qed - | zstd > disk.raw.zst"]),
        ],
    )


def _about(program: Program) -> str:
    about = (
        "TARGET is created, or replaced when the copy is complete; where anything fails nothing is "
        "left of it. With -n it must be there and large enough."
    )
    if program.is_qemu:
        return about
    return (
        f"{about} '-' is standard input, which holds the bytes of a disk (-f raw), or standard "
        "output, to which a raw or a QED image is written front to back."
    )


def _options(program: Program) -> list[Any]:
    option, flag = command_line.option, command_line.flag
    base = ["-B", "--backing-file"] if not program.is_qemu else ["-B", "--backing"]
    return [
        command_line.quiet(),
        command_line.progress(),
        command_line.format_option("-f", "--source-format", what="the sources"),
        command_line.new_format(program, "-O", "--target-format", what="TARGET", preset=False),
        command_line.new_options("-o", "--target-options"),
        flag("-n", "--no-create", help="TARGET is there: write into it."),
        flag("--target-is-zero", help="TARGET, which is there, reads as zeroes."),
        option(*base, "base", metavar="BASE", help="The new image's backing file."),
        command_line.format_option("-F", "--backing-format", what="BASE"),
        flag(
            "--image-opts",
            "--source-image-opts",
            "image_opts",
            help="FILE is driver=FMT,file.filename=NAME,...",
        ),
        flag("--target-image-opts", help="TARGET is driver=FMT,file.filename=NAME,..."),
        command_line.cache("-T", "--source-cache", what="the sources"),
        command_line.cache("-t", "--target-cache", what="TARGET"),
        option(
            "-S",
            "--sparse-size",
            metavar="SIZE",
            default="4k",
            help="So many zeroes in a row take no space; 0 writes every byte.",
        ),
        option("-m", "--parallel", metavar="N", default="8", help="How many requests run at once."),
        flag("-W", "--oob-writes", help="Write in whatever order is fastest."),
        flag("--salvage", help="What cannot be read becomes zeroes, and is no failure."),
        command_line.force_share(),
        command_line.policy(only_long=program.is_qemu),
        command_line.file_argument(shown="FILE... TARGET"),
    ]


def _refused() -> list[Any]:
    refused = command_line.refused
    return [
        refused("-c", "--compress"),
        refused("-l", "--source-snapshot", value=True),
        refused("-r", "--rate", value=True),
        refused("-C", "--copy-range-offloading"),
        refused("--bitmaps"),
        refused("--skip-broken-bitmaps"),
        refused("--object", value=True),
    ]


def run(program: Program, arguments: Arguments) -> int:
    """Copy."""
    asked = arguments.target_format or program.create_format
    target_format = command_line.known_format(asked)
    if target_format and _creation.wants_help(arguments.target_options):
        print(_creation.options_help(program, target_format))
        return 0
    if len(arguments.file) < 2:
        raise Failure("Must specify image file name")
    *names, target = arguments.file
    _check_together(arguments, names)
    how = _how(program, arguments)
    with ExitStack() as opened:
        source = _source(program, arguments, names, opened)
        if arguments.no_create:
            goal: Target = Existing(_existing(program, arguments, target), arguments.target_is_zero)
        elif target_format is None:
            raise Failure(f"Unknown file format '{asked}'")
        else:
            goal = _new(program, arguments, target, target_format)
        wanted = arguments.progress and not arguments.quiet
        progress = opened.enter_context(
            _progress.shown(wanted, stream=goal.messages, ends_full=True)
        )
        goal.copy(source, how | {"progress": progress})
    return 0


def _check_together(arguments: Arguments, names: list[str]) -> None:
    """Refuse options that make no sense beside each other."""
    if not arguments.no_create:
        for name in ("target-is-zero", "target-image-opts"):
            if getattr(arguments, name.replace("-", "_")):
                raise Failure(f"--{name} requires use of -n flag")
    elif arguments.target_options:
        raise Failure("-o has no effect when skipping image creation")
    if arguments.target_image_opts and arguments.target_format:
        raise Failure("--target-image-opts and --target-format are mutually exclusive")
    if arguments.base is not None and len(names) > 1:
        raise Failure(
            "Having a backing file for the target makes no sense when concatenating multiple "
            "input images"
        )
    if arguments.backing_format is not None and arguments.base is None:
        raise Failure("-F has no effect without -B")


def _how(program: Program, arguments: Arguments) -> dict[str, Any]:
    """Return how the library is to copy."""
    sparse = size(program, arguments.sparse_size, "buffer size for sparse output")
    if sparse % 512 or sparse > MAX_SPARSE:
        raise Failure(
            "Invalid buffer size for sparse output specified. Valid sizes are multiples of 512 up "
            f"to {MAX_SPARSE}. Select 0 to disable sparse detection (fully allocates output)."
        )
    workers = size(program, arguments.parallel, "number of coroutines", least=1, most=MAX_WORKERS)
    return {
        "workers": workers,
        "in_order": not arguments.oob_writes,
        "sparse_size": sparse,
        "salvage": arguments.salvage,
    }


def _source(
    program: Program, arguments: Arguments, names: list[str], opened: ExitStack
) -> list[qed.Image] | int:
    """Open what is copied."""
    mode = command_line.checked_cache(arguments.source_cache, "source cache")
    given = arguments.source_format
    if STREAM in names and not program.is_qemu:
        if len(names) > 1:
            raise Failure("standard input is copied alone")
        if given != "raw":
            raise Failure("standard input holds the bytes of a disk: say -f raw")
        return sys.stdin.fileno()
    images = [find(program, arguments, name, format_name=given, cache=mode) for name in names]
    return [opened.enter_context(image.open(policy=arguments.policy)) for image in images]


def _existing(program: Program, arguments: Arguments, target: str) -> Named:
    """Return the image that is written into."""
    mode = command_line.checked_cache(arguments.target_cache, "cache")
    given = arguments.target_format
    if arguments.target_image_opts:
        return described(program, target, {"cache": mode})
    if program.is_qemu:
        # QEMU's tool does not look at what is there.
        given = given or program.create_format
    return Named(program, target, target, which_format(program, target, given), {"cache": mode})


def _new(program: Program, arguments: Arguments, target: str, target_format: Format) -> New:
    """Return the image that is made."""
    creation = _creation.read(program, target_format, arguments.target_options, "")
    if arguments.base is not None:
        creation.backing, creation.backing_format = arguments.base, arguments.backing_format
    if creation.backing is not None:
        if "backing_file" not in _creation.OPTIONS[target_format]:
            raise Failure(f"Backing file not supported for file format '{target_format}'")
        if creation.backing_format is None and program.is_qemu:
            raise Failure("Use of backing file requires explicit backing format")
    mode = command_line.checked_cache(arguments.target_cache, "cache")
    path = None if target == STREAM and not program.is_qemu else target
    return New(program, creation, path, mode, doing=f"converting {target_format}")
