"""The verbs: what can be done with a path or a descriptor."""

from collections.abc import Iterable
from typing import Unpack

from qed import _qed
from qed._image import Image, Layer
from qed._options import BackingSource, CreateOptions, OpenOptions, Path, PathOrDescriptor, Size
from qed._results import CheckReport, Info


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
    number = _qed.parse_size(size) if isinstance(size, str) else size
    _qed.create(path, number, backing, **options)


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


def check(path: PathOrDescriptor, **options: Unpack[OpenOptions]) -> CheckReport:
    """Check an image's structure without changing it; no backing file is opened."""
    return _qed.check(path, **options)


def probe(path: PathOrDescriptor) -> str | None:
    """Return "qed" or "qcow2" where the first bytes announce it, else None. Raw has no mark."""
    return _qed.probe(path)
