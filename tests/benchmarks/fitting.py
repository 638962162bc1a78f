"""What a row of measurements says of growth."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

_NOTABLE = 1.5
_NOTICEABLE = 0.1


class Line(NamedTuple):
    """``start`` at nothing, and ``slope`` for each more."""

    start: float
    slope: float


def fitted_line(points: Sequence[float], values: Sequence[float]) -> Line:
    """The line with the least squares."""
    count = len(points)
    mean_point, mean_value = sum(points) / count, sum(values) / count
    spread = sum((point - mean_point) ** 2 for point in points)
    if not spread:
        return Line(mean_value, 0.0)
    products = ((point - mean_point) * (value - mean_value) for point, value in zip(points, values, strict=True))
    slope = sum(products) / spread
    return Line(mean_value - slope * mean_point, slope)


def exponent(points: Sequence[float], values: Sequence[float]) -> float | None:
    """How values grow beyond the first one, from where that is noticeable: 1 is in proportion. None if that cannot be
    told, as of values that hardly grow.

    What a run costs in any case is in the first value, and so does not make the growth look smaller than it is.
    """
    if len(points) < 3 or values[-1] < _NOTABLE * values[0]:
        return None
    rises = [value - values[0] for value in values]
    start = next(index for index, rise in enumerate(rises) if rise >= _NOTICEABLE * rises[-1])
    start = min(start, len(points) - 2)
    if not 0 < rises[start] < rises[-1]:
        return None
    return math.log(rises[-1] / rises[start]) / math.log((points[-1] - points[0]) / (points[start] - points[0]))
