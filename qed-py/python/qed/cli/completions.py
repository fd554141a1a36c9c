"""`qed completions`: what makes a shell complete verbs, options and file names."""

from collections.abc import Mapping

import click
from click.shell_completion import CompletionItem, get_completion_class, shell_complete

from qed.cli import COMPLETE_VARIABLE, GROUPS, verbs
from qed.cli import _command as command_line
from qed.cli import command as command_of
from qed.cli._command import Arguments, Command
from qed.cli._program import Program, UsageError

SHELLS = ("bash", "fish", "zsh")


def command(program: Program) -> Command:
    """Return the verb."""
    return Command(
        program,
        "completions",
        run,
        [
            click.Argument(
                ["shell"],
                nargs=-1,
                metavar="|".join(SHELLS),
                shell_complete=command_line.completing(SHELLS),
            )
        ],
        summary="Print what makes a shell complete the command.",
        about='bash: put  eval "$(qed completions bash)"  into ~/.bashrc. zsh: the same with zsh, '
        "into ~/.zshrc. fish: qed completions fish > ~/.config/fish/completions/qed.fish.",
        examples=["completions bash > /etc/bash_completion.d/qed"],
    )


def run(program: Program, arguments: Arguments) -> int:
    """Print the shell's script."""
    if len(arguments.shell) != 1 or arguments.shell[0] not in SHELLS:
        raise UsageError(f"Expecting one shell: {', '.join(SHELLS)}")
    kind = get_completion_class(arguments.shell[0])
    assert kind is not None
    print(kind(_Verbs(program), {}, program.name, COMPLETE_VARIABLE).source())
    return 0


def answer(program: Program, instruction: str) -> int:
    """Answer a shell that asks how the line goes on."""
    return shell_complete(_Verbs(program), {}, program.name, COMPLETE_VARIABLE, instruction)


class _Verbs(click.Group):
    """The verbs as click wants them; each is imported when its options are asked for."""

    def __init__(self, program: Program) -> None:
        super().__init__(program.name, params=[click.Option(["-V", "--version"], is_flag=True)])
        self.program = program

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Offer the verbs, without importing them, and the tool's options."""
        offered = _offered(verbs(self.program), incomplete)
        return offered + click.Command.shell_complete(self, ctx, incomplete)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return what completes the line behind a verb."""
        if cmd_name == "io":
            return click.Command(cmd_name, params=[command_line.file_argument()])
        if cmd_name not in verbs(self.program):
            return None
        if cmd_name in GROUPS:
            return _Group(self.program, cmd_name)
        return command_of(self.program, cmd_name)


class _Group(click.Group):
    """A verb that has verbs of its own."""

    def __init__(self, program: Program, name: str) -> None:
        super().__init__(name)
        self.program = program

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Offer its verbs and its options."""
        offered = _offered(GROUPS[str(self.name)], incomplete)
        return offered + click.Command.shell_complete(self, ctx, incomplete)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return what completes the line behind one of them."""
        if cmd_name not in GROUPS[str(self.name)]:
            return None
        return command_of(self.program, f"{self.name} {cmd_name}")


def _offered(known: Mapping[str, str], incomplete: str) -> list[CompletionItem]:
    return [
        CompletionItem(verb, help=text)
        for verb, text in known.items()
        if verb.startswith(incomplete)
    ]
