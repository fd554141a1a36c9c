"""Queues: requests handed in and answered later, on either engine; and batches of them."""

import gc
import select
import signal
import subprocess
import sys
import textwrap
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import pytest

import qed
from support.images import CLUSTER, pattern

Engine = Literal["io_uring", "threads"]
MIB = 1 << 20
LONG_S = 100


@pytest.fixture(params=["io_uring", "threads"])
def aio(request: pytest.FixtureRequest) -> Engine:
    """Return the engine that is asked for; where io_uring is refused, threads stand in."""
    return request.param  # type: ignore[no-any-return]


@pytest.fixture
def queue(image: qed.Image, aio: Engine) -> Iterator[qed.Queue]:
    """Return a queue over a new image of 10 MiB."""
    with image.queue(16, aio=aio, workers=3) as queue:
        yield queue


def finish(queue: qed.Queue) -> dict[Any, bytes | None]:
    """Wait for everything, all of which has to have succeeded."""
    return {done.user_data: done.result() for done in queue.do_io(min=queue.pending)}


def test_every_kind_of_request(queue: qed.Queue, image: qed.Image) -> None:
    data, target, parts = pattern(1, 5000), bytearray(5000), [bytearray(4000), bytearray(1000)]
    queue.pwrite(data, 777, "write")
    queue.pwritev([data[:100], data[100:]], MIB + 1, "gather", fua=True)
    assert queue.pending == 2
    assert finish(queue) == {"write": None, "gather": None}
    queue.pread(5000, 777, "read")
    queue.pread_into(target, MIB + 1, "into")
    queue.preadv(parts, 777, "scatter")
    assert finish(queue) == {"read": data, "into": None, "scatter": None}
    assert target == data == b"".join(parts)
    queue.write_zeroes(MIB, 4096, may_unmap=True, fua=True)
    queue.discard(2 * MIB, MIB)
    assert finish(queue) == {None: None}
    queue.flush("flush")
    queue.pread(0, 0, "nothing")
    assert finish(queue) == {"flush": None, "nothing": b""}
    assert image.pread(5000, 777) == data
    assert image.pread(4096, MIB) == bytes(4096)


def test_a_request_that_fails_says_so_and_no_other_does(queue: qed.Queue, path: Path) -> None:
    queue.pread(1, 1 << 40, "past")
    queue.pwrite(b"x", 5, "good")
    done = {completion.user_data: completion for completion in queue.do_io(min=2)}
    error = done["past"].error
    assert isinstance(error, qed.InvalidArgumentError)
    assert (error.filename, error.offset) == (str(path), 1 << 40)
    assert done["past"].data is None
    with pytest.raises(qed.InvalidArgumentError):
        done["past"].result()
    assert done["good"].error is None
    assert "past" in repr(done["past"])
    assert repr(done["good"]) == "<qed.Completion user_data='good' done>"


def test_a_full_queue_is_busy_and_a_timeout_is_no_error(image: qed.Image, aio: Engine) -> None:
    with image.queue(2, aio=aio) as queue:
        assert queue.do_io(min=3) == []
        queue.pread(1, 0)
        queue.pread(1, 1)
        with pytest.raises(qed.BusyError, match="full"):
            queue.flush()
        assert len(queue.do_io(min=1, max=1)) == 1
        assert queue.pending == 1
        queue.flush()
        assert len(queue.do_io(min=2, timeout=LONG_S)) == 2
        assert queue.do_io(min=0, timeout=0) == []
        assert queue.depth == 2
        with image.quiesced():
            queue.flush("waits")
            assert queue.do_io(timeout=0) == queue.do_io(timeout=0.001) == []
        assert finish(queue) == {"waits": None}


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda image: image.queue(0), "depth is 0, not 1 to 4096"),
        (lambda image: image.queue(4097), "depth is 4097"),
        (lambda image: image.queue(workers=257), "workers is 257"),
        (lambda image: image.queue(aio="native"), "takes io_uring, threads"),
        (lambda image: image.queue(cache="none"), "queue has no option"),
        (lambda image: image.batch([], depth=0), "depth is 0"),
        (lambda image: qed.aio_refusal("native"), "takes io_uring, threads"),  # type: ignore[arg-type]
    ],
)
def test_what_makes_no_sense_is_refused(
    image: qed.Image, call: Callable[[Any], object], text: str
) -> None:
    with pytest.raises(qed.InvalidArgumentError, match=text):
        call(image)


