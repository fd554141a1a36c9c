"""`qed info`: what an image says about itself. Opens no backing file."""

import json
import os
from pathlib import Path
from typing import Any

import qed
from qed.cli._output import human_size, printable
from qed.cli._parser import Namespace, Parser, UsageError, looking, require_qed


def add_arguments(parser: Parser) -> None:
    """Declare the options."""
    parser.epilog = (
        "Backing files are named, never opened. An image that another program left unchecked is\n"
        "reported as not cleanly shut down (qemu-img never reports that for QED)."
    )
    parser.add_format()
    parser.add_output()
    parser.add_force_share()
    parser.add_argument(
        "-b", "--backing-chain", action="store_true", help="refused: it would open backing files"
    )
    parser.add_file(help="the image")


def run(arguments: Namespace) -> int:
    """Print the facts."""
    require_qed(arguments)
    if arguments.backing_chain:
        raise UsageError("info: --backing-chain would open backing files, which info never does")
    with looking(arguments) as options:
        info = qed.info(arguments.file, **options)
    if arguments.output == "json":
        print(json.dumps(_document(arguments.file, info), indent=4))
    else:
        print("\n".join(_lines(arguments.file, info)))
    return 0


def _lines(file: str, info: qed.Info) -> list[str]:
    lines = [
        f"image: {printable(file)}",
        "file format: qed",
        f"virtual size: {_exact(info.virtual_size)}",
        f"disk size: {human_size(info.disk_usage)}",
        f"cluster_size: {info.cluster_size}",
    ]
    if info.needs_check:
        lines.append("cleanly shut down: no")
    if info.backing is not None:
        full = _beside(file, info.backing)
        path = f" (actual path: {printable(full)})" if full != info.backing else ""
        lines.append(f"backing file: {printable(info.backing)}{path}")
    if info.backing_format is not None:
        lines.append(f"backing file format: {info.backing_format}")
    lines += [
        "Child node '/file':",
        f"    filename: {printable(file)}",
        "    protocol type: file",
        f"    file length: {_exact(info.file_length)}",
        f"    disk size: {human_size(info.disk_usage)}",
    ]
    return lines


def _document(file: str, info: qed.Info) -> dict[str, Any]:
    child = {
        "children": [],
        "virtual-size": info.file_length,
        "filename": file,
        "format": "file",
        "actual-size": info.disk_usage,
        "format-specific": {"type": "file", "data": {}},
        "dirty-flag": False,
    }
    document: dict[str, Any] = {"children": [{"name": "file", "info": child}]}
    if info.backing_format is not None:
        document["backing-filename-format"] = info.backing_format
    document |= {
        "virtual-size": info.virtual_size,
        "filename": file,
        "cluster-size": info.cluster_size,
        "format": "qed",
        "actual-size": info.disk_usage,
    }
    if info.backing is not None:
        document["full-backing-filename"] = _beside(file, info.backing)
        document["backing-filename"] = info.backing
    document["dirty-flag"] = info.needs_check
    return document


def _exact(size: int) -> str:
    return f"{human_size(size)} ({size} bytes)"


def _beside(file: str, name: str) -> str:
    """Return the path that a backing name means: beside the image, dots kept as they are."""
    if Path(name).is_absolute():
        return name
    head, slash, _ = file.rpartition(os.sep)
    return head + slash + name
