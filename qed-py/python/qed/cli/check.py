"""`qed check`: the structure of an image, without changing it."""

import json
import sys

import qed
from qed.cli._output import one_line
from qed.cli._parser import Namespace, Parser, looking, require_qed

CLEAN, FAILED, CORRUPT, LEAKS, NOT_SUPPORTED = 0, 1, 2, 3, 63


def add_arguments(parser: Parser) -> None:
    """Declare the options."""
    parser.epilog = (
        "exit status: 0 clean, 1 the check failed, 2 corruption, 3 leaked clusters only,\n"
        "63 the file is not a QED image. Leaked clusters waste space and harm nothing.\n"
        "Each corruption found is named on standard error (the first hundred)."
    )
    parser.add_quiet()
    parser.add_format()
    parser.add_output()
    parser.add_force_share()
    parser.add_file(help="the image; it is not changed")


def run(arguments: Namespace) -> int:
    """Check and print the report; return what the status says about the image."""
    require_qed(arguments)
    try:
        with looking(arguments) as options:
            report = qed.check(arguments.file, **options)
    except qed.NotQedError as error:
        if arguments.format is not None:
            raise
        _complain(str(error))
        return NOT_SUPPORTED
    if not arguments.quiet:
        if arguments.output == "json":
            print(json.dumps(_document(arguments.file, report), indent=4))
        else:
            print("\n".join(_lines(report)))
            for finding in report.findings:
                _complain(f"{arguments.file}: {finding}")
    if report.first_check_error is not None:
        _complain(f"{arguments.file}: {report.first_check_error}")
    return _status(report)


def _complain(text: str) -> None:
    print(f"qed: {one_line(text)}", file=sys.stderr)


def _status(report: qed.CheckReport) -> int:
    if report.check_errors:
        return FAILED
    if report.corruptions:
        return CORRUPT
    return LEAKS if report.leaks else CLEAN


def _lines(report: qed.CheckReport) -> list[str]:
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
    if report.image_end_offset:
        lines.append(f"Image end offset: {report.image_end_offset}")
    return lines


def _document(file: str, report: qed.CheckReport) -> dict[str, int | str]:
    """Return the JSON object: as in QEMU's, counts of nothing are left out but for the errors."""
    document: dict[str, int | str] = {"check-errors": report.check_errors}
    counts = {
        "total-clusters": report.total_clusters,
        "allocated-clusters": report.allocated_clusters,
        "fragmented-clusters": report.fragmented_clusters,
        "image-end-offset": report.image_end_offset,
        "corruptions": report.corruptions,
        "leaks": report.leaks,
        "corruptions-fixed": report.corruptions_fixed,
        "leaks-fixed": report.leaks_fixed,
    }
    document |= {name: count for name, count in counts.items() if count}
    return document | {"filename": file, "format": "qed"}
