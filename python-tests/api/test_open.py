"""`qed.open` and `qed.inspect`: what names an image, modes, options, and who is kept out."""

import os
from pathlib import Path

import pytest

import qed
from qed._options import BackingSource


@pytest.fixture
def made(path: Path) -> Path:
    qed.create(path, "1M")
    with qed.open(path, "r+") as image:
        image.pwrite(b"hello", 0)
    return path


def test_str_bytes_pathlike_and_descriptor_name_the_same_image(made: Path) -> None:
    with made.open("rb") as file:
        for name in (str(made), os.fsencode(made), made, file.fileno()):
            with qed.open(name) as image:
                assert image.pread(5, 0) == b"hello"
            with qed.inspect(name) as layer:
                assert layer.size == 1 << 20


def test_path_says_what_an_image_was_opened_by(made: Path) -> None:
    with qed.open(os.fsencode(made)) as image:
        assert image.path == str(made)
        assert str(made) in repr(image)
    with made.open("rb") as file, qed.open(file.fileno()) as image:
        assert image.path is None


def test_a_descriptor_stays_the_callers(made: Path) -> None:
    file = made.open("rb")
    image = qed.open(file.fileno())
    file.close()
    assert image.pread(5, 0) == b"hello"
    image.close()
    with made.open("rb") as file:
        qed.open(file.fileno()).close()
        assert file.read(3) == b"QED"


def test_file_names_are_bytes(tmp_path: Path) -> None:
    name = bytes(tmp_path) + b"/\xff\xfe.qed"
    qed.create(name, "1M")
    with qed.open(os.fsdecode(name)) as image:
        assert image.path is not None
        assert os.fsencode(image.path) == name
    with pytest.raises(qed.NotFoundError) as caught:
        qed.open(name + b"x")
    assert os.fsencode(caught.value.filename) == name + b"x"


def test_mode_r_refuses_every_change(made: Path) -> None:
    before = made.read_bytes()
    with qed.open(made) as image:
        assert image.read_only
        with pytest.raises(qed.ReadOnlyError):
            image.pwrite(b"x", 0)
        with pytest.raises(qed.ReadOnlyError):
            image.write_zeroes(0, 512)
        with pytest.raises(qed.ReadOnlyError):
            image.discard(0, 65536)
        image.flush()
    assert made.read_bytes() == before


def test_mode_is_r_or_r_plus(made: Path) -> None:
    for mode in ("w", "rb", "", "R"):
        with pytest.raises(ValueError, match="mode"):
            qed.open(made, mode)
    with pytest.raises(ValueError, match="mode says"):
        qed.open(made, "r+", read_only=True)  # type: ignore[call-arg]


def test_what_is_not_a_name_is_a_type_error(made: Path) -> None:
    for name in (None, True, 1.5, [str(made)]):
        with pytest.raises(TypeError):
            qed.open(name)  # type: ignore[arg-type]


