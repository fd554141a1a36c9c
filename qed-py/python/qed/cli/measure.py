"""`qed measure`: how long the file of a converted disk will be."""

import qed
from qed.cli import _command as command_line
from qed.cli import _creation
from qed.cli._command import Arguments, Command
from qed.cli._opening import find
from qed.cli._output import json_text
from qed.cli._program import Failure, Format, Program
from qed.cli._sizes import size


def command(program: Program) -> Command:
    """Return the verb."""
    return Command(
        program,
        "measure",
        run,
        [
            command_line.format_option(),
            command_line.image_options(),
            command_line.new_format(program, "-O", "--target-format", what="the new image"),
            command_line.new_options("-o", "--target-options"),
            command_line.option("-s", "--size", metavar="SIZE", help="Measure a new, empty disk."),
            command_line.output(),
            command_line.force_share(),
            command_line.policy(),
            command_line.refused("-l", "--snapshot", value=True),
            command_line.refused("--object", value=True),
            command_line.file_argument(shown="[FILE]"),
        ],
        summary="Tell how long the file of a converted disk will be.",
        about="Two sizes: the one that a copy of FILE needs, and that of an image whose every "
        "cluster has been written. What FILE calls data counts, also where it is zeroes, which "
        "convert leaves out. Of -o, cluster_size and table_size count; size, preallocation and "
        "backing files are refused. QED images are measured, too (qemu-img refuses them).",
        examples=["measure -O qcow2 disk.qed", "measure -O qed --size 10G"],
    )


def run(program: Program, arguments: Arguments) -> int:
    """Measure and print."""
    asked = arguments.target_format
    target = command_line.known_format(asked)
    if target and _creation.wants_help(arguments.target_options):
        print(_creation.options_help(program, target))
        return 0
    _check_together(arguments)
    number = None
    if arguments.size is not None:
        number = size(program, arguments.size, "image size")
    if target is None:
        raise Failure(f"Unknown file format '{asked}'")
    shape = _shape(program, target, arguments.target_options)
    if number is not None:
        measured = qed.measure(number, format=target, **shape)
    else:
        image = find(program, arguments, arguments.file[0], format_name=arguments.format)
        with image.open(policy=arguments.policy) as disk:
            measured = qed.measure(disk, format=target, **shape)
    if arguments.output == "json":
        told = {"required": measured.required, "fully-allocated": measured.fully_allocated}
        print(json_text(told))
    else:
        print(f"required size: {measured.required}")
        print(f"fully allocated size: {measured.fully_allocated}")
    return 0


def _check_together(arguments: Arguments) -> None:
    """Refuse options that make no sense beside each other."""
    if len(arguments.file) > 1:
        raise Failure("At most one filename argument is allowed.")
    if not arguments.file and (arguments.image_opts or arguments.format is not None):
        raise Failure("--image-opts, -f, and -l require a filename argument.")
    if not arguments.file and arguments.size is None:
        raise Failure("Either --size N or one filename must be specified.")
    if arguments.file and arguments.size is not None:
        raise Failure("--size N cannot be used together with a filename.")


def _shape(program: Program, target: Format, words: list[str]) -> dict[str, int]:
    """Return the sizes that `-o` gives the new image."""
    creation = _creation.read(program, target, words, "")
    given = creation.options or {}
    named = {"size": creation.size, "backing_file": creation.backing}
    refused = [name for name, value in named.items() if value is not None]
    refused += ["backing_fmt"] if creation.backing_format is not None else []
    refused += [name for name in given if name not in ("cluster_size", "table_size")]
    if refused:
        raise Failure(f"-o {refused[0]} is not supported by measure")
    return {name: int(value) for name, value in given.items()}
