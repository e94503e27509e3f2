"""Small plots as SVG text: no script, no request, colours from the page's own properties, a title for each mark."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from itertools import pairwise

from tallystick.core.record import record

WIDTH, HEIGHT = 720, 260
LEFT, RIGHT, TOP, BOTTOM = 64, 16, 16, 34
TICKS = 4


@record(frozen=True, slots=True)
class Series:
    """One line: its name, its values in order, and the class that gives its colour."""

    name: str
    values: Sequence[int]
    css: str


def lines(labels: Sequence[str], series: Sequence[Series], *, shown: Callable[[int], str]) -> str:
    """Return a plot of several lines over the same labels. ``shown`` writes a value for people."""
    top = nice(max((value for one in series for value in one.values), default=0))
    low = min(0, *(value for one in series for value in one.values)) if labels else 0
    scale = _scale(low, top)
    step = (WIDTH - LEFT - RIGHT) / max(1, len(labels) - 1)
    parts = [_grid(low, top, scale, shown)]
    every = max(1, -(-len(labels) // 8))
    for at, label in enumerate(labels):
        if at % every == 0:
            parts.append(_label(LEFT + at * step, label))
    for one in series:
        points = " ".join(f"{LEFT + at * step:.1f},{scale(value):.1f}" for at, value in enumerate(one.values))
        parts.append(f'<polyline class="line {one.css}" points="{points}"/>')
        parts += [
            f'<circle class="dot {one.css}" cx="{LEFT + at * step:.1f}" cy="{scale(value):.1f}" r="3.5">'
            f"<title>{escape(one.name)}, {escape(label)}: {escape(shown(value))}</title></circle>"
            for at, (label, value) in enumerate(zip(labels, one.values, strict=True))
        ]
    return _svg("".join(parts))


def bars(
    values: Sequence[tuple[int, int]], *, name_of: Callable[[int], str], shown: Callable[[int], str]
) -> str:
    """Return a histogram around 0. ``values`` are (bin, count), bins counted from the middle one."""
    top = nice(max((count for _, count in values), default=0))
    scale = _scale(0, top)
    width = (WIDTH - LEFT - RIGHT) / max(1, len(values))
    parts = [_grid(0, top, scale, shown)]
    for at, (place, count) in enumerate(values):
        css = "better" if place > 0 else "worse" if place < 0 else "even"
        x, y = LEFT + at * width + 1, scale(count)
        parts.append(
            f'<rect class="{css}" x="{x:.1f}" y="{y:.1f}" width="{width - 2:.1f}" height="{scale(0) - y:.1f}" rx="2">'
            f"<title>{escape(name_of(place))}: {escape(shown(count))}</title></rect>"
        )
        if at % 5 == 0 or place == 0:
            parts.append(_label(x + width / 2, name_of(place)))
    return _svg("".join(parts))


def shares(groups: Sequence[tuple[str, int, int, int]]) -> str:
    """Return one bar for each (name, better, even, worse), as parts of the group."""
    row = 34
    height = TOP + row * len(groups) + 8
    parts = []
    for at, (name, better, even, worse) in enumerate(groups):
        total, x, y = max(1, better + even + worse), 140.0, TOP + at * row
        parts.append(f'<text class="name" x="130" y="{y + 16}" text-anchor="end">{escape(name)}</text>')
        for css, word, count in (
            ("better", "better off", better),
            ("even", "as before", even),
            ("worse", "worse off", worse),
        ):
            width = (WIDTH - 140 - RIGHT) * count / total
            parts.append(
                f'<rect class="{css}" x="{x:.1f}" y="{y}" width="{max(0.0, width - 1):.1f}" height="22" rx="2">'
                f"<title>{escape(name)}: {count:,} {word}</title></rect>"
            )
            if width > 44:
                parts.append(f'<text class="in {css}" x="{x + 6:.1f}" y="{y + 15.5}">{count:,}</text>')
            x += width
    return _svg("".join(parts), height=height)


def _svg(inside: str, *, height: int = HEIGHT) -> str:
    return f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-hidden="true">{inside}</svg>'


def _scale(low: int, top: int) -> Callable[[int], float]:
    span = max(1, top - low)
    return lambda value: TOP + (HEIGHT - TOP - BOTTOM) * (top - value) / span


def _grid(low: int, top: int, scale: Callable[[int], float], shown: Callable[[int], str]) -> str:
    marks = [low + (top - low) * at // TICKS for at in range(TICKS + 1)]
    if any(first == second for first, second in pairwise(marks)):
        marks = sorted({low, top})
    return "".join(
        f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{scale(mark):.1f}" y2="{scale(mark):.1f}"/>'
        f'<text class="tick" x="{LEFT - 8}" y="{scale(mark) + 4:.1f}" text-anchor="end">{escape(shown(mark))}</text>'
        for mark in marks
    )


def _label(x: float, text: str) -> str:
    anchor = "end" if x > WIDTH - 60 else "middle"
    at = WIDTH - RIGHT if anchor == "end" else x
    return f'<text class="tick" x="{at:.1f}" y="{HEIGHT - 10}" text-anchor="{anchor}">{escape(text)}</text>'


def nice(value: int) -> int:
    """Return the next round number at or above a value."""
    size = 1
    while size * 10 <= value:
        size *= 10
    return (
        next((size * step for step in (1, 2, 4, 5, 8, 10) if size * step >= value), value) if value > 0 else 1
    )
