"""`qed bench`: how fast a disk answers requests, as qemu-img measures and says it.

Requests go through queues, one for each thread. `-i io_uring` and `-i threads` name the engine;
`-i native` and `-n`, QEMU's names for Linux AIO, mean the kernel's asynchronous I/O as well, which
here is io_uring, and ask for a cache mode without the page cache as QEMU does. Which engine ran is
said: where the system refuses io_uring, threads do the work.
"""

import errno
import os
from collections.abc import Iterator
from typing import Any, Literal, cast

import qed
from qed._bench import MAX_DEPTH, MAX_THREADS, BenchOptions
from qed.cli import _command as command_line
from qed.cli._command import CACHES, Arguments, Command
from qed.cli._opening import Named, find
from qed.cli._output import json_text, printable
from qed.cli._program import Failure, Program
from qed.cli._sizes import integer, size

_INT_MAX = (1 << 31) - 1
_OURS = ("random", "seed", "threads", "trace", "latency", "output", "json")

_AIOS: dict[str, Literal["io_uring", "threads"]] = {
    "io_uring": "io_uring",
    "threads": "threads",
    "native": "io_uring",
}
"""What -i takes, and what the engine calls it."""

_PATTERN_OPTIONS = {
    "count": "--count",
    "buffer_size": "--buffer-size",
    "step_size": "--step-size",
    "offset": "--offset",
    "write": "--write",
    "random": "--random",
    "seed": "--seed",
    "flush_interval": "--flush-interval",
}
"""What says which requests are sent: a trace says that itself."""


def command(program: Program) -> Command:
    """Return the verb."""
    return Command(
        program,
        "bench",
        run,
        [*_opening_options(), *_request_options(), *_report_options()],
        ours=_OURS,
        summary="Measure how fast a disk answers requests.",
        about="Offsets begin again at the disk's start where they pass its end. Requests go "
        "through queues, on io_uring where the system allows it; what ran is said. Writing "
        "replaces what is on the disk; so does a trace that writes. A trace has a request a line, "
        "OP first_sector sector_count, in sectors of 512 bytes: R read, W write, WA write with "
        "forced unit access, Z write zeroes, D discard, F flush; requests that conflict keep "
        "their order.",
        examples=[
            "bench -t none -d 32 disk.qed",
            "bench -w -c 5000 -S 64k --flush-interval 64 -d 16 --latency disk.qed",
            "bench --trace install.trace.gz --json disk.qed",
        ],
    )


def _opening_options() -> list[Any]:
    return [
        command_line.format_option(),
        command_line.image_options(),
        command_line.cache("-t", "--cache", what="FILE"),
        command_line.option(
            "-i",
            "--aio",
            metavar="AIO",
            help="What carries requests out: io_uring, threads, or native (io_uring).",
            shell_complete=command_line.completing(list(_AIOS)),
        ),
        command_line.flag("-n", "--native", help="The same as -i native."),
        command_line.force_share(),
        command_line.policy(),
        command_line.refused("--object", value=True),
    ]


def _request_options() -> list[Any]:
    option, flag = command_line.option, command_line.flag
    return [
        option("-c", "--count", metavar="COUNT", help="Requests (75000)."),
        option("-s", "--buffer-size", metavar="SIZE", help="Bytes of each request (4096)."),
        option("-d", "--depth", metavar="DEPTH", help="Requests in flight (64; 1 with --trace)."),
        option("--threads", metavar="N", help="Share them among N threads, a queue each (1)."),
        option("-o", "--offset", metavar="OFFSET", help="Where the first request begins (0)."),
        option("-S", "--step-size", metavar="STEP", help="From one to the next (SIZE)."),
        flag("--random", help="Draw the offsets by lot: multiples of STEP behind OFFSET."),
        option("--seed", metavar="SEED", help="Draw others (0)."),
        flag("-w", "--write", help="Write rather than read."),
        option("--pattern", metavar="BYTE", help="What is written (0)."),
        option(
            "--flush-interval",
            metavar="N",
            help="Flush where the requests left are a multiple of N; DEPTH is N at most.",
        ),
        flag("--no-drain", help="Flush beside the requests in flight, not after them."),
        option("--trace", metavar="TRACE", help="Send the requests of a trace; it may be gzip's."),
    ]


