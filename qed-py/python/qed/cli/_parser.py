"""The options that verbs share, and errors as one line instead of a page of usage."""

import argparse
import getopt
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import qed
from qed._options import OpenOptions

Namespace = argparse.Namespace


class UsageError(Exception):
    """The command line makes no sense; the text says why."""


class HelpWanted(Exception):  # noqa: N818 - nothing is wrong
    """The words ask for the help text."""


class _Help(argparse.Action):
    """Leaves the parsing, so that `main` alone prints and decides the status."""

    def __call__(self, *_: object) -> None:
        raise HelpWanted


class Parser(argparse.ArgumentParser):
    """The options of one verb, anywhere on the command line, as getopt_long takes them."""

    def __init__(self, verb: str, description: str) -> None:
        super().__init__(
            prog=f"qed {verb}",
            description=f"{description[0].upper()}{description[1:]}.",
            formatter_class=argparse.RawDescriptionHelpFormatter,
            add_help=False,
        )
        self.verb = verb
        self.add_argument("-h", "--help", nargs=0, action=_Help, help="show this text")

    def parse(self, words: list[str]) -> Namespace:
        """Parse the words behind the verb: options stand anywhere before a `--`.

        argparse wants positionals in one place, so getopt sorts them to the end first.
        """
        short, long, names = "", [], {}
        for action in self._actions:
            for option in action.option_strings:
                value = action.nargs != 0
                if option.startswith("--"):
                    long.append(option[2:] + "=" * value)
                else:
                    short += option[1:] + ":" * value
                # With "=" a value may be empty or begin with a dash.
                names[option] = action.option_strings[-1] + "=" * value
        try:
            options, files = getopt.gnu_getopt(words, short, long)
        except getopt.GetoptError as error:
            self.error(str(error))
        return self.parse_args([*(names[o] + v for o, v in options), "--", *files])

    def error(self, message: str) -> NoReturn:
        """Raise, where argparse prints the usage and exits with 2: a status that check means."""
        raise UsageError(f"{self.verb}: {message} (try 'qed {self.verb} --help')")

    def add_format(self) -> None:
        """Declare `-f`."""
        self.add_argument("-f", "--format", metavar="FMT", help="format of FILE: qed, the only one")

    def add_quiet(self) -> None:
        """Declare `-q`."""
        self.add_argument("-q", "--quiet", action="store_true", help="print nothing but errors")

    def add_output(self) -> None:
        """Declare `--output`."""
        self.add_argument(
            "--output", choices=["human", "json"], default="human", help="how to print (human)"
        )

    def add_force_share(self) -> None:
        """Declare `-U`."""
        self.add_argument(
            "-U",
            "--force-share",
            action="store_true",
            help="look also while another process writes; what is shown may be stale",
        )

    def add_file(self, **keywords: Any) -> None:
        """Declare `FILE`."""
        self.add_argument("file", metavar="FILE", **keywords)


def require_qed(arguments: Namespace) -> None:
    """Fail where `-f` asks for another format."""
    if arguments.format not in (None, "qed"):
        raise UsageError(f"format '{arguments.format}' is not supported, only qed is")


@contextmanager
def looking(arguments: Namespace) -> Iterator[OpenOptions]:
    """Give the options for looking at an image: with `-U`, without asking for locks."""
    try:
        yield {"lock": False} if arguments.force_share else {}
    except qed.LockedError as error:
        # The library's advice in the words of the command.
        raise UsageError(str(error).replace("lock=off", "-U")) from error
