"""`extents`: runs that cover exactly what was asked for, and say where the data is."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import qed
from support.images import CLUSTER, l2_entry, pattern, put_word


def test_runs_say_kind_and_place(image: qed.Image, path: Path) -> None:
    data = pattern(1, 3 * CLUSTER)
    image.pwrite(data, CLUSTER)
    image.flush()
    first, second, third = image.extents()
    assert (first.offset, first.length, first.kind) == (0, CLUSTER, "unallocated")
    assert (second.offset, second.length, second.kind) == (CLUSTER, 3 * CLUSTER, "data")
    assert (third.offset, third.end, third.kind) == (4 * CLUSTER, image.size, "unallocated")
    assert first.file_offset is None
    assert second.file_offset is not None
    with path.open("rb") as file:
        file.seek(second.file_offset)
        assert file.read(len(data)) == data


@given(
    clusters=st.lists(st.integers(0, 159), max_size=60),
    place=st.tuples(st.integers(0, 10 << 20), st.integers(0, 10 << 20)),
)
def test_runs_cover_any_range_exactly_and_agree_with_the_content(
    tmp_path_factory: pytest.TempPathFactory, clusters: list[int], place: tuple[int, int]
) -> None:
    path = tmp_path_factory.mktemp("extents") / "disk.qed"
    qed.create(path, "10M")
    offset, length = min(place), max(place) - min(place)
    with qed.open(path, "r+") as image:
        for cluster in clusters:
            image.pwrite(b"x", cluster * CLUSTER)
        position, previous = offset, None
        for extent in image.extents(offset, length):
            assert extent.offset == position
            assert extent.length > 0
            covered = range(extent.offset // CLUSTER, (extent.end - 1) // CLUSTER + 1)
            assert {cluster in clusters for cluster in covered} == {extent.kind == "data"}
            if previous is not None and previous.kind == extent.kind == "data":
                assert previous.file_offset is not None
                assert previous.file_offset + previous.length != extent.file_offset
            elif previous is not None:
                assert previous.kind != extent.kind
            position, previous = extent.end, extent
        assert position == offset + length


def test_more_runs_than_one_batch(path: Path) -> None:
    # Goal: batches join without a gap. Method: a thousand single clusters with holes between.
    qed.create(path, 2000 * 4096, cluster_size=4096)
    with qed.open(path, "r+") as image:
        for cluster in range(0, 2000, 2):
            image.pwrite(b"x", cluster * 4096)
        extents = list(image.extents())
        assert len(extents) == 2000
        assert [extent.offset for extent in extents] == list(range(0, 2000 * 4096, 4096))
        assert {extent.kind for extent in extents[::2]} == {"data"}
        assert {extent.kind for extent in extents[1::2]} == {"unallocated"}


def test_an_empty_range_has_no_runs(image: qed.Image) -> None:
    assert list(image.extents(image.size)) == []
    assert list(image.extents(5, 0)) == []


def test_a_range_past_the_end_is_refused_at_the_call(image: qed.Image) -> None:
    for place in ((0, image.size + 1), (image.size + 1, None), (image.size, 1)):
        with pytest.raises(qed.InvalidArgumentError):
            image.extents(*place)


def test_an_image_closed_half_way_says_so(path: Path) -> None:
    qed.create(path, "10M")
    with qed.open(path, "r+") as image:
        image.pwrite(b"x", CLUSTER)
        extents = image.extents()
        next(extents)
    with pytest.raises(ValueError, match="closed"):
        next(extents)


def test_an_iterator_keeps_its_image_alive(path: Path) -> None:
    qed.create(path, "1M")
    layer = qed.inspect(path)
    extents = layer.extents()
    del layer
    assert [extent.kind for extent in extents] == ["unallocated"]


def test_damage_ends_the_runs_after_what_is_sound(path: Path) -> None:
    qed.create(path, "1M")
    with qed.open(path, "r+") as image:
        image.pwrite(b"x" * 4 * CLUSTER, 0)
    put_word(path, l2_entry(path, 2), 12345)
    with qed.inspect(path) as layer:
        extents = layer.extents()
        assert next(extents).end == 2 * CLUSTER
        with pytest.raises(qed.CorruptError, match="guest cluster 2"):
            next(extents)
        assert list(extents) == []


def test_an_overlay_shows_its_own_layer_only(tmp_path: Path, path: Path) -> None:
    (tmp_path / "base.raw").write_bytes(b"x" * (1 << 20))
    qed.create(path, backing="base.raw", backing_format="raw")
    with qed.open(path, "r+") as image:
        image.pwrite(b"y", 5 * CLUSTER)
        image.write_zeroes(8 * CLUSTER, CLUSTER)
        kinds = [(extent.offset // CLUSTER, extent.kind) for extent in image.extents()]
    assert kinds == [
        (0, "unallocated"),
        (5, "data"),
        (6, "unallocated"),
        (8, "zero"),
        (9, "unallocated"),
    ]
