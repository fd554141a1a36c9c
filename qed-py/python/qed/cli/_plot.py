"""The picture of `map --plot`: where the guest's space lies in the file, as an SVG.

The square is guest offset against file offset: a disk in order is a line from corner to corner, a
fragmented one a cloud. The band below says what each part of the disk is, the band at the left what
holds each part of the file. The engine sums the extents up in bins, so the size of picture and
memory does not depend on the image. Colours differ in lightness as well, for eyes and printers that
see no others.
"""

from pathlib import Path

import qed
from qed import _qed
from qed._layout import Layout
from qed.cli._output import human_size, printable
from qed.cli._svg import Box, Look, Svg, runs

DATA, ZERO, NOTHING, REST = "#0072b2", "#f0b030", "#f2f2f2", "#444"
"""Blue and orange of Okabe and Ito's palette; almost white; hatched grey."""

# A cell's colour by the part of it that is used: from 1/64, 1/8 and 1/2 on it is darker.
_SHADES = ["#9ccbe8", "#56a5d3", "#1c7fbd", "#00507d"]
_STEPS = [64, 8, 2]

_BINS = 320
"""Bins of the guest and of the file: cells of two pixels."""
_WIDTH, _HEIGHT = 920, 900
_LEFT, _TOP, _SIDE = 150, 110, 640
_BAND, _GAP = 26, 8
_TICKS = 8

_GREY = "#333"


def plot(layer: qed.Layer | qed.Image, name: str, path: str) -> None:
    """Draw the map of `layer`, called `name`, into the file at `path`."""
    info = layer.info()
    layout = _qed.layout(layer, info.file_length, _BINS, _BINS)
    text = str(picture(layout, info, Path(name).name))
    # A name need not be text, and an SVG is.
    Path(path).write_bytes(text.encode("utf-8", errors="replace"))


def picture(layout: Layout, info: qed.Info, name: str) -> Svg:
    """Return the drawing."""
    svg = Svg(_WIDTH, _HEIGHT, f"Map of {printable(name)}", _facts(layout))
    svg.hatch("rest", REST)
    svg.clip("square", _LEFT, _TOP, _SIDE, _SIDE)
    svg.clip("guest", _LEFT, _TOP + _SIDE + _GAP, _SIDE, _BAND)
    svg.clip("file", _LEFT - _GAP - _BAND, _TOP, _BAND, _SIDE)
    svg.rectangle(0, 0, _WIDTH, _HEIGHT, fill="#fff")
    svg.text(_LEFT, 36, _shortened(printable(name)), font_size=22, font_weight="bold", fill="#000")
    svg.text(_LEFT, 60, _sizes(layout, info), font_size=14, fill=_GREY)
    svg.text(_LEFT, 82, _facts(layout), font_size=14, fill=_GREY)
    _frame(svg, info)
    _cells(svg, layout, info)
    _guest_band(svg, layout, info)
    _file_band(svg, layout, info)
    _legend(svg, info)
    return svg


def _sizes(layout: Layout, info: qed.Info) -> str:
    data, zero, _ = layout.total
    return (
        f"{info.format} image: a disk of {human_size(info.virtual_size)} in a file of "
        f"{human_size(info.file_length)}; {human_size(data)} data, {human_size(zero)} zeroes"
    )


def _facts(layout: Layout) -> str:
    if not layout.runs:
        return "all data is compressed" if layout.total[0] else "no data in the file"
    if layout.runs == 1:
        return "one run of data"
    mean = sum(layout.file) // layout.runs
    return (
        f"{layout.runs:,} runs of data: {human_size(mean)} on average, "
        f"{human_size(layout.longest_run)} the longest; {layout.backward:,} backward jumps"
    )


def _shortened(name: str) -> str:
    return name if len(name) <= 60 else f"{name[:57]}..."


