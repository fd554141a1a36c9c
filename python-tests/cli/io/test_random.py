"""Random sessions: qemu-io and libqed under its name say the same, and leave the same disk.

Numbers are drawn around the places where something changes: sectors, clusters, tables, the end of
the disk, the longest request. Many commands are wrong on purpose.
"""

import os
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from support.both import Both

SIZE = 4 << 20
CLUSTER = 4096
EXAMPLES = int(os.environ.get("QED_IO_EXAMPLES", "12"))

places = st.sampled_from([0, 512, CLUSTER, 8 * CLUSTER, 1 << 20, 2 << 20, SIZE - CLUSTER, SIZE])
plain = st.builds(lambda place, by: max(0, place + by), places, st.integers(-513, 513))
spelled = st.sampled_from(
    ["0x1000", "1k", "1.5k", ".5k", "1M", "3.999M", "4M", "2G", "0x", "1e3", "k", "-1", "1.5", "9E"]
)
offsets = st.one_of(plain.map(str), plain.map(hex), plain.map(str), spelled)
lengths = st.one_of(
    st.sampled_from([0, 1, 511, 512, 513, CLUSTER, CLUSTER + 1, 65536, 300_000]).map(str), spelled
)
bytes_ = st.one_of(st.integers(0, 255).map(str), st.integers(0, 300).map(hex))


def options(letters: str) -> st.SearchStrategy[list[str]]:
    if not letters:
        return st.just([])
    return st.lists(st.sampled_from(list(letters)), max_size=2).map(
        lambda ls: [f"-{x}" for x in ls]
    )


def command(name: str, letters: str, *, pattern: bool, most: int = 1) -> st.SearchStrategy[str]:
    """Return commands of one name; its operands may be wrong in number and in value."""
    unfilled: st.SearchStrategy[list[str]] = st.just([])
    filled = st.one_of(unfilled, bytes_.map(lambda byte: ["-P", byte]))
    return st.builds(
        lambda found, fill, offset, sizes: " ".join([name, *found, *fill, offset, *sizes]),
        options(letters),
        filled if pattern else unfilled,
        offsets,
        st.lists(lengths, min_size=0 if name == "alloc" else 1, max_size=most).map(_no_empty_part),
    )


def _no_empty_part(sizes: list[str]) -> list[str]:
    """Leave out the empty buffers of vectors: QEMU fails an assertion on some."""
    return [size for size in sizes if size != "0"] or ["0"] if len(sizes) > 1 else sizes


# Without -z where nothing is allocated: libqed keeps that unallocated, which alloc and map show.
one = st.one_of(
    command("write", "qCfpr", pattern=True),
    command("writev", "qCf", pattern=True, most=3),
    command("read", "qCvpr", pattern=True),
    command("readv", "qCv", pattern=True, most=3),
    command("aio_write", "qCf", pattern=True, most=3).map(lambda line: f"{line}\naio_flush"),
    command("aio_read", "qC", pattern=True, most=3).map(lambda line: f"{line}\naio_flush"),
    command("write", "qCfun", pattern=True),
    command("alloc", "", pattern=False),
    st.sampled_from(["map", "length", "flush", "reopen -r", "reopen -w", "info", ""]),
)
zeroing = st.one_of(
    one, command("write", "z", pattern=True), command("write -z", "uq", pattern=False)
)


@given(session=st.lists(one, min_size=5, max_size=40), table_size=st.sampled_from([2, 4]))
@settings(max_examples=EXAMPLES)
def test_random_sessions_say_and_leave_the_same(session: list[str], table_size: int) -> None:
    agree(session, table_size)


@given(session=st.lists(zeroing, min_size=5, max_size=40))
@settings(max_examples=EXAMPLES)
def test_random_sessions_with_zeroes_say_and_leave_the_same(session: list[str]) -> None:
    lines = [line for line in session if line.split(" ")[0] not in ("map", "alloc")]
    agree(lines, 2)


def agree(lines: list[str], table_size: int) -> None:
    """Hold a session on both sides, and let QEMU compare the disks."""
    with tempfile.TemporaryDirectory() as root:
        both = Both(Path(root))
        layout = f"cluster_size={CLUSTER},table_size={table_size}"
        disks = [side.directory / "a.qed" for side in (both.qemu, both.qed)]
        for disk in disks:
            made = both.qemu.run("qemu-img", "create", "-qfqed", "-o", layout, disk, str(SIZE))
            assert made.status == 0, made
        both.agree("qemu-io", "a.qed", stdin="\n".join(lines).encode())
        same = both.qemu.run("qemu-img", "compare", "-f", "qed", "-F", "qed", *disks)
        assert same.out == "Images are identical.\n", same
        # Space given back inside the file is kept for later: leaks (3) to QEMU, and no damage.
        assert both.qemu.run("qemu-img", "check", "-q", disks[1]).status in (0, 3)
