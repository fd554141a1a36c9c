"""How a line is split into options, as getopt_long does it."""

import pytest

from qed.cli._getopt import split
from qed.cli._program import UsageError

KNOWN = {
    "-f": True,
    "--format": True,
    "--force": False,
    "-q": False,
    "--quiet": False,
    "-U": False,
    "--backing-chain": False,
    "--backing": True,
}


@pytest.mark.parametrize(
    ("line", "options", "others"),
    [
        ("a -q b", [("-q", None)], ["a", "b"]),
        ("-fqed -qU x", [("-f", "qed"), ("-q", None), ("-U", None)], ["x"]),
        ("-qfqed x", [("-q", None), ("-f", "qed")], ["x"]),
        ("-f -q x", [("-f", "-q")], ["x"]),
        ("--format --quiet", [("--format", "--quiet")], []),
        ("--form=a=b", [("--format", "a=b")], []),
        ("--format=", [("--format", "")], []),
        ("--qui x", [("--quiet", None)], ["x"]),
        ("-q -- -f -x", [("-q", None)], ["-f", "-x"]),
        ("- -q -", [("-q", None)], ["-", "-"]),
        ("--back", [("--backing-chain", None)], []),
        ("--backing x", [("--backing", "x")], []),
    ],
)
def test_options_are_found_wherever_they_stand(
    line: str, options: list[tuple[str, str | None]], others: list[str]
) -> None:
    assert split(line.split(" "), KNOWN, exact=["--backing"]) == (options, others)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("-x", "invalid option -- 'x'"),
        ("-qx", "invalid option -- 'x'"),
        ("-f", "option requires an argument -- 'f'"),
        ("--format", "option '--format' requires an argument"),
        ("--quiet=1", "option '--quiet' doesn't allow an argument"),
        ("--nosuch=1", "unrecognized option '--nosuch=1'"),
        ("--fo", "option '--fo' is ambiguous; possibilities: '--format' '--force'"),
    ],
)
def test_what_cannot_be_split_is_told_as_glibc_tells_it(line: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        split(line.split(" "), KNOWN)
    assert caught.value.text == said
    assert caught.value.by_getopt


def test_the_tools_own_options_end_at_the_verb() -> None:
    words = ["-q", "info", "-f", "qed"]
    assert split(words, KNOWN, anywhere=False) == ([("-q", None)], ["info", "-f", "qed"])
