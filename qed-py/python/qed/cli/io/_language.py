"""The language of commands: what a command is, and how its words are taken.

Words are separated by blanks; there are no quotes. Options are single letters, taken as getopt
takes them: anywhere among the operands, in clusters, up to a `--`. They are taken one after the
other, since the first mistake is the one that is told. Knows no images.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from qed.cli.io._session import Session

Reader = Callable[[str], Any]
"""Makes an option's value of its word."""


class Misuse(Exception):  # noqa: N818 - the usage of the command is the answer
    """The words are not what the command takes; the text, if any, goes to standard error."""


class Complaint(Exception):  # noqa: N818 - it ends a command, and is its output
    """A command ends with this line on standard error, as it is."""


class Request:
    """What the words of one command ask for."""

    __slots__ = ("letters", "operands", "order", "values")

    def __init__(self) -> None:
        self.letters: set[str] = set()
        self.order: list[str] = []
        """The letters as they came."""
        self.values: dict[str, Any] = {}
        self.operands: list[str] = []


Run = Callable[["Session", Request], None]


@dataclass(frozen=True, slots=True)
class Command:
    """One command."""

    name: str
    run: Run
    about: str
    usage: str | None = None
    """Its options and operands, as help shows them; None where it has none."""
    least: int = 0
    most: int | None = 0
    """How many words it takes behind its name, options among them; None: any number."""
    letters: Mapping[str, Reader | None] | None = None
    """Its options, and how their values are read; None for a command that takes its words as
    they are."""
    short: str = ""
    """Its other name."""
    detail: str = ""
    needs_disk: bool = True
    writes: bool = False
    """Refused on a disk that is open for reading only."""
    meanings: Mapping[str, str] = field(default_factory=dict)
    """What the options mean, for help."""

    def synopsis(self, name: str) -> str:
        """Return the line of help, under the name that was typed."""
        usage = "" if self.usage is None else f" {self.usage}"
        return f"{name}{usage} -- {self.about}"

    def request(self, name: str, words: list[str]) -> Request:
        """Take the words behind the name."""
        request = Request()
        if self.letters is None:
            request.operands = words
            return request
        for letter, value in _options(name, words, self.letters, request.operands):
            request.letters.add(letter)
            request.order.append(letter)
            if value is not None:
                if letter in request.values and isinstance(request.values[letter], list):
                    request.values[letter] += value
                else:
                    request.values[letter] = value
        return request


def check_count(command: Command, name: str, count: int) -> None:
    """Insist on as many words as the command takes."""
    least, most = command.least, command.most
    if count >= least and (most is None or count <= most):
        return
    if most is None:
        expected = f"at least {least} arguments"
    elif least == most:
        expected = f"{least} arguments"
    else:
        expected = f"between {least} and {most} arguments"
    raise Complaint(f"bad argument count {count} to {name}, expected {expected}")


def _options(
    name: str, words: list[str], known: Mapping[str, Reader | None], operands: list[str]
) -> Iterator[tuple[str, Any]]:
    index, end = 0, len(words)
    while index < end:
        word = words[index]
        index += 1
        if word[0] != "-" or word == "-":
            operands.append(word)
            continue
        if word == "--":
            operands += words[index:]
            return
        place = 1
        while place < len(word):
            letter = word[place]
            place += 1
            if letter not in known:
                raise Misuse(f"{name}: invalid option -- '{letter}'")
            reader = known[letter]
            if reader is None:
                yield letter, None
                continue
            value = word[place:]
            if not value:
                if index == end:
                    raise Misuse(f"{name}: option requires an argument -- '{letter}'")
                value = words[index]
                index += 1
            yield letter, reader(value)
            break
