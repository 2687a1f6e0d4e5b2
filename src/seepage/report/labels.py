"""Places for the names of points in a chart, so that they cover each other as little as may be."""

from __future__ import annotations

import math
from dataclasses import dataclass

LETTER, HEIGHT, GAP = 6.4, 13.0, 9.0
"""Width of a letter and height of a line of the chart's type, and the way to the point: pixels."""

Box = tuple[float, float, float, float]


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a name stands, seen from its point: how it is aligned, and the shift in pixels."""

    align: str
    dx: float
    dy: float


PLACES = [
    Place(align="left", dx=GAP, dy=0.0),
    Place(align="right", dx=-GAP, dy=0.0),
    Place(align="left", dx=GAP, dy=-HEIGHT),
    Place(align="left", dx=GAP, dy=HEIGHT),
    Place(align="right", dx=-GAP, dy=-HEIGHT),
    Place(align="right", dx=-GAP, dy=HEIGHT),
    Place(align="center", dx=0.0, dy=-1.4 * HEIGHT),
    Place(align="center", dx=0.0, dy=1.4 * HEIGHT),
    Place(align="left", dx=GAP, dy=-2 * HEIGHT),
    Place(align="left", dx=GAP, dy=2 * HEIGHT),
]


def place_labels(
    points: list[tuple[float, float]], names: list[str], bars: list[Box], size: Box
) -> list[Place]:
    """A place for each name, one after the other, each where it covers least.

    Args:
        points: Where the points lie, in pixels.
        names: What to write beside them.
        bars: Boxes of what else is drawn, as left, top, right, bottom.
        size: The chart's box; a name that leaves it counts as covered.
    """
    taken = [*bars, *((x - 5.0, y - 5.0, x + 5.0, y + 5.0) for x, y in points)]
    places: list[Place] = []
    for point, name in zip(points, names, strict=True):
        boxes = [_box(point, name, place) for place in PLACES]
        costs = [sum(_shared(box, other) for other in taken) + _outside(box, size) for box in boxes]
        best = costs.index(min(costs))
        places.append(PLACES[best])
        taken.append(boxes[best])
    return places


def along(start: tuple[float, float], end: tuple[float, float]) -> list[Box]:
    """A line as a row of small boxes, so that a name on it counts as covering something."""
    steps = max(1, round(math.dist(start, end) / 4.0))
    spots = [
        tuple(a + (b - a) * k / steps for a, b in zip(start, end, strict=True))
        for k in range(steps + 1)
    ]
    return [(x - 1.5, y - 1.5, x + 1.5, y + 1.5) for x, y in spots]


def _box(point: tuple[float, float], name: str, place: Place) -> Box:
    wide = LETTER * len(name)
    left = point[0] + place.dx - {"left": 0.0, "center": wide / 2, "right": wide}[place.align]
    top = point[1] + place.dy - HEIGHT / 2
    return left, top, left + wide, top + HEIGHT


def _shared(a: Box, b: Box) -> float:
    """The area of two boxes' overlap."""
    wide = min(a[2], b[2]) - max(a[0], b[0])
    high = min(a[3], b[3]) - max(a[1], b[1])
    return max(0.0, wide) * max(0.0, high)


def _outside(box: Box, size: Box) -> float:
    """The area of a box that leaves the chart, counted tenfold."""
    whole = (box[2] - box[0]) * (box[3] - box[1])
    return 10.0 * (whole - _shared(box, size))