def _report_options() -> list[Any]:
    return [
        command_line.flag("--latency", help="Show percentiles of the latency as well."),
        command_line.output(),
        command_line.flag("--json", help="The same as --output=json."),
        command_line.quiet(),
        command_line.file_argument(),
    ]


def run(program: Program, arguments: Arguments) -> int:
    """Send the requests and say how long they took."""
    options = _options(program, arguments)
    file = command_line.one_file(arguments)
    _check(program, arguments, options)
    writes = arguments.write or arguments.trace is not None
    if writes and arguments.force_share:
        raise Failure(
            f"Could not open '{file}': force-share=on can only be used with read-only images"
        )
    json = arguments.json or arguments.output == "json"
    # QEMU's tool takes -q and prints all the same; what parses its output relies on that.
    quiet = arguments.quiet and not program.is_qemu
    image = find(program, arguments, file, format_name=arguments.format, cache=arguments.cache)
    with image.open("r+" if writes else "r", policy=arguments.policy) as disk:
        if not json and not quiet:
            print("\n".join(_announcement(arguments, options)), flush=True)
        result = _bench(program, arguments, options, disk)
    if json and not quiet:
        print(json_text(_document(image, options, result)))
    elif not quiet:
        if not program.is_qemu:
            print(f"Engine: {_engine(options, result)}")
        print(f"Run completed in {result.seconds:.3f} seconds.")
        if arguments.latency:
            print("\n".join(_latencies(result)))
    return 0


def _options(program: Program, given: Arguments) -> BenchOptions:
    """Return the numbers, each checked as QEMU's tool does, those not given left out."""
    if given.cache not in CACHES:
        raise Failure("Invalid cache mode")
    options: dict[str, Any] = {"depth": 1 if given.trace else 64}
    aio = _aio(program, given)
    options |= {} if aio is None else {"aio": aio}
    for name, text, what, least, most in (
        ("count", given.count, "request count", 1, _INT_MAX),
        ("depth", given.depth, "queue depth", 1, _INT_MAX),
        ("threads", given.threads, "number of threads", 1, _INT_MAX),
        ("seed", given.seed, "seed", 0, (1 << 64) - 1),
        ("pattern", given.pattern, "pattern byte", 0, 0xFF),
        ("flush_interval", given.flush_interval, "flush interval", 0, _INT_MAX),
    ):
        if text is not None:
            options[name] = integer(text, what, least=least, most=most)
    if given.offset is not None:
        options["offset"] = size(program, given.offset, "offset")
    for name, text, what, least in (
        ("length", given.buffer_size, "buffer size", 1),
        ("step", given.step_size, "step size", 0),
    ):
        if text is not None:
            options[name] = size(program, text, what, least=least, most=_INT_MAX)
    options |= {name: True for name in ("write", "random") if getattr(given, name)}
    options |= {"drain": False} if given.no_drain else {}
    return cast("BenchOptions", options)


def _aio(program: Program, given: Arguments) -> str | None:
    """Return the engine asked for; none where nothing was said and the library chooses."""
    if given.aio not in (None, *_AIOS):
        raise Failure(f"Invalid aio option: {given.aio}")
    if given.native or given.aio == "native":
        if given.cache not in ("none", "directsync"):
            file = command_line.one_file(given)
            raise Failure(
                f"Could not open '{file}': aio=native was specified, but it requires "
                "cache.direct=on, which was not specified."
            )
        return _AIOS["native"]
    if given.aio is None:
        return "threads" if program.is_qemu else None
    return _AIOS[given.aio]


