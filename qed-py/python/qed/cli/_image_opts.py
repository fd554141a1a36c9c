"""`--image-opts`: an image described by `key=value,...`, as QEMU's block layer takes it.

The keys that mean something here are known; any other is an error that lists them. A comma in a
value is written twice.
"""

from dataclasses import dataclass, field
from typing import Any

from qed.cli._program import Failure, Format

_FORMATS: tuple[Format, ...] = ("qed", "qcow2", "raw")
_KEYS = (
    "driver",
    "filename",
    "file.driver",
    "file.filename",
    "read-only",
    "force-share",
    "cache.direct",
    "cache.no-flush",
    "discard",
    "detect-zeroes",
)


@dataclass(frozen=True)
class Description:
    """What `--image-opts` says about an image."""

    filename: str
    format: Format
    read_only: bool
    force_share: bool
    options: dict[str, Any] = field(default_factory=dict)
    """Options of `qed.open`."""


def pairs(words: str) -> list[tuple[str, str | None]]:
    """Split `a=1,b,c=2` at its single commas; two commas are one that belongs to the value."""
    texts = [text.replace("\0", ",") for text in words.replace(",,", "\0").split(",")]
    split = [text.partition("=") for text in texts]
    return [(name, value if equals else None) for name, equals, value in split]


def parse(words: str) -> Description:
    """Read a description."""
    given: dict[str, str] = {}
    for key, value in pairs(words):
        if key not in _KEYS:
            raise Failure(f"image option '{key}' is unknown; known are {', '.join(_KEYS)}")
        given[key] = "on" if value is None else value
    driver = given.get("driver")
    if driver is None:
        raise Failure("image options want a driver: " + ", ".join(_FORMATS))
    # The protocol alone is a raw disk: `driver=file,filename=x`.
    word = "raw" if driver in ("file", "host_device") else driver
    format_name = next((known for known in _FORMATS if known == word), None)
    if format_name is None:
        raise Failure(f"Unknown driver '{driver}'")
    if given.get("file.driver", "file") not in ("file", "host_device"):
        raise Failure(f"Unknown driver '{given['file.driver']}'")
    filename = given.get("file.filename", given.get("filename"))
    if filename is None:
        raise Failure("image options want a file.filename")
    options = _cache(given)
    options |= {key.replace("-", "_"): given[key] for key in _PASSED if key in given}
    if "file.driver" in given or driver == "host_device":
        options["block_devices"] = "host_device" in (given.get("file.driver"), driver)
    read_only, share = (_switch(given, key) for key in ("read-only", "force-share"))
    return Description(filename, format_name, read_only, share, options)


_PASSED = ("discard", "detect-zeroes")


def _cache(given: dict[str, str]) -> dict[str, Any]:
    direct, no_flush = (_switch(given, key) for key in ("cache.direct", "cache.no-flush"))
    if direct and no_flush:
        raise Failure("cache.direct and cache.no-flush exclude each other")
    if direct:
        return {"cache": "none"}
    return {"cache": "unsafe"} if no_flush else {}


def _switch(given: dict[str, str], key: str) -> bool:
    word = given.get(key, "off")
    if word not in ("on", "off"):
        raise Failure(f"Parameter '{key}' expects 'on' or 'off'")
    return word == "on"
