"""`qed info`: what an image says about itself. Opens a backing file only for `--backing-chain`."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import qed
from qed.cli import _command as command_line
from qed.cli import _words
from qed.cli._command import Arguments, Command
from qed.cli._opening import Named, beside, find, layer_names
from qed.cli._output import human_size, json_text, printable
from qed.cli._program import Failure, Program


def command(program: Program) -> Command:
    """Return the verb."""
    return Command(
        program,
        "info",
        run,
        [
            command_line.format_option(),
            command_line.image_options(),
            command_line.output(),
            command_line.force_share(),
            command_line.flag("-b", "--backing-chain", help="Show the backing files as well."),
            *_own_options(program),
            command_line.policy(),
            command_line.refused("--object", value=True),
            command_line.file_argument(),
        ],
        summary="Show what an image says about itself.",
        about="Backing files are named, and opened only for --backing-chain. An image that another "
        "program left unchecked is reported as not cleanly shut down (qemu-img never reports that "
        "for QED).",
        examples=["info disk.qed", "info --output=json disk.qed", "info --backing-chain top.qed"],
    )


def _own_options(program: Program) -> list[Any]:
    """Return what qemu-img has not."""
    if program.is_qemu:
        return []
    text = "Show what this machine offers for queues: io_uring, or why not."
    return [command_line.flag("--machine", help=text)]


def run(program: Program, arguments: Arguments) -> int:
    """Print the facts."""
    file = command_line.one_file(arguments)
    image = find(program, arguments, file, format_name=arguments.format)
    chain = list(_chain(image, arguments)) if arguments.backing_chain else [image]
    facts = [(layer.path, _facts(layer)) for layer in chain]
    with_machine = getattr(arguments, "machine", False)
    if arguments.output == "json":
        documents = [_document(path, info) for path, info in facts]
        if with_machine:
            documents[0]["queues"] = {"aio": _engine(), "refusal": qed.aio_refusal()}
        print(json_text(documents if arguments.backing_chain else documents[0]))
    else:
        print("\n\n".join("\n".join(_lines(path, info)) for path, info in facts))
        if with_machine:
            refusal = qed.aio_refusal()
            print(f"queues: {_engine()}{'' if refusal is None else f' (io_uring: {refusal})'}")
    return 0


def _engine() -> str:
    """Return the engine that queues get on this machine."""
    return "io_uring" if qed.aio_refusal() is None else "threads"


def _chain(image: Named, arguments: Arguments) -> Iterator[Named]:
    """Give the image and its backing files, from the top down, as the policy allows."""
    try:
        disk = image.open(policy=arguments.policy)
    except Failure as failure:
        # QEMU's tool opens one file after the other.
        raise _words.apart(failure) from failure
    with disk:
        layers = list(zip(layer_names(image, disk), disk.layers(), strict=True))
    yield image
    for path, layer in layers[1:]:
        yield replace(image, shown=path, path=path, format=layer.format)


def _facts(image: Named) -> qed.Info:
    with image.inspect() as layer:
        info = layer.info()
    if not image.program.is_qemu:
        return info
    # QEMU's tools count a file's length in sectors.
    return replace(info, file_length=info.file_length + -info.file_length % 512)


def _lines(file: str, info: qed.Info) -> list[str]:
    lines = [
        f"image: {printable(file)}",
        f"file format: {info.format}",
        f"virtual size: {_exact(info.virtual_size)}",
        f"disk size: {human_size(info.disk_usage)}",
    ]
    if info.cluster_size is not None:
        lines.append(f"cluster_size: {info.cluster_size}")
    if info.needs_check:
        lines.append("cleanly shut down: no")
    if info.backing is not None:
        full = beside(file, info.backing)
        path = f" (actual path: {printable(full)})" if full != info.backing else ""
        lines.append(f"backing file: {printable(info.backing)}{path}")
    if info.backing_format is not None:
        lines.append(f"backing file format: {info.backing_format}")
    if info.qcow2 is not None:
        lines.append("Format specific information:")
        for name, value in _specific(info.qcow2).items():
            shown = str(value).lower() if isinstance(value, bool) else value
            lines.append(f"    {name.replace('-', ' ')}: {shown}")
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
    document |= {"virtual-size": info.virtual_size, "filename": file}
    if info.cluster_size is not None:
        document["cluster-size"] = info.cluster_size
    document |= {"format": info.format, "actual-size": info.disk_usage}
    if info.qcow2 is not None:
        document["format-specific"] = {"type": "qcow2", "data": _specific(info.qcow2)}
    if info.backing is not None:
        document["full-backing-filename"] = beside(file, info.backing)
        document["backing-filename"] = info.backing
    document["dirty-flag"] = bool(info.needs_check)
    return document


def _specific(info: qed.Qcow2Info) -> dict[str, Any]:
    """Return what a qcow2 image has of its own; its first version has less of it."""
    later = info.compat != "0.10"
    return {
        "compat": info.compat,
        "compression-type": info.compression_type,
        **({"lazy-refcounts": info.lazy_refcounts} if later else {}),
        "refcount-bits": info.refcount_bits,
        **({"corrupt": info.corrupt, "extended-l2": info.extended_l2} if later else {}),
    }


def _exact(size: int) -> str:
    return f"{human_size(size)} ({size} bytes)"
