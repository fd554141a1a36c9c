"""One run of the tool: the open disk, requests in flight, and carrying out lines of commands.

Whatever ends a command early is an exception, and becomes its output here alone.
"""

import errno
import os
import sys

import qed
from qed.cli._program import Failure, Program
from qed.cli.io._commands import find
from qed.cli.io._disk import Disk, Source, guess_remarks, open_disk
from qed.cli.io._in_flight import InFlight
from qed.cli.io._language import Command, Complaint, Misuse, check_count
from qed.cli.io._numbers import Wrong


class Session:
    """The state between commands."""

    def __init__(self, program: Program, defaults: Source, *, eager: bool, quiet: bool) -> None:
        self.program = program
        self.defaults = defaults
        """How `open` opens what it does not say otherwise."""
        self.quiet = quiet
        self.disk: Disk | None = None
        self.finished = False
        self._eager = eager
        self._in_flight = InFlight()

    def run(self, line: str) -> bool:
        """Carry out a line; return whether all went well."""
        words = [word for word in line.split("\0", 1)[0].split(" ") if word]
        if not words:
            return True
        name = words.pop(0)
        command = find(name, self.program)
        if command is None:
            self.complain(f'command "{name}" not found')
            return False
        try:
            self._carry_out(command, name, words)
        except Wrong as wrong:
            self.say(f"{wrong}\n")
        except Misuse as misuse:
            if str(misuse):
                self.complain(str(misuse))
            self.say(command.synopsis(command.name) + "\n")
        except Complaint as complaint:
            self.complain(str(complaint))
        except Failure as failure:
            self.settle_order()
            self.program.report(failure)
        else:
            return True
        return False

    def _carry_out(self, command: Command, name: str, words: list[str]) -> None:
        if command.needs_disk and self.disk is None:
            raise Complaint("no file open, try 'help open'")
        check_count(command, name, len(words))
        if command.writes and self.disk is not None and self.disk.read_only:
            raise Failure("Block node is read-only")
        command.run(self, command.request(name, words))

    def say(self, text: str) -> None:
        """Print on standard output."""
        sys.stdout.write(text)

    def complain(self, *lines: str) -> None:
        """Print lines on standard error."""
        self.settle_order()
        for line in lines:
            print(line, file=sys.stderr)

    def settle_order(self) -> None:
        """Bring out what was printed before, where the two streams are to keep their order.

        Commands of a script or a person do; qemu-io's `-c` keeps output back until its end.
        """
        if self._eager:
            sys.stdout.flush()

    def failed(self, label: str, error: OSError) -> Wrong:
        """Return how a request that failed ends its command; `qed io` also says why."""
        if isinstance(error, qed.Error) and not self.program.is_qemu:
            self.settle_order()
            self.program.complain(str(error))
        # QEMU has no number for damage.
        damaged = self.program.is_qemu and isinstance(error, qed.CorruptError)
        number = errno.EINVAL if damaged else error.errno or 0
        return Wrong(f"{label} failed: {os.strerror(number)}")

    def open(self, source: Source) -> None:
        """Open a disk."""
        self.disk = open_disk(self.program, source)
        if self.disk.guessed:
            self.complain(*guess_remarks(source.path))

    def close(self) -> None:
        """Close the disk, if one is open, when its requests have ended."""
        disk, self.disk = self.disk, None
        try:
            if disk is not None and disk.quiesced and self._in_flight.pending:
                # They wait for it.
                disk.image.resume()
            self._in_flight.close()
        finally:
            if disk is not None:
                disk.close()

    def queue(self, disk: Disk) -> "qed.Queue":
        """Return the queue for a request in the background."""
        return self._in_flight.queue(disk.image, disk.source.aio)

    def submit(self) -> None:
        """Begin what was queued; what it has to say is printed when it has ended."""
        self._in_flight.submit()

    def say_later(self, text: str) -> None:
        """Print what a request has to say that failed before it began."""
        self._in_flight.say_later(text)

    def finish_requests(self) -> None:
        """Wait for all requests in flight, and print what they have to say."""
        if self.disk is not None and self.disk.quiesced and self._in_flight.pending:
            raise Failure("requests wait for a quiesced disk: 'resume' it first")
        self._in_flight.finish()

    def wait(self, descriptor: int | None = None, seconds: float | None = None) -> None:
        """Wait for input, or so long; requests that end meanwhile print at once."""
        self._in_flight.wait(descriptor, seconds)