def _check(program: Program, given: Arguments, options: BenchOptions) -> None:
    """Refuse options that have no meaning together."""
    interval = options.get("flush_interval", 0)
    if given.trace is not None:
        for name, shown in _PATTERN_OPTIONS.items():
            if getattr(given, name):
                raise Failure(f"{shown} has no meaning beside --trace, which says what is sent")
    elif interval and not given.write:
        raise Failure("--flush-interval is only available in write tests")
    elif interval and interval < _in_flight(options):
        raise Failure("Flush interval can't be smaller than depth")
    elif not program.is_qemu and given.no_drain and not interval:
        raise Failure("--no-drain goes with --flush-interval or --trace")
    elif not program.is_qemu and given.pattern is not None and not given.write:
        raise Failure("--pattern goes with --write or --trace")
    elif given.seed is not None and not given.random:
        raise Failure("--seed goes with --random")
    _check_numbers(options)


def _check_numbers(options: BenchOptions) -> None:
    count, threads = options.get("count", _INT_MAX), options.get("threads", 1)
    if min(options["depth"], -(-count // threads)) > MAX_DEPTH:
        raise Failure(f"{options['depth']} requests in flight: a queue takes at most {MAX_DEPTH}")
    if min(threads, count) > MAX_THREADS:
        raise Failure(f"{threads} threads: at most {MAX_THREADS} can be")


def _in_flight(options: BenchOptions) -> int:
    return options["depth"] * options.get("threads", 1)


def _bench(
    program: Program, arguments: Arguments, options: BenchOptions, disk: qed.Image
) -> qed.BenchResult:
    try:
        return qed.bench(disk, trace=arguments.trace, **options)
    except qed.Error as error:
        if not program.is_qemu or arguments.trace is not None:
            raise
        # The reference sends a request that passes the end and reports what the file says to it.
        passed = isinstance(error, qed.InvalidArgumentError)
        reason = os.strerror(errno.EIO if passed else error.errno or errno.EIO)
        raise Failure(f"Failed request: {reason}") from error


def _announcement(arguments: Arguments, options: BenchOptions) -> Iterator[str]:
    if arguments.trace is not None:
        yield f"Replaying {printable(arguments.trace)}, {_in_flight(options)} in parallel"
        return
    length = options.get("length", 4096)
    kind = "write" if arguments.write else "read"
    how = "random offsets from" if arguments.random else "starting at offset"
    yield (
        f"Sending {options.get('count', 75000)} {kind} requests, {length} bytes each, "
        f"{_in_flight(options)} in parallel "
        f"({how} {options.get('offset', 0)}, step size {options.get('step') or length})"
    )
    if options.get("flush_interval"):
        yield f"Sending flush every {options['flush_interval']} requests"


def _engine(options: BenchOptions, result: qed.BenchResult) -> str:
    wanted = options.get("aio", result.aio)
    return result.aio if result.aio == wanted else f"{result.aio}, as {wanted} is not to be had"


def _latencies(result: qed.BenchResult) -> Iterator[str]:
    names = ("mean", "p50", "p90", "p99", "p99.9", "max")
    yield f"{'Latency, microseconds':<24}" + "".join(f"{name:>11}" for name in names)
    for count, what, latency in (
        (result.requests, "requests", result.latency),
        (result.flushes, "flushes", result.flush_latency),
    ):
        if count:
            numbers = latency.to_dict().values()
            yield f"{f'{count} {what}':<24}" + "".join(f"{n / 1000:>11.1f}" for n in numbers)


def _document(image: Named, options: BenchOptions, result: qed.BenchResult) -> dict[str, Any]:
    """Return the JSON object: what was asked for, then what was measured."""
    measured = result.to_dict() | {
        "requests": result.requests,
        "requests_per_second": round(result.requests_per_second, 3),
        "bytes_per_second": round(result.bytes_per_second, 3),
    }
    return {
        "filename": image.shown,
        "format": image.format,
        "depth": options["depth"],
        "threads": options.get("threads", 1),
        **_dashed(measured),
    }


def _dashed(value: dict[str, Any]) -> dict[str, Any]:
    return {
        name.replace("_", "-"): _dashed(item) if isinstance(item, dict) else item
        for name, item in value.items()
    }