def test_waiting_takes_numbers_that_make_sense(queue: qed.Queue) -> None:
    for timeout in (-1.0, float("nan"), 1e30):
        with pytest.raises(qed.InvalidArgumentError, match="makes no sense"):
            queue.do_io(timeout=timeout)
    with pytest.raises(qed.InvalidArgumentError, match="at least 2 completions, but at most 1"):
        queue.do_io(min=2, max=1)
    block = bytearray(10)
    with pytest.raises(qed.InvalidArgumentError, match="overlap"):
        queue.preadv([block, block], 0)
    with pytest.raises(TypeError):
        queue.pread_into(b"constant", 0)
    with pytest.raises(qed.InvalidArgumentError):
        queue.pread(1 << 62, 0)
    assert queue.pending == 0


def test_the_engine_at_work_is_told(image: qed.Image) -> None:
    with image.queue(aio="threads") as queue:
        assert queue.aio == "threads"
        assert repr(queue).endswith("depth=128 aio='threads'>")
    assert qed.aio_refusal("threads") is None
    refusal = qed.aio_refusal()
    with image.queue() as queue:
        assert queue.aio == ("io_uring" if refusal is None else "threads")
        assert (queue.fallback is None) is (refusal is None)
        assert queue.image is image


def test_threads_stand_in_where_a_disk_is_no_plain_file(path: Path) -> None:
    qed.create(path, "1M", format="qcow2")
    with qed.open(path, "r+", format="qcow2") as image, image.queue(aio="io_uring") as queue:
        assert queue.aio == "threads"
        assert queue.fallback
        queue.pwrite(b"x", 5)
        queue.do_io()
        assert image.pread(1, 5) == b"x"


def test_buffers_are_pinned_until_their_completion(queue: qed.Queue, image: qed.Image) -> None:
    # Goal: no buffer in flight is freed. Method: the disk is at rest, so the request stays under
    # way; a pinned bytearray cannot be resized, and an object that nobody names lives on.
    target = bytearray(4096)
    image.pwrite(b"\5" * 4096, 0)
    with image.quiesced():
        queue.pread_into(target, 0)
        queue.pwrite(bytearray(b"\6" * 4096), CLUSTER)
        assert queue.do_io(min=0) == []
        gc.collect()
        with pytest.raises(BufferError):
            target.append(0)
    finish(queue)
    target.append(0)
    assert target == b"\5" * 4096 + b"\0"
    assert image.pread(4096, CLUSTER) == b"\6" * 4096


def test_closing_settles_what_has_begun(image: qed.Image, aio: Engine) -> None:
    queue = image.queue(aio=aio)
    queue.pwrite(b"begun", 0)
    queue.submit()
    queue.pwrite(b"queued", 4096)
    with pytest.raises(qed.BusyError, match="a queue that is not closed"):
        image.close()
    assert not image.closed
    queue.close()
    queue.close()
    assert queue.closed
    assert repr(queue) == "<qed.Queue closed>"
    assert image.pread(5, 0) == b"begun"
    assert image.pread(6, 4096) == bytes(6)
    for call in (queue.flush, queue.submit, queue.do_io, queue.fileno, lambda: queue.pending):
        with pytest.raises(ValueError, match="closed queue"):
            call()
    image.close()


def test_a_leaked_queue_is_closed_with_a_warning(image: qed.Image, path: Path) -> None:
    queue = image.queue(4, aio="threads")
    queue.pwrite(b"kept", 0)
    queue.submit()
    with pytest.warns(ResourceWarning, match=r"unclosed <qed.Queue of .* depth=4"):
        del queue
    image.close()
    with qed.open(path) as again:
        assert again.pread(4, 0) == b"kept"


def test_queues_in_cycles_are_collected_with_their_images(path: Path, aio: Engine) -> None:
    # Goal: a request's tag that leads back to the queue keeps nothing alive. Method: such a
    # cycle, dropped; the image can be opened for writing again only when it was closed.
    qed.create(path, "1M")
    image = qed.open(path, "r+")
    queue = image.queue(aio=aio)
    queue.pwrite(b"x", 0, [queue, image])
    queue.submit()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        del queue, image
        gc.collect()
    with qed.open(path, "r+") as again:
        assert again.pread(1, 0) == b"x"


def test_the_descriptor_is_readable_while_completions_wait(queue: qed.Queue) -> None:
    poll = select.poll()
    poll.register(queue, select.POLLIN)
    queue.pread(4096, 0)
    queue.submit()
    assert poll.poll() == [(queue.fileno(), select.POLLIN)]
    while not queue.do_io(min=0):
        poll.poll()
    assert poll.poll(0) == []


def until_inside(queue: qed.Queue) -> None:
    """Return when another thread is inside a call with the queue."""
    while True:
        try:
            queue.pending  # noqa: B018 - asking is the point
        except qed.BusyError:
            return


