"""`qed.aio`: requests that are awaited, on either engine."""

import asyncio
import gc
import threading
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, Literal

import pytest

import qed
import qed.aio
from support.images import CLUSTER, pattern

Engine = Literal["io_uring", "threads"]
MIB = 1 << 20


@pytest.fixture(params=["io_uring", "threads"])
def aio(request: pytest.FixtureRequest) -> Engine:
    """Return the engine that is asked for; where io_uring is refused, threads stand in."""
    return request.param  # type: ignore[no-any-return]


@pytest.fixture
def disk(path: Path) -> Path:
    """Return the path of a new image of 10 MiB."""
    qed.create(path, "10M")
    return path


def run(main: Coroutine[Any, Any, None]) -> None:
    asyncio.run(main, debug=True)


def test_every_kind_of_request(disk: Path, aio: Engine) -> None:
    async def main() -> None:
        data, target, parts = pattern(1, 5000), bytearray(5000), [bytearray(4000), bytearray(1000)]
        async with qed.aio.open(disk, "r+", aio=aio, workers=2, cache="writeback") as image:
            assert image.size == 10 * MIB
            await image.pwrite(data, 777)
            await image.pwritev([data[:7], data[7:]], MIB, fua=True)
            assert await image.pread(5000, 777) == data
            await image.pread_into(target, MIB)
            await image.preadv(parts, 777)
            assert target == data == b"".join(parts)
            await image.write_zeroes(MIB, 100, may_unmap=True, fua=True)
            await image.discard(2 * MIB, MIB)
            await image.flush()
            assert await image.pread(200, MIB) == bytes(100) + data[100:200]
            assert image.queue_engine in ("io_uring", "threads")
            with pytest.raises(qed.InvalidArgumentError, match="pass"):
                await image.pread(1, 10 * MIB)
        assert image.closed
        await image.close()
        with pytest.raises(ValueError, match="closed"):
            await image.pread(1, 0)

    run(main())
    assert qed.check(disk).clean


def test_many_tasks_share_a_queue_that_is_less_deep(disk: Path, aio: Engine) -> None:
    # Goal: tasks wait for room, and nothing is lost or mixed up. Method: 300 tasks, depth 5.
    async def main() -> None:
        async def work(number: int) -> None:
            data = pattern(number, 3000)
            await image.pwrite(data, number * 3000)
            assert await image.pread(3000, number * 3000) == data

        async with qed.aio.open(disk, "r+", depth=5, aio=aio) as image:
            await asyncio.gather(*(work(number) for number in range(300)))

    run(main())
    with qed.open(disk) as image:
        for number in range(300):
            assert image.pread(3000, number * 3000) == pattern(number, 3000)


def test_a_cancelled_task_leaves_its_buffer_to_the_request(disk: Path, aio: Engine) -> None:
    # Goal: cancelling frees no buffer in flight. Method: the disk is at rest, so a request stays
    # under way when its task is cancelled; its bytearray cannot be resized until it has ended.
    async def main() -> None:
        target = bytearray(4096)
        with qed.open(disk, "r+") as blocking:
            blocking.pwrite(b"\7" * 4096, 0)
            async with qed.aio.Image(blocking, 2, aio=aio) as image:
                blocking.quiesce()
                tasks: list[asyncio.Task[Any]] = [asyncio.create_task(image.pread_into(target, 0))]
                tasks += [asyncio.create_task(image.pread(1, 0)) for _ in range(3)]
                for _ in range(5):
                    await asyncio.sleep(0)
                for task in (tasks[0], tasks[2]):  # one under way, one that waits for room
                    task.cancel()
                    with pytest.raises(asyncio.CancelledError):
                        await task
                with pytest.raises(BufferError):
                    target.append(0)
                blocking.resume()
                assert await tasks[1] == await tasks[3] == b"\7"
            target.append(0)
            assert target == b"\7" * 4096 + b"\0"
            assert not blocking.closed

    run(main())


def test_closing_waits_for_what_is_under_way_and_refuses_what_comes(
    disk: Path, aio: Engine
) -> None:
    async def main() -> None:
        with qed.open(disk, "r+") as blocking:
            image = qed.aio.Image(blocking, 1, aio=aio)
            blocking.quiesce()
            under_way = asyncio.create_task(image.pwrite(b"kept", 0))
            waiting = asyncio.create_task(image.pwrite(b"late", 8))
            await asyncio.sleep(0)
            closing = [asyncio.create_task(image.close()) for _ in range(2)]
            for _ in range(5):
                await asyncio.sleep(0)
            assert not any(task.done() for task in (under_way, waiting, *closing))
            closing[0].cancel()
            blocking.resume()
            await under_way
            with pytest.raises(ValueError, match="closed"):
                await waiting
            await closing[1]
            assert blocking.pread(12, 0) == b"kept" + bytes(8)

    run(main())


def test_a_loop_that_ends_settles_what_was_being_closed(disk: Path, aio: Engine) -> None:
    # Goal: asyncio.run cancels all tasks at its end; what is under way is waited for all the same.
    async def main() -> None:
        image = await qed.aio.open(disk, "r+", aio=aio)
        writes = [asyncio.create_task(image.pwrite(b"x" * 512, n * 512)) for n in range(50)]
        await asyncio.sleep(0)
        closing = asyncio.create_task(image.close())
        await asyncio.sleep(0)
        assert not closing.done()
        assert len(writes) == 50

    run(main())
    with qed.open(disk, "r+") as again:
        assert again.pread(512 * 50, 0) == b"x" * 512 * 50


