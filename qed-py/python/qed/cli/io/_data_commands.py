"""The commands that move data: their options, operands and help."""

from qed.cli.io import _background, _transfer
from qed.cli.io._language import Command
from qed.cli.io._numbers import number, pattern

_COMMON = {
    "C": "one line for programs: bytes, requests, time, bytes and requests a second",
    "q": "print no statistics",
}
_REGISTERED = {"r": "register the buffer, for qemu-io's sake; buffers need none here"}
_SHOWN = {"v": "print the bytes, as a hexadecimal dump"}
_FUA = {"f": "return when the data is stable (FUA)"}
_FILLED = {"P": "fill with this byte instead of 0xcd"}
_VERIFIED = {"P": "verify that all bytes are this one"}
_ZEROED = {"z": "write zeroes, not data", "u": "with -z: whole clusters may be given back"}
_INVALID = {"i": "count as an invalid request, and do nothing"}
_IN_BACKGROUND = (
    "The request runs in the background; 'aio_flush' waits for it. The command\n"
    " succeeds when it has been started, whatever becomes of it."
)
_ONCE = dict.fromkeys("CqrvP", None) | {"P": pattern}

COMMANDS = (
    Command(
        "aio_read",
        _background.aio_read,
        "asynchronously reads a number of bytes",
        "[-Ciqrv] [-P pattern] off len [len..]",
        least=2,
        most=None,
        letters=_ONCE | {"i": None},
        detail=f"Reads into several buffers. {_IN_BACKGROUND}",
        meanings=_COMMON | _INVALID | _VERIFIED | _REGISTERED | _SHOWN,
    ),
    Command(
        "aio_write",
        _background.aio_write,
        "asynchronously writes a number of bytes",
        "[-Cfiqruz] [-P pattern] off len [len..]",
        least=2,
        most=None,
        letters=dict.fromkeys("Cfiqruz", None) | {"P": pattern},
        detail=f"Writes several buffers, one behind the other. {_IN_BACKGROUND}",
        writes=True,
        meanings=_COMMON | _FUA | _INVALID | _FILLED | _REGISTERED | _ZEROED,
    ),
    Command(
        "discard",
        _transfer.discard,
        "discards a number of bytes at a specified offset",
        "[-Cq] off len",
        least=2,
        most=None,
        letters=dict.fromkeys("Cq"),
        short="d",
        detail="Gives back the whole clusters within the range; they read as zeroes.",
        writes=True,
        meanings=_COMMON,
    ),
    Command(
        "read",
        _transfer.read,
        "reads a number of bytes at a specified offset",
        "[-abCqrv] [-P pattern [-s off] [-l len]] off len",
        least=2,
        most=None,
        letters=dict.fromkeys("bCpqrv", None) | {"P": pattern, "s": number, "l": number},
        short="r",
        detail="Reads, and shows or verifies what was read.",
        meanings={
            "b": "the saved machine state instead of the disk: not supported",
            **_COMMON,
            "l": "with -P: how many bytes to verify",
            "p": "ignored",
            **_VERIFIED,
            **_REGISTERED,
            "s": "with -P: where among the bytes read to begin verifying",
            **_SHOWN,
        },
    ),
    Command(
        "readv",
        _transfer.readv,
        "reads a number of bytes at a specified offset",
        "[-Cqrv] [-P pattern] off len [len..]",
        least=2,
        most=None,
        letters=_ONCE,
        detail="Reads as many bytes as the lengths sum up to.",
        meanings=_COMMON | _VERIFIED | _REGISTERED | _SHOWN,
    ),
    Command(
        "write",
        _transfer.write,
        "writes a number of bytes at a specified offset",
        "[-bcCfnqruz] [-P pattern | -s source_file] off len",
        least=2,
        most=None,
        letters=dict.fromkeys("bcCfnpqruz", None) | {"P": pattern, "s": str},
        short="w",
        detail="Writes a byte over and over, what a file holds, or zeroes.",
        writes=True,
        meanings={
            "b": "to the saved machine state instead of the disk: not supported",
            "c": "compressed: not supported",
            **_COMMON,
            **_FUA,
            "n": "with -z: fail where zeroes would have to be written as data",
            "p": "ignored",
            **_FILLED,
            **_REGISTERED,
            "s": "write what this file holds, over and over",
            **_ZEROED,
        },
    ),
    Command(
        "writev",
        _transfer.writev,
        "writes a number of bytes at a specified offset",
        "[-Cfqr] [-P pattern] off len [len..]",
        least=2,
        most=None,
        letters=dict.fromkeys("Cfqr", None) | {"P": pattern},
        detail="Writes several buffers with one request, one behind the other.",
        writes=True,
        meanings=_COMMON | _FUA | _FILLED | _REGISTERED,
    ),
)
