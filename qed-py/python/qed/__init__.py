"""QED disk images that are never dirty after a crash.

import qed

qed.create("disk.qed", "10G")
with qed.open("disk.qed", "r+") as image:
    image.pwrite(b"hello", 4096)
    image.flush()
"""

import os as _os

from qed import _qed
from qed._bench import BenchResult, Latency, bench
from qed._errors import (
    BusyError,
    CancelledError,
    CorruptError,
    DamagedError,
    Error,
    ExistsError,
    InternalError,
    InvalidArgumentError,
    LatchedError,
    LockedError,
    NoSpaceError,
    NotFoundError,
    NotQedError,
    PermissionDeniedError,
    ReadOnlyError,
    RefusedError,
    UnsupportedError,
)
from qed._image import Image, Layer
from qed._queue import (
    Completion,
    Discard,
    Flush,
    Queue,
    Read,
    ReadInto,
    Write,
    WriteZeroes,
    aio_refusal,
)
from qed._raw import RawImage
from qed._reshape import commit, rebase
from qed._results import (
    CheckReport,
    CompactReport,
    Comparison,
    Extent,
    Info,
    LayerName,
    LintFinding,
    LintReport,
    Measured,
    Qcow2Info,
    SafetyReport,
)
from qed._verbs import (
    check,
    compare,
    convert,
    create,
    info,
    inspect,
    lint,
    measure,
    open,
    probe,
    safety_check,
    undo_repair,
)

__version__ = _qed.__version__

__all__ = [
    "BenchResult",
    "BusyError",
    "CancelledError",
    "CheckReport",
    "CompactReport",
    "Comparison",
    "Completion",
    "CorruptError",
    "DamagedError",
    "Discard",
    "Error",
    "ExistsError",
    "Extent",
    "Flush",
    "Image",
    "Info",
    "InternalError",
    "InvalidArgumentError",
    "LatchedError",
    "Latency",
    "Layer",
    "LayerName",
    "LintFinding",
    "LintReport",
    "LockedError",
    "Measured",
    "NoSpaceError",
    "NotFoundError",
    "NotQedError",
    "PermissionDeniedError",
    "Qcow2Info",
    "Queue",
    "RawImage",
    "Read",
    "ReadInto",
    "ReadOnlyError",
    "RefusedError",
    "SafetyReport",
    "UnsupportedError",
    "Write",
    "WriteZeroes",
    "__version__",
    "aio_refusal",
    "bench",
    "check",
    "commit",
    "compare",
    "convert",
    "create",
    "info",
    "inspect",
    "lint",
    "measure",
    "open",
    "probe",
    "rebase",
    "safety_check",
    "undo_repair",
]

# An image belongs to the process that opened it: children must not write to it.
_os.register_at_fork(after_in_child=_qed.after_fork_in_child)
