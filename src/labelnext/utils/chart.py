"""Lines over a number, with intervals, as SVG in a page of `labelnext.utils.page`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from html import escape

import numpy as np

# x, y, and the ends of an interval or NaN.
Point = tuple[float, float, float, float]

WIDTH, HEIGHT, RIGHT, TOP, BOTTOM = 560, 270, 14, 32, 46
LETTER = 10.5  # how wide one is at most, on a narrow window
FITS = int(WIDTH / LETTER)
COLORS = ("var(--accent)", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#8a6d00")
DASHES = ("", "7 4", "2 4")


def chart(
    series: Mapping[str, Sequence[Point]],
    *,
    x: str,
    y: str,
    shares: bool = False,
    log: bool = False,
) -> str:
    """Draw series by their names; what is said of the axes is the chart's text, too.

    >>> "<svg" in chart({"a": [(1, 0.5, 0.4, 0.6), (2, 0.7, 0.6, 0.8)]}, x="labels", y="accuracy")
    True
    """
    drawn = {
        name: [p for p in points if np.isfinite(p[1]) and (p[1] > 0 or not log)]
        for name, points in series.items()
    }
    every = [point for points in drawn.values() for point in points]
    if not every:
        return ""
    xs = np.array([point[0] for point in every], dtype=np.float64)
    ys = np.array([point[1:] for point in every], dtype=np.float64)
    ys = ys[np.isfinite(ys) & ((ys > 0) | (not log))]
    left, right = float(xs.min()), float(max(xs.max(), xs.min() + 1))
    lowest = 0.0 if ys.min() == ys.max() == 1 else float(ys.min())  # no share is above 100 %
    ticks = _powers(ys) if log else _ticks(lowest, float(ys.max()))
    marks = _marks(ticks, shares)
    edge = 14 + LETTER * max(map(len, marks))
    low, high = ticks[0], ticks[-1]
    if log:
        low, high = np.log10(low), np.log10(high)

    def at_x(value: float) -> float:
        return edge + (WIDTH - edge - RIGHT) * (value - left) / (right - left)

    def at_y(value: float) -> float:
        value = float(np.log10(max(value, 10**low))) if log else value
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (value - low) / (high - low)

    parts = [_grid(marks, list(map(at_y, ticks)), edge)]
    parts += [
        f'<text x="{at_x(mark):.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">'
        f"{mark:,.0f}</text>"
        for mark in _ticks(left, right, least=4)
        if left <= mark <= right and mark == int(mark)
    ]
    parts += [
        f'<text x="{WIDTH - RIGHT}" y="{HEIGHT - 6}" text-anchor="end">{escape(x)}</text>',
        f'<text x="0" y="14">{escape(y if len(y) <= FITS else y[: FITS - 1] + "…")}</text>',
    ]
    for place, points in enumerate(drawn.values()):
        parts.append(_line(place, sorted(points), at_x, at_y, shares=shares, log=log))
    names = "".join(
        f'<span><svg width="26" height="10" aria-hidden="true"><line x1="0" x2="26" y1="5" y2="5" '
        f'stroke="{COLORS[place % 6]}" stroke-width="3" stroke-dasharray="{DASHES[place % 3]}"/>'
        f"</svg> {escape(name)}</span>"
        for place, name in enumerate(drawn)
    )
    return (
        f'<figure class="chart"><svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{escape(y)} over {escape(x)}">{"".join(parts)}</svg>'
        f"<figcaption>{names}</figcaption></figure>"
    )


def _line(
    place: int,
    points: list[Point],
    at_x: Callable[[float], float],
    at_y: Callable[[float], float],
    *,
    shares: bool,
    log: bool,
) -> str:
    """Draw a series: its band, its line, and points that say what they are."""
    color, dash = COLORS[place % 6], DASHES[place % 3]
    band = [p for p in points if np.isfinite(p[2:]).all()]
    edge = [(p[0], p[3]) for p in band] + [(p[0], p[2]) for p in reversed(band)]
    shape = " ".join(f"{at_x(a):.1f},{at_y(b):.1f}" for a, b in edge)
    line = " ".join(f"{at_x(p[0]):.1f},{at_y(p[1]):.1f}" for p in points)
    dots = ""
    for p in points if len(points) <= 60 else ():
        between = "" if not np.isfinite(p[2:]).all() else f" ({_said(p[2], shares)} to "
        between += "" if not between else f"{_said(p[3], shares)})"
        dots += (
            f'<circle cx="{at_x(p[0]):.1f}" cy="{at_y(p[1]):.1f}" r="4" fill="{color}">'
            f"<title>{p[0]:,.0f}: {_said(p[1], shares)}{between}</title></circle>"
        )
        if len(band) == len(points) == 1 and not log:  # a band of one point is a bar
            dots += (
                f'<line x1="{at_x(p[0]):.1f}" x2="{at_x(p[0]):.1f}" y1="{at_y(p[2]):.1f}" '
                f'y2="{at_y(p[3]):.1f}" stroke="{color}" stroke-width="2"/>'
            )
    return (
        f'<polygon points="{shape}" fill="{color}" opacity="0.14"/>'
        f'<polyline points="{line}" fill="none" stroke="{color}" stroke-width="2.5" '
        f'stroke-dasharray="{dash}"/>{dots}'
    )


def _grid(marks: list[str], heights: list[float], edge: float) -> str:
    return "".join(
        f'<line x1="{edge}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" '
        f'stroke="var(--line)"/><text x="{edge - 8}" y="{y + 4:.1f}" text-anchor="end">'
        f"{mark}</text>"
        for mark, y in zip(marks, heights, strict=True)
    )


def _marks(ticks: list[float], shares: bool) -> list[str]:
    """Write numbers with as many digits as tell them apart.

    >>> _marks([0.9998, 0.9999, 1.0], shares=False)
    ['0.9998', '0.9999', '1']
    """
    for digits in range(3, 16):
        said = [_said(tick, shares, digits) for tick in ticks]
        if len({*said}) == len(ticks):
            break
    return said


def _said(value: float, shares: bool, digits: int = 3) -> str:
    return f"{100 * value:.{digits}g} %" if shares else f"{value:.{digits}g}"


def _ticks(low: float, high: float, least: int = 3) -> list[float]:
    """Return round numbers from below the lowest to above the highest."""
    span = (high - low) or abs(high) or 1.0
    step = 10.0 ** np.floor(np.log10(span / least))
    step *= next(k for k in (5, 2.5, 2, 1) if span / (step * k) >= least or k == 1)
    first, last = np.floor(low / step + 1e-9), np.ceil(high / step - 1e-9)
    return [float(round(k * step, 12)) for k in np.arange(first, max(last, first + 1) + 1)]


def _powers(values: np.ndarray) -> list[float]:
    low, high = np.floor(np.log10(values.min())), np.ceil(np.log10(values.max()) - 1e-9)
    return [float(10.0**k) for k in np.arange(min(low, high - 1), high + 1)]