def test_each_loop_has_an_image_of_its_own_over_one(disk: Path, aio: Engine) -> None:
    # Goal: several loops, in threads of their own, over one image. Method: each writes its part.
    with qed.open(disk, "r+") as blocking:

        async def main(number: int) -> None:
            async with qed.aio.Image(blocking, 8, aio=aio) as image:
                places = [(turn * 4 + number) * CLUSTER for turn in range(30)]
                await asyncio.gather(
                    *(image.pwrite(pattern(number, CLUSTER), place) for place in places)
                )
                await image.flush()

        threads = [
            threading.Thread(target=asyncio.run, args=(main(number),)) for number in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for place in range(120):
            assert blocking.pread(CLUSTER, place * CLUSTER) == pattern(place % 4, CLUSTER)


def test_an_image_belongs_to_its_loop(disk: Path) -> None:
    with qed.open(disk, "r+") as blocking:

        async def make() -> qed.aio.Image:
            return qed.aio.Image(blocking)

        first = asyncio.new_event_loop()
        image = first.run_until_complete(make())

        async def misuse() -> None:
            for call in (image.pread(1, 0), image.quiesce(), image.close()):
                with pytest.raises(qed.InvalidArgumentError, match="another event loop"):
                    await call

        run(misuse())
        first.run_until_complete(image.close())
        first.close()
    with pytest.raises(RuntimeError, match="no running event loop"):
        qed.aio.Image(blocking)


def test_opening_fails_as_it_does_without_asyncio(disk: Path) -> None:
    async def main() -> None:
        with pytest.raises(FileNotFoundError):
            await qed.aio.open("nowhere.qed")
        with pytest.raises(qed.InvalidArgumentError, match="unknown option"):
            await qed.aio.open(disk, colour="blue")  # type: ignore[call-arg]
        with pytest.raises(qed.InvalidArgumentError, match="depth is 0"):
            async with qed.aio.open(disk, "r+", depth=0):
                pass
        image = await qed.aio.open(disk, "r+")
        await image.close()

    run(main())


def test_a_leaked_image_warns(disk: Path) -> None:
    # Goal: what nobody closed is closed, with a warning. Method: a loop ends and lets go of it.
    images = []

    async def main() -> None:
        images.append(await qed.aio.open(disk, "r+"))
        await images[0].pwrite(b"kept", 0)

    run(main())
    gc.collect()
    with pytest.warns(ResourceWarning, match=r"unclosed <qed\.aio\.Image of .* aio="):
        images.clear()
    with qed.open(disk, "r+") as again:
        assert again.pread(4, 0) == b"kept"


def test_quiesced_lets_other_tasks_wait_and_refuses_its_own(disk: Path, aio: Engine) -> None:
    async def main() -> None:
        async with qed.aio.open(disk, "r+", aio=aio) as image:
            async with image.quiesced():
                other = asyncio.create_task(image.pwrite(b"other", 0))
                with pytest.raises(qed.BusyError, match="this very task"):
                    await image.pread(1, 0)
                with qed.open(disk, "r+") as somebody:
                    somebody.pwrite(b"somebody", 4096)
                assert not other.done()
            await other
            assert await image.pread(8, 4096) == b"somebody"
            with pytest.raises(qed.InvalidArgumentError, match="not quiesced"):
                await image.resume()

    run(main())


def test_a_cancelled_quiesce_leaves_a_disk_that_runs(disk: Path) -> None:
    async def main() -> None:
        async with qed.aio.open(disk, "r+") as image:
            task = asyncio.create_task(image.quiesce())
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await image.pwrite(b"goes on", 0)
            assert await image.pread(7, 0) == b"goes on"

    run(main())


def test_an_overlay_beside_requests(disk: Path, aio: Engine) -> None:
    async def main() -> None:
        overlay = disk.with_name("overlay.qed")
        async with qed.aio.open(disk, "r+", aio=aio) as image:
            await image.pwrite(b"before", 0)
            stop = asyncio.Event()

            async def guest(number: int) -> int:
                value = 0
                while not stop.is_set():
                    value += 1
                    data = value.to_bytes(8, "little")
                    await image.pwrite(data, MIB + number * 8)
                    assert await image.pread(8, MIB + number * 8) == data
                return value

            guests = [asyncio.create_task(guest(number)) for number in range(4)]
            await asyncio.sleep(0)
            await image.add_overlay(overlay, cluster_size="4K")
            await image.pwrite(b"after", 0)
            stop.set()
            values = await asyncio.gather(*guests)
            assert image.image.path == str(overlay)
        with qed.open(disk) as below, qed.open(overlay) as above:
            assert below.pread(6, 0) == b"before"
            assert above.pread(6, 0) == b"aftere"
            seen = [
                int.from_bytes(above.pread(8, MIB + number * 8), "little") for number in range(4)
            ]
            assert seen == values

    run(main())
