"""Which tool the command is, by the name it was called, and everything that differs by name.

A link `qemu-img` or `qemu-io` to `qed` is that tool: its name in messages, the wording of its
errors, its defaults, so that scripts written for it run unchanged. All other code is shared, and
asks nothing but this.
"""

import os
import sys
from dataclasses import dataclass, replace
from typing import Literal

Format = Literal["qed", "qcow2", "raw"]
Policy = Literal["deny", "beneath", "follow"]
POLICIES: tuple[Policy, ...] = ("deny", "beneath", "follow")


class Failure(Exception):  # noqa: N818 - it is what a person reads, not what a program catches
    """What goes wrong, in the words that are printed.

    `remarks` are further lines, which only QEMU's names print: `qed` says everything in one.
    `status` is how the command then ends; without one the verb decides, mostly for 1.
    """

    def __init__(self, text: str, *remarks: str, status: int | None = None) -> None:
        super().__init__(text)
        self.text = text
        self.remarks = remarks
        self.status = status


class UsageError(Failure):
    """The command line makes no sense: the message points to the help.

    `by_getopt` marks what QEMU's tools leave to getopt, which names the verb as well.
    """

    def __init__(self, text: str, *, by_getopt: bool = False) -> None:
        super().__init__(text, status=1)
        self.by_getopt = by_getopt


@dataclass(frozen=True)
class Program:
    """A tool, and its manners."""

    name: str
    """How messages begin and what help calls it: `qed`, `qed io`, `qemu-img`, `qemu-io`."""
    is_qemu: bool
    """Whether it speaks as QEMU's tool of that name does."""
    create_format: Format
    """The format of a new image where none is asked for."""
    unmarked_format: Format | None
    """What a file is that has no format's mark, where none is given: "raw", or an error (None)."""
    policy: Policy
    """Which backing files are opened where neither `--backing` nor `QED_BACKING` says."""
    map_follows: bool
    """Whether `map` goes on in the backing files without being asked to."""

    def named(self, name: str) -> "Program":
        """Return the same tool under another name, such as `qed io`."""
        return replace(self, name=name)

    def backing_policy(self, asked: str | None = None) -> Policy:
        """Return the policy: what `--backing` asked for, else `QED_BACKING`, else the tool's."""
        word = asked if asked is not None else os.environ.get("QED_BACKING") or self.policy
        for policy in POLICIES:
            if word == policy:
                return policy
        origin = "--backing" if asked is not None else "QED_BACKING"
        raise Failure(f"{origin} expects {', '.join(POLICIES)}, not '{word}'")

    def complain(self, text: str) -> None:
        """Print one line on standard error, behind the tool's name."""
        from qed.cli._output import one_line

        print(f"{self.name}: {one_line(text)}", file=sys.stderr)

    def report(self, failure: Failure, verb: str | None = None) -> None:
        """Print why the command ends: one line, under QEMU's names as many as it prints."""
        hint = " ".join([self.name, *filter(None, [verb])])
        usage = isinstance(failure, UsageError)
        if not self.is_qemu:
            where = f"{verb}: " if usage and verb else ""
            self.complain(f"{where}{failure.text}" + usage * f" (try '{hint} --help')")
            return
        by_getopt = isinstance(failure, UsageError) and failure.by_getopt
        (self.named(hint) if by_getopt else self).complain(failure.text)
        for remark in [f"Try '{hint} --help' for more info"] if usage else failure.remarks:
            print(remark, file=sys.stderr)


QED = Program("qed", False, "qed", None, "beneath", False)
QEMU_IMG = Program("qemu-img", True, "raw", "raw", "follow", True)
QEMU_IO = Program("qemu-io", True, "raw", "raw", "follow", True)


def called(path: str) -> Program:
    """Return the tool that is called by this path, the first word of a command line."""
    name = os.path.basename(path)  # noqa: PTH119 - a word, not a file
    return {tool.name: tool for tool in (QEMU_IMG, QEMU_IO)}.get(name, QED)
