"""What a power failure may leave of a disk image, and whether everything holds in each such state.

import qed.crash as qc

with qc.record("disk.qed", size="64M") as rec:
    rec.image.pwrite(b"A" * 4096, 0)
    rec.image.flush()
rec.log.explore().assert_ok()
"""

from qed._qed import View
from qed.crash._log import Log
from qed.crash._oracles import (
    BACKING_UNTOUCHED,
    DEFAULT,
    DURABLE,
    LIFE_GOES_ON,
    NESTED,
    NO_FOREIGN_DATA,
    QEMU,
    RECOVERY,
    STRUCTURE,
    Nested,
    Oracle,
    Qemu,
)
from qed.crash._plan import MODES, Budget
from qed.crash._record import Recording, record
from qed.crash._results import Barrier, Event, Failure, GuestCall, Result, Stats, Write
from qed.crash._state import State
from qed.crash._workload import Faults, Workload

__all__ = [
    "BACKING_UNTOUCHED",
    "DEFAULT",
    "DURABLE",
    "LIFE_GOES_ON",
    "MODES",
    "NESTED",
    "NO_FOREIGN_DATA",
    "QEMU",
    "RECOVERY",
    "STRUCTURE",
    "Barrier",
    "Budget",
    "Event",
    "Failure",
    "Faults",
    "GuestCall",
    "Log",
    "Nested",
    "Oracle",
    "Qemu",
    "Recording",
    "Result",
    "State",
    "Stats",
    "View",
    "Workload",
    "Write",
    "record",
]