def test_a_second_thread_is_told_to_come_later(queue: qed.Queue, image: qed.Image) -> None:
    done: list[qed.Completion] = []

    def wait() -> None:
        while not done:
            try:
                done.extend(queue.do_io())
            except qed.BusyError:
                continue

    with image.quiesced():
        queue.flush()
        thread = threading.Thread(target=wait)
        thread.start()
        until_inside(queue)
    thread.join()
    assert done[0].error is None


def test_a_signal_ends_waiting_and_loses_nothing(queue: qed.Queue, image: qed.Image) -> None:
    class InterruptedByTestError(Exception):
        pass

    def interrupt(*_: object) -> None:
        raise InterruptedByTestError

    main = threading.get_ident()

    def send() -> None:
        until_inside(queue)
        signal.pthread_kill(main, signal.SIGUSR1)

    before = signal.signal(signal.SIGUSR1, interrupt)
    try:
        with image.quiesced():
            queue.pwrite(b"x", 0, "write")
            sender = threading.Thread(target=send)
            sender.start()
            with pytest.raises(InterruptedByTestError):
                queue.do_io()
            sender.join()
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert finish(queue) == {"write": None}


def test_a_forked_child_is_refused(path: Path, aio: Engine) -> None:
    script = f"""
        import os, warnings
        import qed
        warnings.simplefilter("ignore", DeprecationWarning)
        image = qed.open({str(path)!r}, "r+")
        queue = image.queue(4, aio={aio!r})
        queue.pwrite(b"before", 0)
        queue.do_io()
        pid = os.fork()
        if pid == 0:
            for call in (queue.flush, queue.do_io, lambda: image.queue(1)):
                try:
                    call()
                except qed.InvalidArgumentError as error:
                    assert "fork" in str(error), error
                else:
                    os._exit(3)
            queue.close()
            del queue, image
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        queue.pread(6, 0)
        assert queue.do_io()[0].data == b"before"
        queue.close()
        image.close()
        """
    qed.create(path, "1M")
    done = subprocess.run(
        [sys.executable, "-W", "error::ResourceWarning", "-c", textwrap.dedent(script)],
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_batch_answers_in_the_order_of_its_requests(image: qed.Image, aio: Engine) -> None:
    target = bytearray(512)
    requests: list[Any] = [qed.Write(pattern(n, 4096), n * CLUSTER) for n in range(100)]
    requests += [qed.Flush(), qed.ReadInto(target, 5 * CLUSTER), qed.Discard(0, CLUSTER)]
    requests += [qed.WriteZeroes(CLUSTER, CLUSTER, may_unmap=True, fua=True), qed.Flush()]
    requests += [qed.Read(4096, n * CLUSTER) for n in range(100)]
    results = image.batch(requests, depth=7, aio=aio, workers=2)
    assert results[:105] == [None] * 105
    zeroed = [bytes(4096)] * 2
    assert results[105:] == zeroed + [pattern(n, 4096) for n in range(2, 100)]
    assert target == pattern(5, 4096)[:512]
    assert image.batch([]) == []


def test_a_batch_carries_out_all_and_tells_the_first_failure(
    queue: qed.Queue, image: qed.Image
) -> None:
    requests: list[Any] = [qed.Write(b"a", 0), qed.Read(1, 1 << 40), qed.Flush()]
    requests.append(qed.Read(1, 1 << 41))
    requests.append(qed.Write(b"b", 1))
    with pytest.raises(qed.InvalidArgumentError, match=str(1 << 40)):
        queue.batch(requests)
    assert image.pread(2, 0) == b"ab"
    results = queue.batch(requests, return_exceptions=True)
    assert [type(result) for result in results] == [
        type(None),
        qed.InvalidArgumentError,
        type(None),
        qed.InvalidArgumentError,
        type(None),
    ]
    with pytest.raises(TypeError):
        queue.batch([qed.Write(b"c", 2), qed.ReadInto(b"constant", 0)])
    assert queue.pending == 0
    assert image.pread(3, 0) == b"abc"
    queue.flush()
    with pytest.raises(qed.BusyError, match="for itself"):
        queue.batch([])
    finish(queue)


def test_a_flush_in_a_batch_keeps_its_place(image: qed.Image, aio: Engine) -> None:
    # Goal: what stands behind a flush sees what stands before it. Method: overlapping writes.
    requests: list[Any] = []
    for turn in range(30):
        requests += [qed.Write(bytes([turn]) * 100, 50), qed.Flush(), qed.Read(100, 50)]
        requests.append(qed.Flush())
    results = image.batch(requests, aio=aio)
    assert results[2::4] == [bytes([turn]) * 100 for turn in range(30)]
