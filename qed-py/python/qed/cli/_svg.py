"""A little SVG: elements as text, the same bytes for the same picture."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from xml.sax.saxutils import escape, quoteattr

Number = int | float
Look = dict[str, Number | str]
"""Attributes of an element."""
Box = tuple[int, int, int, int]
"""Column, row, width and height."""


class Svg:
    """A drawing that grows from top to bottom."""

    def __init__(self, width: int, height: int, title: str, description: str) -> None:
        self._lines = [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
            f'viewBox="0 0 {width} {height}" role="img" font-family="sans-serif">',
            f"<title>{escape(title)}</title>",
            f"<desc>{escape(description)}</desc>",
        ]

    def add(self, name: str, **attributes: Number | str) -> None:
        """Add an element; `_` in an attribute's name is a dash."""
        self._lines.append(f"<{name}{_attributes(attributes)}/>")

    def text(self, x: Number, y: Number, text: str, **attributes: Number | str) -> None:
        """Add a line of text."""
        look = _attributes({"x": x, "y": y, **attributes})
        self._lines.append(f"<text{look}>{escape(text)}</text>")

    def rectangle(
        self, x: Number, y: Number, width: Number, height: Number, **attributes: Number | str
    ) -> None:
        """Add a rectangle."""
        self.add("rect", x=x, y=y, width=width, height=height, **attributes)

    def boxes(self, boxes: Iterable[Box], **attributes: Number | str) -> None:
        """Add rectangles of one look as one path, in whole numbers of the group's units."""
        path = "".join(f"M{x} {y}h{width}v{height}h{-width}z" for x, y, width, height in boxes)
        if path:
            self.add("path", d=path, **attributes)

    @contextmanager
    def scaled(
        self, x: Number, y: Number, across: Number, down: Number, *, clip: str, **look: str
    ) -> Iterator[None]:
        """Put what is added inside of the block at a place and a scale of its own, and clip it."""
        place = f"matrix({_number(across)} 0 0 {_number(down)} {x} {y})"
        self._lines.append(
            f'<g clip-path="url(#{clip})"><g transform="{place}"{_attributes(look)}>'
        )
        yield
        self._lines.append("</g></g>")

    def clip(self, name: str, x: Number, y: Number, width: Number, height: Number) -> None:
        """Define what is seen of a group."""
        with_size = f'x="{x}" y="{y}" width="{width}" height="{height}"'
        self._lines.append(f'<clipPath id="{name}"><rect {with_size}/></clipPath>')

    def hatch(self, name: str, colour: str) -> None:
        """Define a fill of diagonal lines."""
        self._lines.append(
            f'<defs><pattern id="{name}" width="6" height="6" patternUnits="userSpaceOnUse" '
            f'patternTransform="rotate(45)"><rect width="6" height="6" fill="#fff"/>'
            f'<rect width="2" height="6" fill="{colour}"/></pattern></defs>'
        )

    def __str__(self) -> str:
        return "\n".join([*self._lines, "</svg>", ""])


def runs(values: Sequence[int]) -> Iterator[tuple[int, int, int]]:
    """Give the runs of equal values: first index, length, value."""
    start = 0
    for index in range(1, len(values) + 1):
        if index == len(values) or values[index] != values[start]:
            yield start, index - start, values[start]
            start = index


def _attributes(attributes: Mapping[str, Number | str]) -> str:
    return "".join(
        f" {name.strip('_').replace('_', '-')}={quoteattr(_number(value))}"
        for name, value in attributes.items()
    )


def _number(value: Number | str) -> str:
    if not isinstance(value, float):
        return str(value)
    # Enough digits for a scale of a pixel to 2^63 bytes, and the same text on every machine.
    return f"{value:.6g}"
