from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, Literal, Self, final

from typing_extensions import Buffer, disjoint_base

from qed._bench import BenchResult
from qed._layout import Layout
from qed._options import BackingSource, Path, PathOrDescriptor, Progress
from qed._results import CheckReport, Comparison, Extent, Info, LayerName

__all__ = [
    "BENCH_MAX_IN_FLIGHT",
    "Extents",
    "Image",
    "Layer",
    "__version__",
    "after_fork_in_child",
    "bench",
    "check",
    "compare",
    "convert",
    "create",
    "error_kinds",
    "layout",
    "parse_size",
    "probe",
]

__version__: Final[str]
BENCH_MAX_IN_FLIGHT: Final[int]

@disjoint_base
class Image:
    def __new__(
        cls,
        path: PathOrDescriptor,
        mode: str = "r",
        *,
        backing_chain: Iterable[BackingSource] | None = None,
        backing_directory: PathOrDescriptor | None = None,
        **options: Any,
    ) -> Self: ...
    @property
    def size(self) -> int: ...
    @property
    def format(self) -> Literal["qed", "qcow2", "raw"]: ...
    @property
    def read_only(self) -> bool: ...
    @property
    def closed(self) -> bool: ...
    @property
    def _is_ours(self) -> bool: ...
    def pread(self, length: int, offset: int) -> bytes: ...
    def pread_into(self, buffer: Buffer, offset: int) -> None: ...
    def preadv(self, buffers: Iterable[Buffer], offset: int) -> None: ...
    def pwrite(self, buffer: Buffer, offset: int, *, fua: bool = False) -> None: ...
    def pwritev(self, buffers: Iterable[Buffer], offset: int, *, fua: bool = False) -> None: ...
    def write_zeroes(
        self,
        offset: int,
        length: int,
        *,
        may_unmap: bool = False,
        fua: bool = False,
        no_fallback: bool = False,
    ) -> None: ...
    def discard(self, offset: int, length: int) -> None: ...
    def flush(self) -> None: ...
    def info(self) -> Info: ...
    def layers(self) -> list[LayerName]: ...
    def extents(self, offset: int = 0, length: int | None = None) -> Extents: ...
    def map(self, offset: int = 0, length: int | None = None) -> Extents: ...
    def close(self) -> None: ...

@disjoint_base
class Layer:
    def __new__(cls, path: PathOrDescriptor, **options: Any) -> Self: ...
    @property
    def size(self) -> int: ...
    @property
    def closed(self) -> bool: ...
    def info(self) -> Info: ...
    def extents(self, offset: int = 0, length: int | None = None) -> Extents: ...
    def close(self) -> None: ...

@final
class Extents(Iterator[Extent]):
    def __iter__(self) -> Self: ...
    def __next__(self) -> Extent: ...

def bench(
    image: Image,
    trace: bytes | None,
    trace_name: Path | None,
    progress: Callable[[int, int], object] | None,
    **options: Any,
) -> BenchResult: ...
def create(
    path: PathOrDescriptor, size: int | None, backing: Path | None, **options: Any
) -> None: ...
def check(path: PathOrDescriptor, **options: Any) -> CheckReport: ...
def convert(
    source: Image | Iterable[Image] | int,
    target: Image | PathOrDescriptor,
    *,
    offset: int,
    length: int | None,
    workers: int,
    in_order: bool,
    sparse_size: int,
    target_is_zero: bool,
    salvage: bool,
    backing: Path | None,
    progress: Progress | None,
    **options: Any,
) -> int: ...
def compare(
    a: Image, b: Image, *, strict: bool, workers: int, progress: Progress | None
) -> Comparison: ...
def layout(disk: Image | Layer, file_length: int, guest_bins: int, file_bins: int) -> Layout: ...
def probe(path: PathOrDescriptor) -> Literal["qed", "qcow2", "raw"] | None: ...
def parse_size(text: str) -> int: ...
def error_kinds() -> list[str]: ...
def after_fork_in_child() -> None: ...
