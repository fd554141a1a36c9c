"""`qed check`: the structure of an image, without changing it."""

import qed
from qed.cli import _command as command_line
from qed.cli._command import Arguments, Command
from qed.cli._opening import Named, UnknownFormat, find
from qed.cli._output import json_text
from qed.cli._program import Failure, Program, UsageError

CLEAN, FAILED, CORRUPT, LEAKS, NOT_SUPPORTED = 0, 1, 2, 3, 63


def command(program: Program) -> Command:
    """Return the verb."""
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
            command_line.option("-r", "--repair", hidden=True, help="Not supported."),
            command_line.refused("--object", value=True),
            command_line.file_argument(),
        ],
        summary="Check the structure of an image, without changing it.",
        about="Exit status: 0 clean, 1 the check failed, 2 corruption, 3 leaked clusters only, 63 "
        "the format has nothing to check. Leaked clusters waste space and harm nothing. Each "
        "corruption found is named on standard error (the first hundred). No backing file is "
        "opened.",
        examples=["check disk.qed", "check -q disk.qed && echo sound"],
    )


def run(program: Program, arguments: Arguments) -> int:
    """Check and print the report; return what the status says about the image."""
    file = command_line.one_file(arguments)
    if arguments.repair not in (None, "leaks", "all"):
        wrong = f"'leaks' or 'all' not '{arguments.repair}'"
        raise UsageError(f"--repair (-r) expects {wrong}")
    if arguments.repair is not None:
        raise Failure("--repair is not supported: check changes nothing")
    mode = command_line.checked_cache(arguments.cache, "source cache")
    try:
        image = find(program, arguments, file, format_name=arguments.format, cache=mode)
    except UnknownFormat as unknown:
        raise Failure(unknown.text, status=NOT_SUPPORTED) from unknown
    if image.format == "raw":
        raise Failure("This image format does not support checks", status=NOT_SUPPORTED)
    if image.format != "qed":
        raise Failure(f"checking {image.format} images is not supported", status=NOT_SUPPORTED)
    with image.translated():
        report = qed.check(image.path, **image.options)
    if not arguments.quiet:
        if arguments.output == "json":
            print(json_text(_document(image, report)))
        else:
            print("\n".join(_lines(program, report)))
            for finding in report.findings:
                program.complain(f"{file}: {finding}")
    if report.first_check_error is not None:
        program.complain(f"{file}: {report.first_check_error}")
    return _status(report)


def _status(report: qed.CheckReport) -> int:
    if report.check_errors:
        return FAILED
    if report.corruptions:
        return CORRUPT
    return LEAKS if report.leaks else CLEAN


def _lines(program: Program, report: qed.CheckReport) -> list[str]:
    lines = []
    if report.corruptions:
        lines += [
            "",
            f"{report.corruptions} errors were found on the image.",
            "Data may be corrupted, or further writes to the image may corrupt it.",
        ]
    if report.leaks:
        lines += [
            "",
            f"{report.leaks} leaked clusters were found on the image.",
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
        "leaks": report.leaks,
        "leaks-fixed": report.leaks_fixed,
        "allocated-clusters": report.allocated_clusters,
        "filename": image.shown,
        "format": image.format,
        "fragmented-clusters": report.fragmented_clusters,
    }
    hidden = ["image-end-offset"] if image.program.is_qemu else []
    return {
        name: value
        for name, value in document.items()
        if (value or name == "check-errors") and name not in hidden
    }
