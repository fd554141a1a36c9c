"""`qed check`: the structure of an image, and its repair."""

import os
from typing import Any

import click

import qed
from qed.cli import _command as command_line
from qed.cli import _progress, _sizes
from qed.cli._command import Arguments, Command
from qed.cli._opening import Named, UnknownFormat, find
from qed.cli._output import json_text
from qed.cli._program import Failure, Program, UsageError

CLEAN, FAILED, CORRUPT, LEAKS, NOT_SUPPORTED = 0, 1, 2, 3, 63


def command(program: Program) -> Command:
    """Return the verb."""
    ours = [] if program.is_qemu else repair_options("--undo", "Keep in UNDO what -r overwrites.")
    return Command(
        program,
        "check",
        run,
        [
            command_line.quiet(),
            command_line.format_option(),
            command_line.image_options(),
            command_line.output(),
            command_line.force_share(),
            command_line.cache("-T", "--cache", what="FILE"),
            command_line.option(
                "-r",
                "--repair",
                metavar="WHAT",
                help="Give back what is leaked (leaks), or mend what is corrupt as well (all).",
            ),
            *ours,
            command_line.refused("--object", value=True),
            command_line.file_argument(),
        ],
        summary="Check the structure of an image, and repair it.",
        about="Exit status: 0 clean, 1 the check failed, 2 corruption, 3 leaked clusters only, 63 "
        "the format has nothing to check. Leaked clusters waste space and harm nothing. Each "
        "corruption found is named on standard error (the first hundred). A repair copies what is "
        "referenced twice, which QEMU cannot, and clears entries that name nothing; it may be "
        "interrupted at any moment and made again. With leaks nothing is mended that is corrupt "
        "(under the name qemu-img it is, as there). No backing file is opened.",
        examples=["check disk.qed", "check -q disk.qed && echo sound", "check -r all disk.qed"],
    )


def repair_options(undo: str, help_undo: str) -> list[click.Option]:
    """Return the options of a repair that qemu-img does not have."""
    return [
        command_line.progress(),
        command_line.flag("--dry-run", help="Try the repair in memory; change nothing."),
        command_line.option(undo, "undo", metavar="UNDO", help=help_undo),
        command_line.option(
            "--max-growth", metavar="SIZE", help="Let copies take at most SIZE of new space."
        ),
    ]


def run(program: Program, arguments: Arguments) -> int:
    """Check and print the report; return what the status says about the image."""
    if arguments.repair not in (None, "leaks", "all"):
        wrong = f"'leaks' or 'all' not '{arguments.repair}'"
        raise UsageError(f"--repair (-r) expects {wrong}")
    image = find_qed(program, arguments, "checking")
    repair = arguments.repair or "off"
    if repair == "leaks" and program.is_qemu:
        # QEMU's driver for QED knows one kind of repair: it mends what it can by either word.
        repair = "all"
    return told(image, arguments, checked(image, arguments, repair))


def find_qed(program: Program, arguments: Arguments, doing: str) -> Named:
    """Return the image, where its format has something to check."""
    file = command_line.one_file(arguments)
    mode = command_line.checked_cache(arguments.cache, "source cache")
    try:
        image = find(program, arguments, file, format_name=arguments.format, cache=mode)
    except UnknownFormat as unknown:
        raise Failure(unknown.text, status=NOT_SUPPORTED) from unknown
    if image.format == "raw":
        raise Failure("This image format does not support checks", status=NOT_SUPPORTED)
    if image.format != "qed":
        raise Failure(f"{doing} {image.format} images is not supported", status=NOT_SUPPORTED)
    return image


