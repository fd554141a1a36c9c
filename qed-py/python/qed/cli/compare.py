"""`qed compare`: whether two disks have the same contents."""

import qed
from qed.cli import _command as command_line
from qed.cli import _progress
from qed.cli._command import Arguments, Command
from qed.cli._opening import find
from qed.cli._program import Program, UsageError

IDENTICAL, DIFFERENT, FAILED = 0, 1, 2


def command(program: Program) -> Command:
    """Return the verb."""
    return Command(
        program,
        "compare",
        run,
        [
            command_line.quiet(),
            command_line.progress(),
            command_line.format_option("-f", "--a-format", what="FILE1"),
            command_line.format_option("-F", "--b-format", what="FILE2"),
            command_line.image_options(),
            command_line.flag(
                "-s", "--strict", help="The sizes and what is allocated must agree as well."
            ),
            command_line.cache("-T", "--cache", what="both disks"),
            command_line.force_share(),
            command_line.policy(),
            command_line.refused("--object", value=True),
            command_line.file_argument(shown="FILE1 FILE2"),
        ],
        summary="Compare the contents of two disks.",
        about="The shorter one counts as padded with zeroes. Exit status: 0 the same, 1 different, "
        "2 they could not be compared.",
        examples=["compare disk.qed disk.qcow2", "compare -f raw -F qed disk.raw disk.qed"],
        failure_status=FAILED,
    )


def run(program: Program, arguments: Arguments) -> int:
    """Compare and print the verdict."""
    if len(arguments.file) != 2:
        raise UsageError("Expecting two image file names")
    mode = command_line.checked_cache(arguments.cache, "source cache")
    a, b = (
        find(program, arguments, file, format_name=format_name, cache=mode)
        for file, format_name in zip(
            arguments.file, (arguments.a_format, arguments.b_format), strict=True
        )
    )

    with (
        a.open(policy=arguments.policy) as first,
        b.open(policy=arguments.policy) as second,
        _progress.shown(arguments.progress and not arguments.quiet, step=2) as progress,
    ):
        found = qed.compare(first, second, strict=arguments.strict, progress=progress)
        if progress is not None and found.identical:
            progress(1, 1)
        if not arguments.quiet:
            print("\n".join(_verdict(program, found, first.size, second.size)))
    return IDENTICAL if found.identical else DIFFERENT


def _verdict(program: Program, found: qed.Comparison, a: int, b: int) -> list[str]:
    """Return what is to be said of two disks of `a` and `b` bytes."""
    if found.reason == "size":
        return ["Strict mode: Image size mismatch!"]
    if found.reason == "allocation":
        return [f"Strict mode: Offset {found.offset} block status mismatch!"]
    offset = found.offset or 0
    # What differs before the shorter one ends is found before its end is.
    within = found.reason == "content" and offset < min(a, b)
    lines = [] if a == b or within else ["Warning: Image size mismatch!"]
    if found.reason is None:
        return [*lines, "Images are identical."]
    # QEMU's tool names the sector.
    shown = offset - offset % 512 if program.is_qemu else offset
    return [*lines, f"Content mismatch at offset {shown}!"]
