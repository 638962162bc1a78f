"""Plots as SVG: one panel for each kind of values, with logarithmic axes, and a dashed line of growth in proportion."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from xml.sax.saxutils import escape

_WIDTH, _HEIGHT, _MARGIN = 420, 300, 55
_STYLE = (
    "text{font:12px sans-serif;fill:#333}.grid{stroke:#ddd}.row{fill:none;stroke:#1f6fb2;stroke-width:2}"
    ".dot{fill:#1f6fb2}.proportion{stroke:#c55;stroke-dasharray:5 4}"
)


def plot(title: str, unit: str, points: Sequence[float], rows: Mapping[str, Sequence[float]]) -> str:
    """The text of an SVG file that needs nothing else."""
    panels = [
        f'<g transform="translate({number * _WIDTH} 24)">{_panel(unit, points, name, values)}</g>'
        for number, (name, values) in enumerate(rows.items())
    ]
    width, height = _WIDTH * len(rows), _HEIGHT + 24
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">'
        f'<style>{_STYLE}</style><rect width="100%" height="100%" fill="#fff"/>'
        f'<text x="{width / 2}" y="18" text-anchor="middle">{escape(title)}</text>{"".join(panels)}</svg>\n'
    )


def _panel(unit: str, points: Sequence[float], name: str, values: Sequence[float]) -> str:
    across, up = _Scale(points, _MARGIN, _WIDTH - 15), _Scale(values, _HEIGHT - 40, 15)
    places = [f"{across(point):.1f},{up(value):.1f}" for point, value in zip(points, values, strict=True)]
    parts = [
        f'<line class="grid" x1="{across(tick):.1f}" x2="{across(tick):.1f}" y1="15" y2="{_HEIGHT - 40}"/>'
        f'<text x="{across(tick):.1f}" y="{_HEIGHT - 24}" text-anchor="middle">{tick:g}</text>'
        for tick in across.ticks
    ]
    parts += [
        f'<line class="grid" x1="{_MARGIN}" x2="{_WIDTH - 15}" y1="{up(tick):.1f}" y2="{up(tick):.1f}"/>'
        f'<text x="{_MARGIN - 5}" y="{up(tick) + 4:.1f}" text-anchor="end">{tick:g}</text>'
        for tick in up.ticks
    ]
    parts.append(_proportion(points, values, across, up))
    parts.append(f'<polyline class="row" points="{" ".join(places)}"/>')
    parts += [f'<circle class="dot" cx="{place.split(",")[0]}" cy="{place.split(",")[1]}" r="3"/>' for place in places]
    parts.append(f'<text x="{_WIDTH / 2}" y="{_HEIGHT - 6}" text-anchor="middle">{escape(unit)}</text>')
    return "".join([*parts, f'<text x="{_MARGIN}" y="10">{escape(name)}</text>'])


def _proportion(points: Sequence[float], values: Sequence[float], across: _Scale, up: _Scale) -> str:
    """The line through the last point along which twice as many cost twice as much."""
    start = max(points[0], points[-1] * up.low / values[-1])
    if start >= points[-1]:
        return ""
    end = f'x2="{across(points[-1]):.1f}" y2="{up(values[-1]):.1f}"'
    return f'<line class="proportion" x1="{across(start):.1f}" y1="{up(values[-1] * start / points[-1]):.1f}" {end}/>'


class _Scale:
    """Places on a logarithmic axis between ``first`` and ``last``."""

    def __init__(self, values: Sequence[float], first: float, last: float) -> None:
        self.low = 10 ** math.floor(math.log10(min(values)))
        high = 10 ** math.ceil(math.log10(max(values)) + 1e-9)
        self._decades = max(1, round(math.log10(high / self.low)))
        self._first, self._last = first, last

    def __call__(self, value: float) -> float:
        share = math.log10(value / self.low) / self._decades
        return self._first + share * (self._last - self._first)

    @property
    def ticks(self) -> list[float]:
        """The powers of ten."""
        return [self.low * 10**number for number in range(self._decades + 1)]