def _frame(svg: Svg, info: qed.Info) -> None:
    """Draw the square, its grid, both axes and their names."""
    bottom = _TOP + _SIDE
    svg.rectangle(_LEFT, _TOP, _SIDE, _SIDE, fill="#fff")
    labels: Look = {"font_size": 12, "fill": _GREY}
    below = bottom + _GAP + _BAND
    for share, label in _ticks(info.virtual_size):
        x = _LEFT + share * _SIDE
        svg.add("path", d=f"M{x:.1f} {_TOP}V{bottom}", stroke="#ddd", fill="none")
        svg.add("path", d=f"M{x:.1f} {below}v5", stroke=_GREY, fill="none")
        svg.text(round(x, 1), below + 20, label, text_anchor="middle", **labels)
    edge = _LEFT - _GAP - _BAND
    for share, label in _ticks(info.file_length):
        y = bottom - share * _SIDE
        svg.add("path", d=f"M{_LEFT} {y:.1f}h{_SIDE}", stroke="#ddd", fill="none")
        svg.add("path", d=f"M{edge} {y:.1f}h-5", stroke=_GREY, fill="none")
        svg.text(edge - 9, round(y + 4, 1), label, text_anchor="end", **labels)
    middle = _LEFT + _SIDE // 2
    names: Look = {"font_size": 14, "fill": "#000", "text_anchor": "middle"}
    svg.text(middle, below + 42, "offset on the guest's disk", **names)
    turned = f"rotate(-90 24 {_TOP + _SIDE // 2})"
    svg.text(24, _TOP + _SIDE // 2, "offset in the file", transform=turned, **names)


def _ticks(length: int) -> list[tuple[float, str]]:
    """Return at most ten marks of a power of two apart, and the end: share of it, and text."""
    step = 1
    while step * (_TICKS + 1) < length:
        step *= 2
    marks = [(at / length, human_size(at) if at else "0") for at in range(0, length, step)]
    # The end has its own size; a mark too near to it would be written over it.
    if len(marks) > 1 and marks[-1][0] > 1 - 0.6 / _TICKS:
        marks.pop()
    return [*marks, (1.0, human_size(length))]


def _cells(svg: Svg, layout: Layout, info: qed.Info) -> None:
    """Draw where in the file each part of the disk lies, darker where more of it does."""
    columns = len(layout.guest)
    most = max(1, min(layout.guest_bin, layout.file_bin))
    boxes: list[list[Box]] = [[] for _ in _SHADES]
    for row in range(len(layout.file)):
        shades = [_shade(used, most) for used in layout.cells[row * columns : (row + 1) * columns]]
        for column, length, shade in runs(shades):
            if shade >= 0:
                boxes[shade].append((column, row, length, 1))
    across = _scale(layout.guest_bin, info.virtual_size)
    up = _scale(layout.file_bin, info.file_length)
    bottom = _TOP + _SIDE
    # Cells are drawn a little larger than they are: no seams, and a lone one is seen.
    with svg.scaled(_LEFT, bottom, across, -up, clip="square", stroke_width="0.3"):
        for shade, colour in enumerate(_SHADES):
            svg.boxes(boxes[shade], fill=colour, stroke=colour)
    svg.rectangle(_LEFT, _TOP, _SIDE, _SIDE, fill="none", stroke=_GREY)
    if not any(map(len, boxes)):
        middle: Look = {"text_anchor": "middle", "font_size": 18, "fill": "#777"}
        svg.text(_LEFT + _SIDE // 2, _TOP + _SIDE // 2, _facts(layout), **middle)


def _shade(used: int, most: int) -> int:
    """Return how dark a cell is; -1 for one that nothing lies in."""
    return -1 if not used else sum(used * step >= most for step in _STEPS)


def _scale(bin_length: int, length: int) -> float:
    return _SIDE * bin_length / max(length, 1)


def _guest_band(svg: Svg, layout: Layout, info: qed.Info) -> None:
    """Draw what each part of the disk is: data from below, zeroes on it, the rest above."""
    top = _TOP + _SIDE + _GAP
    across = _scale(layout.guest_bin, info.virtual_size)
    svg.rectangle(_LEFT, top, _SIDE, _BAND, fill=NOTHING)
    data, zero = [], []
    for shares in layout.guest:
        first = _part(shares[0], sum(shares), _BAND)
        data.append(first)
        zero.append(min(_part(shares[1], sum(shares), _BAND), _BAND - first))
    with svg.scaled(_LEFT, top, across, 1, clip="guest"):
        svg.boxes(((at, _BAND - h, n, h) for at, n, h in runs(data) if h), fill=DATA)
        svg.boxes(_zeroes(data, zero), fill=ZERO)
    svg.rectangle(_LEFT, top, _SIDE, _BAND, fill="none", stroke=_GREY)


def _zeroes(data: list[int], zero: list[int]) -> list[Box]:
    """Return the zeroes' boxes, which stand on the data's."""
    pairs = [first * (_BAND + 1) + second for first, second in zip(data, zero, strict=True)]
    boxes = []
    for at, count, pair in runs(pairs):
        first, second = divmod(pair, _BAND + 1)
        if second:
            boxes.append((at, _BAND - first - second, count, second))
    return boxes


def _file_band(svg: Svg, layout: Layout, info: qed.Info) -> None:
    """Draw what holds each part of the file: the guest's space, or anything else."""
    left, bottom = _LEFT - _GAP - _BAND, _TOP + _SIDE
    up = _scale(layout.file_bin, info.file_length)
    svg.rectangle(left, _TOP, _BAND, _SIDE, fill="url(#rest)")
    # The last bin may be shorter.
    lengths = [
        min(layout.file_bin, info.file_length - row * layout.file_bin)
        for row in range(len(layout.file))
    ]
    used = [_part(part, whole, _BAND) for part, whole in zip(layout.file, lengths, strict=True)]
    with svg.scaled(left, bottom, 1, -up, clip="file"):
        svg.boxes(((0, at, width, n) for at, n, width in runs(used) if width), fill=DATA)
    svg.rectangle(left, _TOP, _BAND, _SIDE, fill="none", stroke=_GREY)


def _part(part: int, whole: int, length: int) -> int:
    """Return the part of `length`; what is there at all is seen, and so is what is missing."""
    if part <= 0 or whole <= 0:
        return 0
    if part >= whole:
        return length
    return min(max(1, round(length * part / whole)), length - 1)


def _legend(svg: Svg, info: qed.Info) -> None:
    """Say what the colours mean."""
    absent = "left to the backing file" if info.backing is not None else "unallocated, reads zeroes"
    entries = [
        ("data", DATA),
        ("zeroes", ZERO),
        (absent, NOTHING),
        ("in the file: metadata and free", "url(#rest)"),
    ]
    y = _HEIGHT - 48
    x = _LEFT
    for text, fill in entries:
        svg.rectangle(x, y, 16, 12, fill=fill, stroke=_GREY)
        svg.text(x + 22, y + 11, text, font_size=13, fill="#000")
        x += 48 + 7 * len(text)
    x, y = _LEFT, _HEIGHT - 22
    svg.text(x, y + 11, "part of a cell in use:", font_size=13, fill="#000")
    x += 154
    for colour, text in zip(_SHADES, ("< 1/64", "< 1/8", "< 1/2", "more"), strict=True):
        svg.rectangle(x, y, 16, 12, fill=colour)
        svg.text(x + 22, y + 11, text, font_size=13, fill="#000")
        x += 82
