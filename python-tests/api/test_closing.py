"""Closing: once, twice, by `with`, by neglect, and in a child process."""

import copy
import gc
import os
import pickle
import subprocess
import sys
import textwrap
import warnings
import weakref
from pathlib import Path

import pytest

import qed


def test_closed_twice_without_harm_and_useless_afterwards(path: Path) -> None:
    qed.create(path, "1M")
    image = qed.open(path, "r+")
    assert not image.closed
    image.close()
    image.close()
    assert image.closed
    assert "closed" in repr(image)
    for call in (
        lambda: image.pread(1, 0),
        lambda: image.pwrite(b"x", 0),
        lambda: image.size,
        image.flush,
        image.info,
        image.extents,
    ):
        with pytest.raises(ValueError, match="closed"):
            call()
    layer = qed.inspect(path)
    layer.close()
    layer.close()
    assert layer.closed
    with pytest.raises(ValueError, match="closed"):
        layer.info()


def test_an_exception_inside_with_still_closes(path: Path) -> None:
    qed.create(path, "1M")
    image = qed.open(path, "r+")

    def fail() -> None:
        with image:
            image.pwrite(b"kept", 0)
            raise LookupError

    with pytest.raises(LookupError):
        fail()
    assert image.closed
    with qed.open(path) as again:
        assert again.pread(4, 0) == b"kept"


def test_an_image_cannot_be_copied(path: Path) -> None:
    qed.create(path, "1M")
    with qed.open(path) as image, qed.inspect(path) as layer:
        for handle in (image, layer):
            for duplicate in (copy.copy, copy.deepcopy, pickle.dumps):
                with pytest.raises(TypeError):
                    duplicate(handle)


def test_a_leaked_image_warns_and_is_closed(path: Path) -> None:
    qed.create(path, "1M")
    images = [qed.open(path, "r+")]
    images[0].pwrite(b"kept", 0)
    with pytest.warns(ResourceWarning, match=r"unclosed <qed\.Image .*disk\.qed") as caught:
        images.clear()
    assert len(caught) == 1
    with qed.open(path, "r+") as again:
        assert again.pread(4, 0) == b"kept"


def test_an_image_whose_construction_was_interrupted_is_closed(path: Path) -> None:
    # Method: only the half that opens runs, as when Ctrl-C comes behind it.
    qed.create(path, "1M")
    images = [qed.Image.__new__(qed.Image, path, "r+")]
    with pytest.warns(ResourceWarning, match=r"unclosed <qed\.Image None mode='r\+'>"):
        images.clear()
    qed.open(path, "r+").close()


def test_a_closed_image_does_not_warn(path: Path) -> None:
    qed.create(path, "1M")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        image = qed.open(path)
        gone = weakref.ref(image)
        image.close()
        del image
        gc.collect()
    assert gone() is None
    assert caught == []


def test_an_open_that_fails_leaves_no_descriptor(path: Path) -> None:
    path.write_bytes(b"QED\0" + bytes(65536))
    before = sorted(os.listdir("/proc/self/fd"))
    for verb in (qed.open, qed.inspect, qed.check, qed.info):
        with pytest.raises(qed.Error):
            verb(path)
    assert sorted(os.listdir("/proc/self/fd")) == before


def test_descriptors_are_not_inherited(path: Path) -> None:
    qed.create(path, "1M")
    with qed.open(path) as image, qed.inspect(path) as layer:
        numbers = map(int, os.listdir("/proc/self/fd"))
        ours = [number for number in numbers if _target(number) == str(path)]
        assert len(ours) >= 2
        assert not any(os.get_inheritable(fd) for fd in ours)
        assert image.size == layer.size


def _target(descriptor: int) -> str:
    try:
        return os.readlink(f"/proc/self/fd/{descriptor}")
    except OSError:
        return ""


def test_a_forked_child_can_neither_use_nor_harm_the_image(path: Path) -> None:
    # Goal: an inherited image is inert. Method: the child tries every way to touch it, drops it,
    # and exits the long way; the parent then goes on.
    script = f"""
        import os, sys, warnings
        import qed
        warnings.simplefilter("error")
        image = qed.open({str(path)!r}, "r+")
        image.pwrite(b"before", 0)
        pid = os.fork()
        if pid == 0:
            for call in (image.flush, lambda: image.pread(1, 0), lambda: image.pwrite(b"x", 0)):
                try:
                    call()
                except qed.InvalidArgumentError as error:
                    assert "fork" in str(error), error
                else:
                    os._exit(3)
            del image
            sys.exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        image.pwrite(b"after", 65536)
        image.close()
        """
    qed.create(path, "1M")
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")
    with qed.open(path) as image:
        assert image.pread(6, 0) == b"before"
        assert image.pread(5, 65536) == b"after"
    assert qed.check(path).clean


def test_close_reports_what_the_last_flush_failed_at(path: Path) -> None:
    # Goal: no error is lost, and the image is closed all the same. Method: a limit on the file's
    # size fails the metadata that closing writes; a process of its own, for the limit is its.
    script = f"""
        import resource, signal
        import qed
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        image = qed.open({str(path)!r}, "r+")
        image.pwrite(b"stable", 0)
        image.flush()
        image.pwrite(b"lost", 5 << 20)
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
        try:
            image.close()
        except qed.Error as error:
            assert error.filename == {str(path)!r}, error
        else:
            raise SystemExit("closing succeeded")
        assert image.closed
        image.close()
        """
    qed.create(path, "10M")
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(script)],
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    with qed.open(path, "r+") as image:
        assert image.pread(6, 0) == b"stable"
        assert image.pread(4, 5 << 20) in (b"lost", bytes(4))
    assert qed.check(path).clean


def test_an_image_left_open_at_exit_is_closed(path: Path) -> None:
    qed.create(path, "1M")
    script = f"import qed; i = qed.open({str(path)!r}, 'r+'); i.pwrite(b'kept', 0)"
    done = subprocess.run(
        [sys.executable, "-W", "default", "-c", script], capture_output=True, check=False
    )
    assert done.returncode == 0
    assert b"ResourceWarning" in done.stderr
    with qed.open(path) as image:
        assert image.pread(4, 0) == b"kept"
