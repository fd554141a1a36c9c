"""`qed.create`: what is made, what is refused, and that a failure leaves nothing."""

import os
from pathlib import Path

import pytest

import qed


@pytest.mark.parametrize(
    ("size", "expected"),
    [(0, 0), (512, 512), (1000, 1024), ("10G", 10 << 30), ("1.5M", 3 << 19)],
)
def test_sizes_are_numbers_or_text_and_round_up_to_sectors(
    path: Path, size: int | str, expected: int
) -> None:
    qed.create(path, size)
    assert qed.info(path).virtual_size == expected


@pytest.mark.parametrize("size", ["", "10Q", "-1", "1.5", "ten", "1e3", -1, 1 << 64])
def test_a_size_that_means_nothing_is_a_value_error(path: Path, size: int | str) -> None:
    with pytest.raises(ValueError, match=r"size|negative|whole number"):
        qed.create(path, size)
    assert not path.exists()


def test_geometry_options_take_numbers_and_text(path: Path) -> None:
    qed.create(path, "1M", cluster_size="4K", table_size=2)
    info = qed.info(path)
    assert (info.cluster_size, info.table_size) == (4096, 2)
    assert info.file_length == 3 * 4096


@pytest.mark.parametrize("options", [{"cluster_size": 5000}, {"table_size": 3}])
def test_geometry_out_of_range_leaves_nothing(path: Path, options: dict[str, int]) -> None:
    with pytest.raises(qed.InvalidArgumentError):
        qed.create(path, "1M", **options)  # type: ignore[arg-type]
    assert os.listdir(path.parent) == []


def test_a_file_that_exists_is_kept_unless_overwrite_is_given(path: Path) -> None:
    path.write_bytes(b"precious")
    with pytest.raises(FileExistsError) as caught:
        qed.create(path, "1M")
    assert isinstance(caught.value, qed.ExistsError)
    assert path.read_bytes() == b"precious"
    qed.create(path, "1M", overwrite=True)
    assert qed.probe(path) == "qed"


def test_the_size_of_an_overlay_is_that_of_its_backing_file(tmp_path: Path, path: Path) -> None:
    (tmp_path / "base.raw").write_bytes(b"x" * 70000)
    qed.create(path, backing="base.raw", backing_format="raw")
    info = qed.info(path)
    assert info.virtual_size == 70144
    assert (info.backing, info.backing_format) == ("base.raw", "raw")


def test_a_qed_backing_file_is_recognised_and_a_raw_one_never(tmp_path: Path, path: Path) -> None:
    qed.create(tmp_path / "base.qed", "3M")
    qed.create(path, backing=Path("base.qed"))
    assert qed.info(path).backing == "base.qed"
    assert qed.info(path).backing_format is None
    (tmp_path / "base.raw").write_bytes(bytes(4096))
    with pytest.raises(qed.Error, match=r"base\.raw.*format"):
        qed.create(tmp_path / "other.qed", backing="base.raw")
    assert not (tmp_path / "other.qed").exists()


def test_a_backing_name_that_is_not_text_survives(tmp_path: Path, path: Path) -> None:
    name = b"b\xffse.raw"
    Path(os.fsdecode(bytes(tmp_path) + b"/" + name)).write_bytes(bytes(4096))
    qed.create(path, backing=name, backing_format="raw")
    backing = qed.info(path).backing
    assert backing is not None
    assert os.fsencode(backing) == name


def test_without_a_size_and_a_backing_file_nothing_is_made(path: Path) -> None:
    with pytest.raises(qed.InvalidArgumentError, match="size"):
        qed.create(path)
    assert not path.exists()


def test_an_image_can_be_made_in_an_open_empty_file(path: Path) -> None:
    with path.open("x+b") as file:
        qed.create(file.fileno(), "1M")
    assert qed.info(path).virtual_size == 1 << 20


def test_an_unknown_option_is_refused_with_a_list_of_the_known(path: Path) -> None:
    with pytest.raises(qed.InvalidArgumentError, match=r"clustersize.*cluster_size"):
        qed.create(path, "1M", clustersize=4096)  # type: ignore[call-arg]
    with pytest.raises(qed.InvalidArgumentError, match=r"trust"):
        qed.create(path, "1M", trust="normal")  # type: ignore[call-arg]
    assert not path.exists()


def test_option_values_have_types(path: Path) -> None:
    with pytest.raises(TypeError, match=r'"overwrite".*NoneType'):
        qed.create(path, "1M", overwrite=None)  # type: ignore[arg-type]
