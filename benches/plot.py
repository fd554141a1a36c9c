"""The table's ratios as a picture: bars from the raw file's time, on a scale of powers of two."""

import math
from collections.abc import Iterable

from benches.model import Figure, Result
from qed.cli._svg import Svg

_WIDTH, _LABEL, _BAR, _GAP = 860, 370, 11, 14
_SIDES = {"libqed": "#2f81f7", "QEMU qed": "#bf8700", "QEMU qcow2": "#8250df"}
# Neither black nor white: read on a light page and on a dark one.
_INK, _FAINT = "#7d8590", "#7d859055"
_MOST = 32.0


def ratios(results: Iterable[Result]) -> list[tuple[str, dict[str, float]]]:
    """Return, for each work that has a raw file beside it, each side's time by the raw file's."""
    works: dict[tuple[str, str], list[Figure]] = {}
    for result in results:
        for figure in result.figures:
            works.setdefault((figure.row, figure.work), []).append(figure)
    found = []
    for (row, work), figures in works.items():
        times = {figure.beside: figure.theirs for figure in figures if figure.theirs}
        raw = times.pop("raw file", None)
        if raw is not None and row.startswith("P"):
            sides = {"libqed": figures[0].ours / raw}
            sides |= {name: time / raw for name, time in times.items() if name in _SIDES}
            found.append((f"{row}  {work}", sides))
    return found


def draw(rows: list[tuple[str, dict[str, float]]]) -> str:
    """Return the picture: one bar for each side of each work."""
    height = 70 + sum(_GAP + _BAR * len(sides) for _, sides in rows)
    svg = Svg(
        _WIDTH,
        height,
        "libqed and QEMU beside a raw file",
        "Time of each kind of work divided by the raw file's; shorter is faster.",
    )
    _legend(svg)
    _scale(svg, height)
    top = 64
    for label, sides in rows:
        middle = top + _BAR * len(sides) / 2 + 4
        svg.text(_LABEL - 8, middle, label, font_size=11, fill=_INK, text_anchor="end")
        for name, ratio in sides.items():
            _bar(svg, top, name, ratio)
            top += _BAR
        top += _GAP
    return str(svg)


def _at(ratio: float) -> float:
    """Return the column of a ratio: from 1/2 to the most, by powers of two."""
    share = math.log2(min(max(ratio, 0.5), _MOST) * 2) / math.log2(_MOST * 2)
    return round(_LABEL + share * (_WIDTH - _LABEL - 50), 1)


def _bar(svg: Svg, top: float, name: str, ratio: float) -> None:
    left, right = sorted((_at(1), _at(ratio)))
    width = max(right - left, 1.5)
    svg.rectangle(left, top, width, _BAR - 2, fill=_SIDES[name])
    svg.text(right + 5, top + _BAR - 3, f"{ratio:.2f}", font_size=9, fill=_INK)


def _legend(svg: Svg) -> None:
    svg.text(8, 18, "time beside a raw file: shorter is faster", font_size=13, fill=_INK)
    left = _LABEL
    for name, colour in _SIDES.items():
        svg.rectangle(left, 9, 10, 10, fill=colour)
        svg.text(left + 15, 18, name, font_size=12, fill=_INK)
        left += 110


def _scale(svg: Svg, height: int) -> None:
    for power in range(-1, 6):
        ratio = 2.0**power
        column = _at(ratio)
        colour = _INK if power == 0 else _FAINT
        svg.add("line", x1=column, y1=52, x2=column, y2=height - 8, stroke=colour)
        svg.text(column, 46, f"{ratio:g}", font_size=10, fill=_INK, text_anchor="middle")
