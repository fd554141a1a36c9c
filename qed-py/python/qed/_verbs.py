"""The verbs: what can be done with a path or a descriptor."""

from collections.abc import Iterable
from contextlib import ExitStack
from typing import Literal, Unpack

from qed import _qed
from qed._image import Image, Layer
from qed._options import (
    BackingSource,
    CheckOptions,
    CreateOptions,
    OpenOptions,
    Path,
    PathOrDescriptor,
    Progress,
    Size,
)
from qed._results import CheckReport, Comparison, Info, LintReport, Measured, SafetyReport


def create(
    path: PathOrDescriptor,
    size: Size | None = None,
    *,
    backing: Path | None = None,
    **options: Unpack[CreateOptions],
) -> None:
    """Create an image of `size` bytes (rounded up to 512); without a size, as large as `backing`.

    A file that exists is an error unless `overwrite` is given, and a failure leaves nothing
    behind. A relative `backing` is stored as given and means a file beside the image.
    """
    _qed.create(path, None if size is None else _number(size), backing, **options)


def open(
    path: PathOrDescriptor,
    mode: str = "r",
    *,
    backing_chain: Iterable[BackingSource] | None = None,
    backing_directory: PathOrDescriptor | None = None,
    **options: Unpack[OpenOptions],
) -> Image:
    """Open an image: `mode` is "r", or "r+" to write as well.

    `format` is the format of the image itself, "qed" unless it is given. It is never guessed: ask
    `probe` where an image comes from a friend.

    `backing_chain` names or gives the backing files, from the image's own downward; what the
    images say is then not looked at. `backing_directory` is where the names in the images lead,
    and nowhere else. Either stands in the place of `backing_policy`.
    """
    return Image(
        path,
        mode,
        backing_chain=backing_chain,
        backing_directory=backing_directory,
        **options,
    )


def inspect(path: PathOrDescriptor, **options: Unpack[OpenOptions]) -> Layer:
    """Open one image file for looking at: nothing is changed, no backing file is opened."""
    return Layer(path, **options)


def info(path: PathOrDescriptor, **options: Unpack[OpenOptions]) -> Info:
    """Return what an image says about itself; no backing file is opened."""
    with Layer(path, **options) as layer:
        return layer.info()


def check(
    path: PathOrDescriptor,
    *,
    progress: Progress | None = None,
    **options: Unpack[CheckOptions],
) -> CheckReport:
    """Check an image's structure, and repair it where asked; no backing file is opened.

    `repair="leaks"` gives back what nothing names; "all" also mends what is corrupt: what is
    referenced twice is copied, entries that name nothing are cleared. The file may grow by
    `max_growth` for it. The report says what was found, what was mended and what is left. With
    `dry_run` the repair is tried in memory alone. What it overwrites is kept in the new file
    `undo`, from which `undo_repair` restores it. A crash at any moment costs nothing but the
    repair, which can be made again.
    """
    return _qed.check(path, progress, **options)


def undo_repair(path: PathOrDescriptor, undo: Path, **options: Unpack[OpenOptions]) -> None:
    """Make an image what it was before the repair that wrote the file `undo`, bit by bit.

    An image that was changed since is left alone: that is an error.
    """
    _qed.undo_repair(path, undo, **options)


def safety_check(path: PathOrDescriptor, *, max_table_bytes: Size | None = None) -> SafetyReport:
    """Tell a service what a file is that it was handed: one look, bounded, nothing else opened.

    An image with more than `max_table_bytes` of tables (256 MiB) is not called consistent.
    """
    most = None if max_table_bytes is None else _number(max_table_bytes)
    return _qed.safety_check(path, max_table_bytes=most)


def lint(
    path: PathOrDescriptor,
    reader: Literal["qemu", "virtualbox"],
    *,
    fix: bool = False,
    progress: Progress | None = None,
    **options: Unpack[OpenOptions],
) -> LintReport:
    """Find what another program would choke on, or harm, in an image that libqed takes.

    With `fix` the image is rewritten to a form that it takes, as far as there is one; the guest
    reads the same before and after, and at any crash in between.
    """
    return _qed.lint(path, reader, fix=fix, progress=progress, **options)


def probe(path: PathOrDescriptor) -> Literal["qed", "qcow2", "raw"] | None:
    """Return "qed" or "qcow2" where the first bytes announce it, else None. Raw has no mark."""
    return _qed.probe(path)


def convert(
    source: Image | Iterable[Image] | int,
    target: Image | PathOrDescriptor,
    *,
    offset: Size = 0,
    length: Size | None = None,
    workers: int = 8,
    in_order: bool = True,
    sparse_size: Size = 4096,
    target_is_zero: bool = False,
    salvage: bool = False,
    backing: Path | None = None,
    progress: Progress | None = None,
    **options: Unpack[CreateOptions],
) -> int:
    """Copy a disk into another one, whatever the formats.

    `source` is an open image, several that are put one behind the other, or a descriptor from
    which the raw bytes of a disk are read as they come (a pipe); of it, `length` bytes from
    `offset` are copied, all by default. `target` is

    - a path, at which a new image is created with `options` (`format`, `overwrite`, ...); it
      appears there when it is complete, and where anything fails nothing does;
    - an image open for writing, at least as large; what is zero in the source becomes zero in it,
      and what lies behind stays; where something fails it is left half written;
    - a descriptor, to which the new image is written front to back (a pipe): with `format="raw"`
      the bytes of the disk, with "qed" an image.

    Where `backing` is a layer of the one source's chain and `offset` is 0, a new image holds only
    what lies above that; over any other backing file everything is copied.

    So many `workers` read and write at once; without `in_order` they write as they come. Runs of
    `sparse_size` zeroes take no space in the target; 0 writes every byte. `target_is_zero` promises
    that an open target reads as zeroes. With `salvage`, what cannot be read becomes zeroes;
    returns how many bytes that were.
    """
    return _qed.convert(
        source,
        target,
        offset=_number(offset),
        length=None if length is None else _number(length),
        workers=workers,
        in_order=in_order,
        sparse_size=_number(sparse_size),
        target_is_zero=target_is_zero,
        salvage=salvage,
        backing=backing,
        progress=progress,
        **options,
    )


def measure(
    source: Image | Size,
    *,
    format: Literal["qed", "qcow2", "raw"] = "qed",  # noqa: A002 - the option's name
    cluster_size: Size | None = None,
    table_size: int | None = None,
) -> Measured:
    """Tell how long the file of a new image will be, before it is there.

    `source` is an open image, of which a copy is measured, or the size of a new disk. What the
    image calls data counts, also where it is zeroes, which `convert` leaves out.
    """
    return _qed.measure(
        source if isinstance(source, Image) else _number(source),
        format=format,
        cluster_size=None if cluster_size is None else _number(cluster_size),
        table_size=table_size,
    )


def compare(
    a: Image | PathOrDescriptor,
    b: Image | PathOrDescriptor,
    *,
    strict: bool = False,
    workers: int = 8,
    progress: Progress | None = None,
) -> Comparison:
    """Compare two disks, given as open images or as QED images to be opened.

    The shorter one counts as padded with zeroes. With `strict` they must also have one size and
    be allocated alike.
    """
    with ExitStack() as opened:
        first, second = (
            disk if isinstance(disk, Image) else opened.enter_context(open(disk)) for disk in (a, b)
        )
        return _qed.compare(first, second, strict=strict, workers=workers, progress=progress)


def _number(size: Size) -> int:
    return _qed.parse_size(size) if isinstance(size, str) else size
