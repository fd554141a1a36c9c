"""`info`, `check`, `probe` and their results."""

import copy
import dataclasses
import pickle
from pathlib import Path

import pytest

import qed
from support.images import CLUSTER, l2_entry, put_word, words


def test_info_of_a_new_image(path: Path) -> None:
    qed.create(path, "1G")
    info = qed.info(path)
    assert info == qed.Info(
        format="qed",
        virtual_size=1 << 30,
        cluster_size=65536,
        table_size=4,
        header_size=1,
        features=0,
        compat_features=0,
        autoclear_features=info.autoclear_features,
        l1_table_offset=65536,
        needs_check=False,
        backing=None,
        backing_format=None,
        file_length=5 * 65536,
        disk_usage=path.stat().st_blocks * 512,
        read_only=True,
    )
    with qed.open(path, "r+") as image:
        assert not image.info().read_only


def test_an_image_left_unchecked_says_so_and_looking_does_not_clear_it(path: Path) -> None:
    qed.create(path, "1M")
    put_word(path, 16, 0x2)
    assert qed.info(path).needs_check
    with qed.open(path) as image:
        assert image.info().needs_check
    assert words(path, 16, 1) == (0x2,)


def test_probe_knows_magic_and_nothing_else(tmp_path: Path) -> None:
    for content, expected in (
        (b"QED\0", "qed"),
        (b"QFI\xfb\0\0\0\3", "qcow2"),
        (b"QE", None),
        (b"", None),
        (bytes(4096), None),
    ):
        file = tmp_path / "file"
        file.write_bytes(content)
        assert qed.probe(file) == expected
        with file.open("rb") as opened:
            assert qed.probe(opened.fileno()) == expected
    with pytest.raises(FileNotFoundError):
        qed.probe(tmp_path / "nope")


def test_a_check_counts_and_changes_nothing(path: Path) -> None:
    qed.create(path, "10M")
    with qed.open(path, "r+") as image:
        for cluster in (0, 1, 2, 10):
            image.pwrite(b"x" * CLUSTER, cluster * CLUSTER)
    report = qed.check(path)
    assert report.clean
    assert (report.total_clusters, report.allocated_clusters) == (160, 4)
    assert (report.corruptions, report.leaks, report.findings) == (0, 0, ())
    put_word(path, l2_entry(path, 1), words(path, l2_entry(path, 0), 1)[0])
    put_word(path, l2_entry(path, 2), 1 << 50)
    before = path.read_bytes()
    report = qed.check(path)
    assert not report.clean
    assert report.corruptions == len(report.findings) == 2
    assert report.leaks == 2
    assert "guest cluster 1" in report.findings[0]
    assert "0x4000000000000" in report.findings[1]
    assert path.read_bytes() == before
    with path.open("rb") as file:
        assert qed.check(file.fileno()) == report


def test_leaks_alone_are_clean(path: Path) -> None:
    qed.create(path, "1M")
    with path.open("ab") as file:
        file.write(bytes(2 * CLUSTER))
    report = qed.check(path)
    assert report.leaks == 2
    assert report.clean


RESULTS: list[qed.Info | qed.Extent | qed.LayerName | qed.CheckReport] = [
    qed.LayerName("base.raw", "raw"),
    qed.Extent(0, 65536, "data", 327680),
    qed.CheckReport(65536, 16, 1, 0, 0, 1, 0, 0, 0, ("a finding",)),
    qed.Info("qed", 1024, 4096, 2, 1, 1, 0, 0, 4096, False, "base", "raw", 12288, 8192, True),
]


@pytest.mark.parametrize("result", RESULTS, ids=lambda result: type(result).__name__)
def test_results_are_frozen_comparable_and_travel(
    result: qed.Info | qed.Extent | qed.LayerName | qed.CheckReport,
) -> None:
    names = [field.name for field in dataclasses.fields(result)]
    assert list(result.to_dict()) == names
    assert type(result)(**result.to_dict()) == result
    assert eval(repr(result), vars(qed)) == result
    assert pickle.loads(pickle.dumps(result)) == result
    assert hash(copy.deepcopy(result)) == hash(result)
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(result, names[0], 5)
    with pytest.raises((AttributeError, TypeError)):
        result.extra = 5  # type: ignore[union-attr]
    result.to_dict()[names[0]] = "changed"
    assert getattr(result, names[0]) != "changed"
