"""Splits a command line as getopt_long does, with its words where it cannot.

Options stand anywhere before a `--`; short ones may be clustered and carry their value with them
(`-ofoo`); long ones may be abbreviated as long as one is meant; the word behind an option that
wants a value is its value, also where it begins with a dash. The standard library's module does the
same with other messages, and scripts for QEMU's tools compare these.
"""

from collections.abc import Collection, Mapping, Sequence

from qed.cli._program import UsageError

Known = Mapping[str, bool]
"""Options with their dashes, and whether they want a value."""


def split(
    words: Sequence[str], known: Known, *, anywhere: bool = True, exact: Collection[str] = ()
) -> tuple[list[tuple[str, str | None]], list[str]]:
    """Return the options with their values, and the other words.

    Without `anywhere` the first word that is no option ends the options. Those of `exact` are not
    abbreviated.
    """
    options: list[tuple[str, str | None]] = []
    others: list[str] = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word == "--":
            return options, others + rest
        if word.startswith("--"):
            options.append(_long(word, rest, known, exact))
        elif word.startswith("-") and word != "-":
            options.extend(_cluster(word[1:], rest, known))
        elif anywhere:
            others.append(word)
        else:
            return options, [word, *rest]
    return options, others


def _long(
    word: str, rest: list[str], known: Known, exact: Collection[str]
) -> tuple[str, str | None]:
    typed, equals, value = word.partition("=")
    name = _meant(typed, word, known, exact)
    if not known[name]:
        if equals:
            raise UsageError(f"option '{name}' doesn't allow an argument", by_getopt=True)
        return name, None
    if equals:
        return name, value
    if not rest:
        raise UsageError(f"option '{name}' requires an argument", by_getopt=True)
    return name, rest.pop(0)


def _meant(typed: str, word: str, known: Known, exact: Collection[str]) -> str:
    if typed in known:
        return typed
    names = [name for name in known if name.startswith(typed) and name not in exact]
    if not names:
        raise UsageError(f"unrecognized option '{word}'", by_getopt=True)
    if len(names) > 1:
        listed = " ".join(f"'{name}'" for name in names)
        raise UsageError(f"option '{word}' is ambiguous; possibilities: {listed}", by_getopt=True)
    return names[0]


def _cluster(letters: str, rest: list[str], known: Known) -> list[tuple[str, str | None]]:
    options: list[tuple[str, str | None]] = []
    while letters:
        letter, letters = letters[0], letters[1:]
        name = f"-{letter}"
        if name not in known:
            raise UsageError(f"invalid option -- '{letter}'", by_getopt=True)
        if not known[name]:
            options.append((name, None))
            continue
        if not letters and not rest:
            raise UsageError(f"option requires an argument -- '{letter}'", by_getopt=True)
        options.append((name, letters or rest.pop(0)))
        break
    return options