def checked(image: Named, arguments: Arguments, repair: str) -> qed.CheckReport:
    """Check, and repair as far as `repair` says."""
    options: dict[str, Any] = dict(image.options)
    if repair != "off":
        options["repair"] = repair
    if getattr(arguments, "undo", None) is not None:
        options["undo"] = os.fsencode(arguments.undo)
    if getattr(arguments, "dry_run", False):
        options["dry_run"] = True
    if getattr(arguments, "max_growth", None) is not None:
        options["max_growth"] = _sizes.size(image.program, arguments.max_growth, "max growth")
    wanted = getattr(arguments, "progress", False) and not arguments.quiet
    with image.translated(writing=repair != "off"), _progress.shown(wanted) as progress:
        return qed.check(image.path, progress=progress, **options)


def told(image: Named, arguments: Arguments, report: qed.CheckReport) -> int:
    """Print the report; return the exit status."""
    program = image.program
    if not arguments.quiet:
        if arguments.output == "json":
            print(json_text(_document(image, report)))
        else:
            print("\n".join(_lines(program, report)))
            # QEMU counts them.
            for finding in () if program.is_qemu else report.findings:
                program.complain(f"{image.shown}: {finding}")
    if report.first_check_error is not None:
        program.complain(f"{image.shown}: {report.first_check_error}")
    return _status(program, report)


def _leaks(program: Program, report: qed.CheckReport) -> int:
    """Return the leaked clusters; to QEMU those are any that hold nothing, also holes."""
    return report.leaks if program.is_qemu else report.wasted_clusters


def _status(program: Program, report: qed.CheckReport) -> int:
    if report.check_errors:
        return FAILED
    if report.corruptions:
        return CORRUPT
    return LEAKS if _leaks(program, report) else CLEAN


def _lines(program: Program, report: qed.CheckReport) -> list[str]:
    lines = []
    if report.corruptions_fixed or report.leaks_fixed:
        print(
            "The following inconsistencies were found and repaired:\n\n"
            f"    {report.leaks_fixed} leaked clusters\n"
            f"    {report.corruptions_fixed} corruptions\n\n"
            "Double checking the fixed image now..."
        )
    leaks = _leaks(program, report)
    if report.corruptions:
        lines += [
            "",
            f"{report.corruptions} errors were found on the image.",
            "Data may be corrupted, or further writes to the image may corrupt it.",
        ]
    if leaks:
        lines += [
            "",
            f"{leaks} leaked clusters were found on the image.",
            "This means waste of disk space, but no harm to data.",
        ]
    if report.check_errors:
        lines += ["", f"{report.check_errors} internal errors have occurred during the check."]
    if not lines:
        lines.append("No errors were found on the image.")
    if report.total_clusters and report.allocated_clusters:
        allocated, total = report.allocated_clusters, report.total_clusters
        lines.append(
            f"{allocated}/{total} = {allocated * 100 / total:.2f}% allocated, "
            f"{report.fragmented_clusters * 100 / allocated:.2f}% fragmented, "
            "0.00% compressed clusters"
        )
    # QEMU does not say where a QED image's last cluster ends.
    if report.image_end_offset and not program.is_qemu:
        lines.append(f"Image end offset: {report.image_end_offset}")
    return lines


def _document(image: Named, report: qed.CheckReport) -> dict[str, int | str]:
    """Return the JSON object, in QEMU's order; counts of nothing are left out but for errors."""
    document: dict[str, int | str] = {
        "image-end-offset": report.image_end_offset,
        "total-clusters": report.total_clusters,
        "corruptions": report.corruptions,
        "corruptions-fixed": report.corruptions_fixed,
        "check-errors": report.check_errors,
        "leaks": _leaks(image.program, report),
        "leaks-fixed": report.leaks_fixed,
        "allocated-clusters": report.allocated_clusters,
        "filename": image.shown,
        "format": image.format,
        "fragmented-clusters": report.fragmented_clusters,
        "free-clusters": report.free_clusters,
    }
    hidden = ["image-end-offset", "free-clusters"] if image.program.is_qemu else []
    return {
        name: value
        for name, value in document.items()
        if (value or name == "check-errors") and name not in hidden
    }
