"""What the verbs return: frozen, comparable, with a repr that says everything, and `to_dict()`."""

from dataclasses import asdict, dataclass
from typing import Any, Literal


class _Result:
    __slots__ = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as a new dictionary."""
        return asdict(self)  # type: ignore[call-overload, no-any-return]


@dataclass(frozen=True, slots=True)
class Qcow2Info(_Result):
    """What only a qcow2 image says about itself."""

    compat: Literal["0.10", "1.1"]
    """Its version, as QEMU's tools name it."""
    compression_type: Literal["zlib", "zstd", "unknown"]
    """How compressed clusters are compressed."""
    refcount_bits: int
    """Bits of a reference count."""
    lazy_refcounts: bool
    """Writers may leave reference counts for later."""
    dirty: bool
    """Its last writer was interrupted."""
    corrupt: bool
    """A reader found damage and said so."""
    extended_l2: bool
    """Clusters have subclusters."""
    snapshots: int
    """Snapshots inside the image."""


@dataclass(frozen=True, slots=True)
class Info(_Result):
    """What an image says about itself. Sizes are bytes unless the name of the unit is given."""

    format: Literal["qed", "qcow2", "raw"]
    """The format of the image's file. What it does not have is None below."""
    virtual_size: int
    """Bytes of the disk the guest sees."""
    cluster_size: int | None
    """Bytes in a cluster."""
    table_size: int | None
    """Clusters in an L1 or L2 table."""
    header_size: int | None
    """Clusters reserved for the header and its strings."""
    features: int | None
    """Incompatible feature bits."""
    compat_features: int
    """Compatible feature bits."""
    autoclear_features: int
    """Autoclear feature bits."""
    l1_table_offset: int | None
    """Where the L1 table stands in the file."""
    needs_check: bool
    """Another writer left the image unchecked ("dirty")."""
    backing: str | None
    """The backing file's name as stored, or None."""
    backing_format: Literal["qed", "qcow2", "raw"] | None
    """The backing file's format where the image names it: a QED image does so for "raw" alone."""
    file_length: int
    """Bytes of the image file."""
    disk_usage: int
    """Bytes of disk the image file occupies."""
    read_only: bool
    """Whether this opening may change the image."""
    qcow2: Qcow2Info | None = None
    """What only a qcow2 image has."""


@dataclass(frozen=True, slots=True)
class Extent(_Result):
    """A run of the guest's disk that is stored in one piece, in one layer."""

    offset: int
    """First byte on the guest's disk."""
    length: int
    """Bytes of the run."""
    kind: Literal["data", "zero", "unallocated"]
    """"unallocated" reads the backing file, zeroes without one."""
    file_offset: int | None
    """First byte in the layer's file: of data that is not compressed, of space kept for zeroes."""
    depth: int = 0
    """The layer: 0 is the image that was asked, 1 its backing file, and so on."""

    @property
    def end(self) -> int:
        """The byte after the last one on the guest's disk."""
        return self.offset + self.length

    @property
    def compressed(self) -> bool:
        """Data that has no place of its own in the file."""
        return self.kind == "data" and self.file_offset is None


@dataclass(frozen=True, slots=True)
class LayerName(_Result):
    """One file of an open chain."""

    path: str | None
    """Its path, or None where it was given by descriptor."""
    format: Literal["qed", "qcow2", "raw"]
    """Its format."""


@dataclass(frozen=True, slots=True)
class CheckReport(_Result):
    """What a check found."""

    image_end_offset: int
    """The byte after the last cluster in use."""
    total_clusters: int
    """Clusters of the guest's disk."""
    allocated_clusters: int
    """Clusters of the guest's disk that have data in the file."""
    fragmented_clusters: int
    """Allocated clusters that do not directly follow the one before."""
    check_errors: int
    """What could not be checked."""
    corruptions: int
    """Broken clauses of the format; after a repair, those that are left."""
    leaks: int
    """Clusters of the file that nobody references: harmless."""
    corruptions_fixed: int
    """Corruptions repaired by this check."""
    leaks_fixed: int
    """Leaks given back by this check."""
    findings: tuple[str, ...]
    """The first hundred corruptions that were found, a sentence each, also where repaired since."""
    first_check_error: str | None = None
    """Why the first of what could not be checked could not."""
    free_clusters: int = 0
    """Leaks that hold no space: nothing is wasted."""

    @property
    def clean(self) -> bool:
        """Neither corruption nor anything unchecked; leaks are harmless."""
        return self.corruptions == 0 and self.check_errors == 0

    @property
    def wasted_clusters(self) -> int:
        """Leaked clusters that hold space, which a repair gives back."""
        return self.leaks - self.free_clusters


@dataclass(frozen=True, slots=True)
class SafetyReport(_Result):
    """What a file is that somebody handed in, as far as its own bytes say."""

    safe: bool
    """A QED image without backing file and unknown features, known to be consistent."""
    format: Literal["qed", "qcow2"] | None
    """What its first bytes announce. All but the length is known of QED images alone."""
    file_length: int
    """Bytes of the file."""
    virtual_size: int | None
    """Bytes of the disk the guest sees."""
    backing: str | None
    """The backing file it names; empty where it names one that cannot be told."""
    unknown_features: int
    """Incompatible feature bits that this library does not know."""
    needs_check: bool
    """Another writer left the image unchecked."""
    consistent: bool | None
    """Whether all its tables are sound; None where that would take too long to find out."""
    fault: str | None
    """The first thing that is wrong."""


@dataclass(frozen=True, slots=True)
class LintFinding(_Result):
    """One thing that another program would choke on or harm."""

    rule: str
    """Its stable name."""
    severity: Literal["refuses", "harms", "note"]
    """What the program does: it does not open the image, it loses data, or nothing bad."""
    text: str
    """A sentence."""
    fixable: bool
    """Whether the image can be rewritten so that it is gone."""


@dataclass(frozen=True, slots=True)
class LintReport(_Result):
    """What a lint found."""

    reader: Literal["qemu", "virtualbox"]
    """The program that the image is to suit."""
    findings: tuple[LintFinding, ...]
    """What it would choke on or harm; after a fix, what is left."""
    fixed: tuple[LintFinding, ...]
    """What was rewritten."""

    @property
    def clean(self) -> bool:
        """The program opens the image and does no harm to it."""
        return all(finding.severity == "note" for finding in self.findings)


@dataclass(frozen=True, slots=True)
class CompactReport(_Result):
    """What a compaction did."""

    clusters_moved: int
    """Moves of the guest's clusters, those out of the way included."""
    tables_moved: int
    """Moves of tables, those out of the way included."""
    length_before: int
    """Bytes of the file before."""
    length_after: int
    """Bytes of the file afterwards."""


@dataclass(frozen=True, slots=True)
class Measured(_Result):
    """How long the file of a new image will be."""

    required: int
    """Bytes of file when the disk has been copied."""
    fully_allocated: int
    """Bytes of file when every cluster of the new image has been written."""


@dataclass(frozen=True, slots=True)
class Comparison(_Result):
    """What a comparison of two disks found."""

    identical: bool
    """Whether they read alike; where `strict` was asked for, in every respect."""
    reason: Literal["content", "size", "allocation"] | None
    """What differs, or None. Sizes and allocation differ only in a strict comparison."""
    offset: int | None
    """The first byte that differs; for a size, the end of the shorter disk."""
