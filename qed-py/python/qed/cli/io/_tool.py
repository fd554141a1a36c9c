"""The tool's own options: qemu-io's, with `--backing` and, for `qed io`, `-q`."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from qed.cli import _getopt
from qed.cli._program import Failure, Format, Program, UsageError
from qed.cli.io._disk import (
    FORMATS,
    Source,
    aio_mode,
    cache_mode,
    describe,
    discard_mode,
    known_format,
)


class HelpWanted(Exception):  # noqa: N818 - nothing is wrong
    """The words ask for the help text."""


class VersionWanted(Exception):  # noqa: N818 - nothing is wrong
    """The words ask for the version."""


@dataclass
class Arguments:
    """What the command line says."""

    source: Source | None = None
    """The disk, if it names one."""
    defaults: Source = field(default_factory=lambda: Source(""))
    """What holds for the disks that commands open."""
    commands: list[str] = field(default_factory=list)
    quiet: bool = False


# Each option's names and whether it wants a value; what it does, for help.
_OPTIONS = (
    ("-c", "--cmd", True, "STRING", "carry out this command; may be given often"),
    ("-f", "--format", True, "FMT", "the format of FILE: qed, qcow2 or raw"),
    ("", "--image-opts", False, "", "FILE is a list of options: driver=FMT,file.filename=NAME"),
    ("-r", "--read-only", False, "", "open FILE for reading only"),
    ("-s", "--snapshot", False, "", "writes go to a temporary image, and are gone at the end"),
    ("-C", "--copy-on-read", False, "", "what reads find in a backing file is copied"),
    ("-t", "--cache", True, "MODE", "writeback, none, writethrough, directsync or unsafe"),
    ("-n", "--nocache", False, "", "the same as -t none"),
    ("-d", "--discard", True, "MODE", "ignore or unmap"),
    (
        "-i",
        "--aio",
        True,
        "MODE",
        "of aio_read and aio_write: threads, native, io_uring",
    ),
    ("-k", "--native-aio", False, "", "the same as -i native"),
    ("-m", "--misalign", False, "", "accepted: buffers need no alignment"),
    ("-U", "--force-share", False, "", "with -r: also while another program writes"),
    ("", "--backing", True, "POLICY", "backing files to open: deny, beneath, follow"),
    ("-q", "--quiet", False, "", "print no statistics"),
    ("-T", "--trace", True, "PATTERN", "accepted: there are no trace events"),
    ("", "--object", True, "OBJECT", "refused: there are no objects"),
    ("-h", "--help", False, "", "show this text"),
    ("-V", "--version", False, "", "show the version"),
)


def parse(words: list[str], program: Program) -> Arguments:
    """Read the command line."""
    known: dict[str, bool] = {}
    canonical: dict[str, str] = {}
    for short, long, value, _, _ in _options(program):
        for name in filter(None, (short, long)):
            known[name], canonical[name] = value, long
    found, files = _getopt.split(words, known)
    arguments = Arguments()
    source = Source("")
    given: dict[str, str] = {}
    for typed, word in found:
        name = canonical[typed]
        given[name] = word or ""
        source = _apply(program, arguments, source, name, given[name])
    if len(files) > 1:
        raise UsageError("more than one file is named")
    arguments.defaults = Source("", policy=source.policy)
    if "--image-opts" in given and "--format" in given:
        raise Failure("--image-opts and -f are mutually exclusive")
    if files:
        source = replace(source, path=files[0], described="--image-opts" in given)
        arguments.source = _named(program, source, given.get("--format"))
    return arguments


def _named(program: Program, source: Source, format_word: str | None) -> Source:
    """Return the disk that the command line names or describes."""
    if source.described:
        return describe(program, source, source.path)
    return replace(source, format=_format(program, source, format_word))


def _apply(program: Program, arguments: Arguments, source: Source, name: str, value: str) -> Source:
    """Take one option."""
    if name in _SWITCHES:
        return replace(source, **_SWITCHES[name])
    if name in _VALUES:
        field_name, read = _VALUES[name]
        return replace(source, **{field_name: read(value)})
    match name:
        case "--help":
            raise HelpWanted
        case "--version":
            raise VersionWanted
        case "--cmd":
            arguments.commands.append(value)
        case "--quiet":
            arguments.quiet = True
        case "--backing":
            return replace(source, policy=program.backing_policy(value))
        case "--object":
            raise Failure("--object is not supported: there is nothing an object could be for")
        case "--trace":
            program.complain(f"warning: trace event '{value}' does not exist")
    return source


_VALUES: dict[str, tuple[str, Callable[[str], Any]]] = {
    "--cache": ("cache", cache_mode),
    "--aio": ("aio", aio_mode),
    "--discard": ("options", lambda word: {"discard": discard_mode(word)}),
}
_SWITCHES: dict[str, dict[str, Any]] = {
    "--read-only": {"read_only": True},
    "--snapshot": {"snapshot": True},
    "--copy-on-read": {"copy_on_read": True},
    "--nocache": {"cache": "none"},
    "--native-aio": {"aio": "native"},
    "--force-share": {"force_share": True},
}


def _format(program: Program, source: Source, word: str | None) -> Format | None:
    """Return the format that `-f` asks for."""
    found = None if word is None else known_format(word)
    if word is not None and found is None:
        if program.is_qemu:
            raise source.failure(f"Unknown driver '{word}'")
        raise Failure(f"format '{word}' is not supported; known are {', '.join(FORMATS)}")
    return found


def _options(program: Program) -> list[tuple[str, str, bool, str, str]]:
    """Return the tool's options; qemu-io has none for silence."""
    return [row for row in _OPTIONS if row[1] != "--quiet" or not program.is_qemu]


def usage(program: Program) -> str:
    """Return the text of `--help`."""
    lines = [
        f"Usage: {program.name} [OPTION...] [-c COMMAND]... [FILE]",
        "",
        "  Reads and writes a disk by commands, from -c or standard input; help lists them.",
        "",
        "Options:",
    ]
    for short, long, _, value, text in _options(program):
        names = f"{short}, {long}" if short else f"    {long}"
        lines.append(f"  {f'{names} {value}':<24} {text}")
    lines += [
        "",
        "Examples:",
        f"  {program.name} -c 'write -P 0xaa 0 64k' -c 'read -P 0xaa 0 64k' disk.qed",
        f"  {program.name} -r -f raw -c 'read -v 0 512' disk.raw",
        f"  echo 'write -z 1M 1M' | {program.name} disk.qed",
        "",
        "Offsets and lengths take the suffixes k M G T P E. Options, commands, output and exit",
        f"statuses are those of qemu-io. Backing files are opened by the policy {program.policy}",
        "where neither --backing nor QED_BACKING says otherwise.",
    ]
    return "\n".join(lines) + "\n"
