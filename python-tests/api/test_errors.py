"""The exceptions: attributes, text, the builtins they also are, and that they travel."""

import errno
import io
import pickle
from pathlib import Path

import pytest

import qed
from qed import _errors, _qed
from support.images import put_word

BUILTINS = {
    qed.InvalidArgumentError: ValueError,
    qed.ReadOnlyError: io.UnsupportedOperation,
    qed.LockedError: BlockingIOError,
    qed.RefusedError: PermissionError,
    qed.NotFoundError: FileNotFoundError,
    qed.ExistsError: FileExistsError,
    qed.PermissionDeniedError: PermissionError,
    qed.NotQedError: ValueError,
}


def test_every_kind_of_the_engine_has_a_class_of_its_own() -> None:
    kinds = _qed.error_kinds()
    assert len(kinds) == len(set(kinds)) >= 16
    classes = [type(_errors.from_native(kind, errno.EIO, "text", None, None)) for kind in kinds]
    assert len(set(classes)) == len(kinds)
    assert [cls.kind for cls in classes] == kinds
    for cls in classes:
        assert cls.__name__ in qed.__all__


@pytest.mark.parametrize(("cls", "builtin"), BUILTINS.items())
def test_classes_are_also_what_a_person_would_catch(
    cls: type[qed.Error], builtin: type[BaseException]
) -> None:
    assert issubclass(cls, builtin)
    assert issubclass(cls, OSError)


def test_an_unknown_kind_is_a_plain_error() -> None:
    error = _errors.from_native("from-the-future", 5, "text", "file", 4096)
    assert type(error) is qed.Error
    assert error.kind == "from-the-future"


def test_attributes_and_text_of_a_real_error(path: Path) -> None:
    qed.create(path, "1M")
    with qed.open(path) as image, pytest.raises(qed.Error) as caught:
        image.pread(1, 1 << 20)
    error = caught.value
    assert error.kind == "invalid-argument"
    assert error.errno == errno.EINVAL
    assert error.offset == 1 << 20
    with pytest.raises(qed.Error) as caught:
        qed.open(path.with_name("nope"))
    error = caught.value
    assert error.kind == "not-found"
    assert error.errno == errno.ENOENT
    assert error.filename == str(path.with_name("nope"))
    assert error.offset is None
    assert str(error).startswith(f"{error.filename}: ")
    assert str(error).count("nope") == 1
    assert not str(error).endswith(".")


def test_damage_names_the_numbers(path: Path) -> None:
    qed.create(path, "1M")
    put_word(path, 16, 1 << 20)
    with pytest.raises(qed.UnsupportedError, match="0x100000") as unsupported:
        qed.open(path)
    assert unsupported.value.errno == errno.ENOTSUP
    put_word(path, 16, 0)
    put_word(path, 48, 511)
    with pytest.raises(qed.CorruptError, match="511") as corrupt:
        qed.open(path)
    assert corrupt.value.errno == errno.EUCLEAN


@pytest.mark.parametrize("name", [name for name in qed.__all__ if name.endswith("Error")])
def test_exceptions_survive_pickling(name: str) -> None:
    cls = getattr(qed, name)
    for arguments in ((5, "text"), (5, "text", "file")):
        error = cls(*arguments, kind="latched", offset=512)
        copy = pickle.loads(pickle.dumps(error))
        assert type(copy) is cls
        assert (copy.errno, copy.strerror, copy.filename) == (5, "text", error.filename)
        assert (copy.kind, copy.offset, str(copy)) == ("latched", 512, str(error))


def test_an_operating_systems_error_keeps_its_number(tmp_path: Path) -> None:
    with pytest.raises(qed.Error) as caught:
        qed.create(tmp_path / "no" / "such" / "directory", "1M")
    assert caught.value.errno == errno.ENOENT
    assert isinstance(caught.value, FileNotFoundError)