def test_what_names_nothing_openable(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        qed.open(tmp_path / "nope.qed")
    assert caught.value.filename == str(tmp_path / "nope.qed")
    with pytest.raises(ValueError, match="NUL"):
        qed.open("a\0b")
    with pytest.raises(qed.Error):
        qed.open(tmp_path)
    with pytest.raises(qed.InvalidArgumentError, match="-1"):
        qed.open(-1)
    with (tmp_path / "x").open("wb") as file:
        number = file.fileno()
    with pytest.raises(OSError, match="Bad file descriptor"):
        qed.open(number)


def test_bytes_that_are_no_image_are_a_value_error(tmp_path: Path) -> None:
    raw = tmp_path / "disk.raw"
    raw.write_bytes(bytes(65536))
    for verb in (qed.open, qed.inspect, qed.info, qed.check):
        with pytest.raises(ValueError, match=r"disk\.raw.*not a QED image") as caught:
            verb(raw)
        assert isinstance(caught.value, qed.NotQedError)


def test_a_writer_keeps_everybody_out(made: Path) -> None:
    with qed.open(made, "r+"):
        for mode in ("r", "r+"):
            with pytest.raises(BlockingIOError) as caught:
                qed.open(made, mode)
            assert isinstance(caught.value, qed.LockedError)
        with pytest.raises(qed.LockedError):
            qed.info(made)
        assert qed.info(made, lock=False).virtual_size == 1 << 20
    with qed.open(made), qed.open(made) as second:
        assert second.pread(5, 0) == b"hello"


def test_a_backing_file_is_opened_by_policy(tmp_path: Path) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    (tmp_path / "base.raw").write_bytes(b"from the base" + bytes(4083))
    overlay = inside / "overlay.qed"
    qed.create(overlay, backing="../base.raw", backing_format="raw")
    with pytest.raises(PermissionError, match=r"base\.raw.*backing_policy") as caught:
        qed.open(overlay)
    assert isinstance(caught.value, qed.RefusedError)
    with pytest.raises(qed.RefusedError):
        qed.open(overlay, backing_policy="deny")
    with qed.open(overlay, backing_policy="follow") as image:
        assert image.pread(13, 0) == b"from the base"
    # Looking opens nothing but the file itself.
    (tmp_path / "base.raw").unlink()
    with qed.inspect(overlay) as layer:
        assert [extent.kind for extent in layer.extents()] == ["unallocated"]


def test_backing_files_are_given_by_path_or_descriptor(tmp_path: Path) -> None:
    # Goal: who may not let an image choose can choose for it. Method: a chain of three whose names
    # lead nowhere, given file by file in every way.
    (tmp_path / "base").write_bytes(b"base" * 1024)
    qed.create(tmp_path / "middle", 4096, backing="gone", backing_format="raw")
    qed.create(tmp_path / "top", 4096, backing="gone", backing_format="qed")
    base, middle, top = tmp_path / "base", tmp_path / "middle", tmp_path / "top"
    with middle.open("rb") as file:
        chains: list[list[BackingSource]] = [
            [middle, base],
            [str(middle), (bytes(base), "raw")],
            [file.fileno(), base],
            [(file.fileno(), "qed"), (base, "raw")],
        ]
        for chain in chains:
            with qed.open(top, backing_chain=chain) as image:
                assert image.pread(8, 0) == b"basebase"
            with top.open("rb") as opened:
                image = qed.open(opened.fileno(), backing_chain=iter(chain))
            with image:
                assert image.pread(8, 0) == b"basebase"
    with pytest.raises(qed.NotFoundError, match="gone"):
        qed.open(top)
    with pytest.raises(qed.Error):
        qed.open(top, backing_chain=[middle])
    with pytest.raises(qed.InvalidArgumentError, match="vmdk"):
        qed.open(top, backing_chain=[(middle, "vmdk"), base])  # type: ignore[list-item]
    with pytest.raises(TypeError):
        qed.open(top, backing_chain=[None])  # type: ignore[list-item]


def test_a_directory_for_backing_files(tmp_path: Path) -> None:
    store, elsewhere = tmp_path / "store", tmp_path / "elsewhere"
    store.mkdir()
    elsewhere.mkdir()
    (store / "base").write_bytes(b"base" * 1024)
    overlay = elsewhere / "overlay"
    qed.create(overlay, 4096, backing="base", backing_format="raw")
    with pytest.raises(qed.NotFoundError):
        qed.open(overlay)
    descriptor = os.open(store, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with overlay.open("rb") as file:
            with pytest.raises(qed.RefusedError):
                qed.open(file.fileno())
            for directory in (store, str(store), descriptor):
                with qed.open(file.fileno(), backing_directory=directory) as image:
                    assert image.pread(4, 0) == b"base"
    finally:
        os.close(descriptor)
    with pytest.raises(qed.NotFoundError, match="nowhere"):
        qed.open(overlay, backing_directory=tmp_path / "nowhere")
    with pytest.raises(qed.InvalidArgumentError, match="both"):
        qed.open(overlay, backing_directory=store, backing_chain=[store / "base"])
    with pytest.raises(qed.InvalidArgumentError, match="backing_policy"):
        qed.open(overlay, backing_directory=store, backing_policy="follow")


def test_options_are_checked_by_name_and_value(made: Path) -> None:
    with pytest.raises(qed.InvalidArgumentError, match=r"cash.*cache"):
        qed.open(made, cash="none")  # type: ignore[call-arg]
    with pytest.raises(qed.InvalidArgumentError, match=r"writeback.*unsafe"):
        qed.open(made, cache="sometimes")  # type: ignore[arg-type]
    with pytest.raises(qed.InvalidArgumentError, match=r"cluster_size"):
        qed.open(made, cluster_size=4096)  # type: ignore[call-arg]
    with pytest.raises(qed.InvalidArgumentError, match=r"-5"):
        qed.open(made, max_depth=-5)
    with qed.open(made, "r+", cache="writethrough", l2_cache_size="1M", lock="off") as image:
        image.pwrite(b"HELLO", 0)
    with qed.open(made, discard="ignore", detect_zeroes="unmap", trust="untrusted") as image:
        assert image.pread(5, 0) == b"HELLO"
