"""Draws the pictures of the HTML report as SVG: how rows ended, and what moved over time.

A picture is stretched to the width of the page, so what is written stands beside it and keeps its size.
"""

from __future__ import annotations

from collections.abc import Sequence

from bulkhaul.jobs.reports.html_parts import escaped, moment, span

_WIDTH, _HEIGHT = 600, 100
"""Units of the picture: its width and height on the page are the style's."""


def share_bar(parts: Sequence[tuple[str, int]], label: str) -> str:
    """Return a bar whose sections are as long as the counts: (class, count); one that is not 0 is always seen."""
    shown = [(kind, count) for kind, count in parts if count > 0]
    every = sum(count for _, count in shown)
    least = every / 200
    lengths = [(kind, max(float(count), least)) for kind, count in shown]
    scale = _WIDTH / (sum(length for _, length in lengths) or 1)
    x, drawn = 0.0, []
    for kind, length in lengths:
        drawn.append(f'<rect class="{kind}" x="{x:.2f}" y="0" width="{length * scale:.2f}" height="10"/>')
        x += length * scale
    box = f'viewBox="0 0 {_WIDTH} 10" preserveAspectRatio="none"'
    return f'<div class="bar"><svg {box} role="img" aria-label="{escaped(label)}">{"".join(drawn)}</svg></div>'


def rate_chart(title: str, rates: Sequence[float], peak: str, *, began_s: float, width_s: int) -> str:
    """Return a figure of rates in slices of equal width, drawn as steps.

    Args:
        rates: one for each slice, at least one.
        peak: the highest of them, in words.
        began_s: when the first slice begins, in seconds since the epoch.
    """
    top = max(rates) or 1.0
    step = _WIDTH / len(rates)
    points = [f"M0 {_HEIGHT}"]
    for at, rate in enumerate(rates):
        y = _HEIGHT - rate / top * (_HEIGHT - 4)
        points.append(f"L{at * step:.2f} {y:.2f}H{(at + 1) * step:.2f}")
    points.append(f"V{_HEIGHT}Z")
    lines = "".join(f'<path class="grid" d="M0 {y}H{_WIDTH}"/>' for y in (4, 28, 52, 76))
    box = f'viewBox="0 0 {_WIDTH} {_HEIGHT}" preserveAspectRatio="none"'
    label = f"{title} over time, at most {peak}"
    drawn = (
        f'<svg {box} role="img" aria-label="{escaped(label)}">{lines}<path class="area" d="{"".join(points)}"/></svg>'
    )
    ended_s = began_s + width_s * len(rates)
    axis = f'<div class="axis"><span>{moment(began_s)}</span><span>+ {span(ended_s - began_s)}</span></div>'
    caption = (
        f'<figcaption><strong>{escaped(title)}</strong><span class="soft">peak {escaped(peak)}</span></figcaption>'
    )
    return f"<figure>{caption}{drawn}{axis}</figure>"
