"""A verb: its options, declared for click, taken as getopt_long takes them.

click knows types, writes the help and completes words in a shell; how a line is split, and what is
said where it cannot be, is getopt's business (`_getopt.py`): click abbreviates nothing, and its
messages are pages. What the verb's function returns is the exit status.
"""

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import click

from qed.cli import _getopt
from qed.cli._program import POLICIES, Failure, Format, Program, UsageError

Arguments = SimpleNamespace
"""The values of a verb's options and operands, by name."""

Run = Callable[[Program, Arguments], int]

FORMATS: tuple[Format, ...] = ("qed", "qcow2", "raw")
CACHES = ["writeback", "none", "writethrough", "directsync", "unsafe"]


class Command(click.Command):
    """One verb of a tool."""

    def __init__(
        self,
        program: Program,
        name: str,
        run: Run,
        params: Sequence[click.Parameter],
        *,
        summary: str,
        about: str = "",
        examples: Sequence[str] = (),
        failure_status: int = 1,
        ours: Sequence[str] = (),
    ) -> None:
        """Describe a verb; errors that are not about its usage end with `failure_status`.

        `ours` are the names of values that QEMU's tool has no option for.
        """
        shown = "\n".join(f"  {program.name} {example}" for example in examples)
        super().__init__(
            name,
            params=[*params, _help_option()],
            callback=lambda **values: run(program, SimpleNamespace(**values)),
            help=f"{summary}\n\n{about}",
            short_help=summary,
            epilog=f"\b\nExamples:\n{shown}" if examples else None,
            add_help_option=False,
            context_settings={"max_content_width": 100},
        )
        self.program = program
        self.failure_status = failure_status
        self.ours = {"policy", *ours}

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Split the words as getopt does; click then sees full names and one order."""
        if not ctx.resilient_parsing:
            options, files = _getopt.split(args, self._known(), exact=self._ours())
            long = self._long(options)
            args = [name if value is None else f"{name}={value}" for name, value in long]
            args += ["--", *files]
        return super().parse_args(ctx, args)

    def run(self, words: list[str]) -> int:
        """Parse the words behind the verb and do the work."""
        name = self.name or ""
        try:
            with self.make_context(f"{self.program.name} {name}", words) as context:
                return int(self.invoke(context))
        except click.exceptions.Exit as wanted:
            return wanted.exit_code
        except click.UsageError as error:
            raise UsageError(error.format_message().removesuffix(".")) from error
        except Failure as failure:
            failure.status = failure.status or self.failure_status
            raise
        except BrokenPipeError:
            raise
        except (OSError, ValueError) as error:
            raise Failure(str(error), status=self.failure_status) from error

    def _options(self) -> list[click.Option]:
        return [param for param in self.params if isinstance(param, click.Option)]

    def _known(self) -> dict[str, bool]:
        return {
            name: not (option.is_flag or option.count)
            for option in self._options()
            for name in option.opts
        }

    def _ours(self) -> list[str]:
        """Return what QEMU's tools lack: it must not make an abbreviation of theirs ambiguous."""
        return [
            name for option in self._options() if option.name in self.ours for name in option.opts
        ]

    def _long(self, options: list[tuple[str, str | None]]) -> list[tuple[str, str | None]]:
        """Return the options by their long names: `--name=` takes any value, `-n` does not."""
        long = {name: option.opts[-1] for option in self._options() for name in option.opts}
        return [(long[name], value) for name, value in options]


def chosen(*names: str, words: Sequence[str], help: str, **attributes: Any) -> click.Option:  # noqa: A002
    """Declare an option that is one of a few words, refused as QEMU's tools refuse another."""

    def check(ctx: click.Context, param: click.Parameter, given: str | None) -> str | None:
        if given is None or given in words or ctx.resilient_parsing:
            return given
        *most, last = (f"'{word}'" for word in words)
        raise UsageError(f"{param.opts[-1]} expects {', '.join(most)} or {last} not '{given}'")

    metavar = "|".join(words)
    complete = completing(words)
    return click.Option(
        names, help=help, metavar=metavar, callback=check, shell_complete=complete, **attributes
    )


def completing(words: Sequence[str]) -> Callable[[Any, Any, str], list[Any]]:
    """Return what completes a value that is mostly one of `words`."""
    return lambda context, parameter, typed: [word for word in words if word.startswith(typed)]


