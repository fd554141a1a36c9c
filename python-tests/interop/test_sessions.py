"""One image, written by libqed and by QEMU in turn: each reads and extends what the other left."""

from collections.abc import Callable
from pathlib import Path

import pytest

import qed
from interop.shared import Change, Shared, view
from support.commands import Command

SIZE = (9 << 20) - 1536
# Bytes in a cluster, clusters in a table. (1 is not among them: QEMU opens no such image, D1.)
LAYOUTS = [(4096, 2), (4096, 16), (16384, 8), (65536, 4), (1 << 20, 2)]

Create = Callable[[Path, int, int], None]


@pytest.fixture(params=["qemu-img", "qed", "qed.create"])
def create(request: pytest.FixtureRequest, qemu_img: Command, qed_cli: Command) -> Create:
    """Return what makes an image: QEMU's command, ours, or the library."""
    command = {"qemu-img": qemu_img, "qed": qed_cli}.get(request.param)

    def create(path: Path, cluster: int, table: int) -> None:
        if command is None:
            qed.create(path, SIZE, cluster_size=cluster, table_size=table)
        else:
            options = f"cluster_size={cluster},table_size={table}"
            command.ok("create", "-q", "-f", "qed", "-o", options, path, str(SIZE))

    return create


@pytest.mark.parametrize(("cluster", "table"), LAYOUTS)
def test_each_reads_and_extends_what_the_other_left(
    create: Create,
    qed_cli: Command,
    qemu_img: Command,
    qemu_io: Command,
    path: Path,
    cluster: int,
    table: int,
) -> None:
    # Goal: nobody can tell who wrote an image. Method: three sessions of each, with requests that
    # share clusters, end within sectors, free and allocate; after each both read it whole.
    create(path, cluster, table)
    disk = Shared(path, SIZE)
    disk.agree(qemu_img)
    disk.theirs(
        qemu_io,
        Change(0, 3 * cluster, 0xA1),
        Change(5 * cluster + 512, cluster, 0xA2),
        Change(cluster, cluster, "zeroes"),
        Change(SIZE - 700, 700, 0xA3),
    )
    disk.agree(qemu_img)
    disk.ours(
        Change(cluster // 2, cluster, 0xB1),
        Change(6 * cluster - 100, 777, 0xB2),
        Change(3 * cluster, 2 * cluster, 0xB3),
        Change(2 * cluster, cluster, "unmap"),
        Change(SIZE - cluster - 1, cluster, 0xB4),
    )
    disk.agree(qemu_img)
    disk.theirs(
        qemu_io,
        Change(2 * cluster + 512, 1024, 0xC1),
        Change(4 * cluster + 1, 99, 0xC2),
        Change(7 * cluster, cluster, 0xC3),
        Change(5 * cluster, cluster, "unmap"),
    )
    disk.agree(qemu_img)
    disk.ours(
        Change(5 * cluster + 3, 1, 0xD1),
        Change(0, cluster, "zeroes"),
        Change(SIZE // 2, 100_000, 0xD2),
    )
    disk.agree(qemu_img)
    assert view(qed_cli, path) == view(qemu_img, path)


def test_what_is_discarded_here_is_gone_there(
    qemu_img: Command, qemu_io: Command, path: Path
) -> None:
    qemu_img.ok("create", "-q", "-f", "qed", path, "10M")
    disk = Shared(path, 10 << 20)
    disk.theirs(qemu_io, Change(0, 4 << 20, 0x11))
    full = path.stat().st_blocks
    with qed.open(path, "r+") as image:
        image.discard(1 << 20, 3 << 20)
    disk.content[1 << 20 : 4 << 20] = bytes(3 << 20)
    assert path.stat().st_blocks * 512 <= full * 512 - (2 << 20)
    disk.agree(qemu_img)
    # What was freed is taken again, by either.
    disk.theirs(qemu_io, Change(2 << 20, 65536, 0x22))
    disk.ours(Change(3 << 20, 1 << 20, 0x33))
    disk.agree(qemu_img)


def test_an_image_that_qemu_converted_or_resized(
    qemu_img: Command, qemu_io: Command, path: Path, tmp_path: Path
) -> None:
    qed.create(path, "4M", cluster_size="16K")
    disk = Shared(path, 4 << 20)
    disk.ours(Change(100, 300_000, 0x44), Change(2 << 20, 1 << 20, 0x55))
    qemu_img.ok("resize", "-q", "-f", "qed", path, "6M")
    disk.content += bytes(2 << 20)
    disk.ours(Change(5 << 20, 1 << 20, 0x66))
    disk.agree(qemu_img)
    qemu_img.ok("convert", "-f", "qed", "-O", "qcow2", path, tmp_path / "disk.qcow2")
    again = Shared(tmp_path / "again.qed", 0)
    qemu_img.ok("convert", "-f", "qcow2", "-O", "qed", tmp_path / "disk.qcow2", again.path)
    again.content = disk.content
    again.ours(Change(0, 4096, 0x77))
    again.theirs(qemu_io, Change(1 << 20, 4096, 0x88))
    again.agree(qemu_img)


def test_what_qemu_left_open_is_read_and_goes_on(
    qemu_img: Command, qemu_io: Command, path: Path
) -> None:
    # Goal: an image that QEMU did not close is taken over. Method: qemu-io aborts after a flush,
    # which leaves the image marked as needing a check.
    qed.create(path, "10M")
    killed = qemu_io.run(
        *("-f", "qed", "-c", "write -q -P 0x5a 1M 1M", "-c", "flush", "-c", "abort", path)
    )
    assert killed.status != 0
    assert qed.info(path).needs_check
    disk = Shared(path, 10 << 20)
    disk.content[1 << 20 : 2 << 20] = b"\x5a" * (1 << 20)
    disk.ours(Change(3 << 20, 1 << 20, 0x6B))
    assert not qed.info(path).needs_check
    disk.agree(qemu_img)
