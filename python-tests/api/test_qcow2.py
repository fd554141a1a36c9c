"""qcow2 through Python: the same calls, on the neighbours' format."""

from pathlib import Path

import pytest

import qed


@pytest.fixture(autouse=True)
def _in_a_new_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_chain_of_both_formats_is_written_and_described() -> None:
    """Goal: create, open, write, map and info know qcow2. Method: qcow2 over qed over qcow2."""
    qed.create("a", "1M", format="qcow2", cluster_size="4K")
    qed.create("b", backing="a")
    qed.create("c", backing="b", backing_format="qed", format="qcow2")
    with qed.open("a", "r+", format="qcow2") as image:
        image.pwrite(b"a" * 4096, 0)
        image.write_zeroes(8192, 4096)
    with qed.open("c", "r+", format="qcow2") as image:
        image.pwrite(b"c" * 10, 100_000)
        assert image.pread(2, 4095) == b"a\0"
        assert [layer.format for layer in image.layers()] == ["qcow2", "qed", "qcow2"]
        kinds = [(run.kind, run.depth) for run in image.map()]
        assert kinds[0] == ("data", 2)
        assert ("data", 0) in kinds
    facts = qed.info("c", format="qcow2")
    assert (facts.format, facts.backing, facts.backing_format) == ("qcow2", "b", "qed")
    assert facts.table_size is None
    assert facts.qcow2 is not None
    assert facts.qcow2.compat == "1.1"
    assert not facts.qcow2.dirty
    assert facts.to_dict()["qcow2"]["refcount_bits"] == 16
    assert qed.probe("c") == "qcow2"


def test_what_is_not_served_is_named() -> None:
    """Goal: a refusal says what it is about. Method: bits are set in a fresh header."""
    qed.create("a", "1M", format="qcow2")
    fresh = Path("a").read_bytes()
    for bits, word in [(4, "external data file"), (16, "extended L2"), (64, "0x40")]:
        Path("b").write_bytes(fresh[:79] + bytes([bits]) + fresh[80:])
        with pytest.raises(qed.Error, match=word) as caught:
            qed.open("b", format="qcow2")
        assert (caught.value.kind, caught.value.filename) == ("unsupported", "b")
    with pytest.raises(qed.InvalidArgumentError, match="table_size"):
        qed.create("c", "1M", format="qcow2", table_size=4)
    with pytest.raises(qed.Error, match="not a qcow2 image"):
        qed.open(__file__, format="qcow2")