def option(*names: str, help: str, **attributes: Any) -> click.Option:  # noqa: A002
    """Declare an option; its long name comes last."""
    return click.Option(names, help=help, **attributes)


def flag(*names: str, help: str) -> click.Option:  # noqa: A002
    """Declare an option without a value."""
    return click.Option(names, help=help, is_flag=True)


def refused(*names: str, value: bool = False) -> click.Option:
    """Declare an option of QEMU's that has no meaning here, or none yet: it is an error."""

    def refuse(ctx: click.Context, param: click.Parameter, given: Any) -> None:
        if given and not ctx.resilient_parsing:
            raise Failure(f"{names[-1]} is not supported")

    kind: dict[str, Any] = {} if value else {"is_flag": True}
    return click.Option(names, hidden=True, expose_value=False, callback=refuse, **kind)


def file_argument(name: str = "file", *, shown: str = "FILE") -> click.Argument:
    """Declare file names; the verb itself says when their number is wrong."""
    return click.Argument([name], type=click.Path(), nargs=-1, metavar=shown)


def one_file(arguments: Arguments) -> str:
    """Return the only operand."""
    if len(arguments.file) != 1:
        raise UsageError("Expecting one image file name")
    return str(arguments.file[0])


def format_option(*names: str, what: str = "FILE") -> click.Option:
    """Declare the format of an image that is opened."""
    return option(
        *(names or ("-f", "--format")),
        metavar="FMT",
        help=f"Format of {what}: {', '.join(FORMATS)}; found by its mark otherwise.",
        shell_complete=completing(FORMATS),
    )


def new_format(program: Program, *names: str, what: str, preset: bool = True) -> click.Option:
    """Declare the format of an image that is created; without `preset` the verb sets it."""
    return option(
        *names,
        metavar="FMT",
        default=program.create_format if preset else None,
        help=f"Format of {what}: {', '.join(FORMATS)} ({program.create_format}).",
        shell_complete=completing(FORMATS),
    )


def new_options(*names: str) -> click.Option:
    """Declare `-o`."""
    return option(
        *(names or ("-o", "--options")),
        metavar="NAME=VALUE,...",
        multiple=True,
        help="Options of the new image; 'help' lists them; a comma in a value is written twice.",
    )


def image_options() -> click.Option:
    """Declare `--image-opts`."""
    return flag("--image-opts", help="FILE is driver=FMT,file.filename=NAME,...")


def quiet() -> click.Option:
    """Declare `-q`."""
    return flag("-q", "--quiet", help="Print nothing but errors.")


def progress() -> click.Option:
    """Declare `-p`."""
    return flag("-p", "--progress", help="Show how far the work is.")


def output() -> click.Option:
    """Declare `--output`."""
    return chosen("--output", words=["human", "json"], default="human", help="How to print.")


def force_share() -> click.Option:
    """Declare `-U`."""
    return flag(
        "-U",
        "--force-share",
        help="Look also while another process writes; what is shown may be stale.",
    )


def cache(*names: str, what: str, default: str = "writeback") -> click.Option:
    """Declare a cache mode; the verb says where it is unknown."""
    return option(
        *names,
        metavar="MODE",
        default=default,
        help=f"Cache mode of {what}: {', '.join(CACHES)}.",
        shell_complete=completing(CACHES),
    )


def known_format(name: str | None) -> Format | None:
    """Return the format of that name, if it is one."""
    return next((known for known in FORMATS if known == name), None)


def checked_cache(mode: str, kind: str) -> str:
    """Return the cache mode, if it is one."""
    if mode not in CACHES:
        raise Failure(f"Invalid {kind} option: {mode}")
    return mode


def policy(*, only_long: bool = False) -> click.Option:
    """Declare which backing files may be opened; `only_long` where --backing is a file."""
    return chosen(
        *([] if only_long else ["--backing"]),
        "--backing-policy",
        "policy",
        words=POLICIES,
        help="Which backing files may be opened: none, those in the image's own directory, all. "
        "QED_BACKING sets the default.",
    )


def _help_option() -> click.Option:
    def show(context: click.Context, parameter: click.Parameter, wanted: bool) -> None:
        if wanted and not context.resilient_parsing:
            print(context.get_help())
            context.exit()

    return click.Option(
        ["-h", "--help"],
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=show,
        help="Show this text.",
    )
