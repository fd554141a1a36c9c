"""Changing what lies below an image: `commit` and `rebase`."""

from typing import Literal, Unpack

from qed import _qed
from qed._options import OpenOptions, Path, Progress, Size


def commit(
    path: Path,
    *,
    base: Path | None = None,
    keep: bool = False,
    rate: Size | None = None,
    progress: Progress | None = None,
    **options: Unpack[OpenOptions],
) -> None:
    """Give what the image at `path` holds to its backing file, and empty the image.

    The backing file grows where it is smaller. `base` is a file further down the chain instead;
    the layers in between are of no use afterwards, and the image is kept. With `keep` it is kept
    in any case. At most `rate` bytes a second are moved. A crash at any moment leaves a chain that
    reads the same.
    """
    _qed.commit(
        path,
        base=base,
        keep=keep,
        rate=_number(rate),
        progress=progress,
        **options,
    )


def rebase(
    path: Path,
    backing: Path | None,
    *,
    backing_format: Literal["qed", "qcow2", "raw"] | None = None,
    name_only: bool = False,
    rate: Size | None = None,
    progress: Progress | None = None,
    **options: Unpack[OpenOptions],
) -> None:
    """Put the image at `path` over another backing file, or over none; it reads the same.

    What the new backing file lacks is written into the image first. A relative `backing` is stored
    as given and means a file beside the image. With `name_only` the name changes and nothing else:
    for a backing file that was moved, or converted.
    """
    _qed.rebase(
        path,
        backing,
        backing_format=backing_format,
        name_only=name_only,
        rate=_number(rate),
        progress=progress,
        **options,
    )


def _number(size: Size | None) -> int | None:
    return _qed.parse_size(size) if isinstance(size, str) else size
