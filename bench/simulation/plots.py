"""Draws the window over time and the regret as bars, as SVG text. Knows nothing of how runs are made.

By hand: two plots of lines and bars need no library, and their text is small enough to be kept beside the pages.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from math import log2

WIDTH = 1000
COLORS = ("#1b6ca8", "#c8553d", "#4a7c59")
STYLE = (
    "<style>text{font:13px sans-serif;fill:#444}.t{font-weight:bold}.g{stroke:#8884}.n{text-anchor:end}"
    "@media(prefers-color-scheme:dark){text{fill:#ccc}}</style>"
)


def window_plot(panels: Sequence[tuple[str, Sequence[tuple[str, Sequence[int]]]]], *, step_s: float) -> str:
    """Return one panel a network, each with a line a workload.

    Args:
        panels: (network, ((workload, sizes), …)), …; a size every ``step_s``.
    """
    columns, width, height = 2, WIDTH // 2, 190
    rows = -(-len(panels) // columns)
    out = [_begin(rows * height + 50, "Requests in flight over time (log axis)")]
    for index, (network, lines) in enumerate(panels):
        left, top = (index % columns) * width + 50, (index // columns) * height + 50
        plot_width, plot_height = width - 75, height - 55
        seconds = max(1.0, max((len(sizes) for _, sizes in lines), default=1) * step_s)
        out.append(f'<text class="t" x="{left}" y="{top - 6}">{escape(network)}</text>')
        for power in range(0, 10, 3):
            y = top + plot_height * (1 - power / 9)
            out.append(f'<line class="g" x1="{left}" x2="{left + plot_width}" y1="{y:.1f}" y2="{y:.1f}"/>')
            out.append(f'<text class="n" x="{left - 6}" y="{y + 4:.1f}">{2**power}</text>')
        for share in (0.0, 0.5, 1.0):
            at = left + plot_width * share
            out.append(f'<text x="{at - 8:.0f}" y="{top + plot_height + 16}">{seconds * share:.0f} s</text>')
        for color, (workload, sizes) in zip(COLORS, lines, strict=False):
            points = " ".join(
                f"{left + plot_width * (at + 1) * step_s / seconds:.1f},"
                f"{top + plot_height * (1 - log2(max(1, size)) / 9):.1f}"
                for at, size in enumerate(sizes)
            )
            out.append(
                f'<polyline points="{points}" fill="none" stroke="{color}" stroke-width="1.6">'
                f"<title>{escape(workload)}</title></polyline>"
            )
    out.append(_legend([workload for workload, _ in panels[0][1]] if panels else [], rows * height + 44))
    return "\n".join([*out, "</svg>\n"])


def regret_plot(groups: Sequence[tuple[str, Sequence[tuple[str, float, float]]]], goals: tuple[float, float]) -> str:
    """Return bars of the share of the best fixed setting: settled, and over the first ten seconds from connecting on.

    Args:
        groups: (network, ((workload, settled, first), …)), …; shares, 1.0 for as good as the best.
        goals: what settled and first are to reach.
    """
    row, gap, left = 15, 12, 340
    height = 60 + sum(row * len(bars) + gap for _, bars in groups)
    out = [_begin(height, "Share of the best fixed setting's delivery: the least of all seeds")]
    scale = (WIDTH - left - 90) / 2 / 1.05
    starts = (left, left + (WIDTH - left) // 2 + 10)
    for title, start, goal in zip(("settled", "first 10 s"), starts, goals, strict=True):
        out.append(f'<text class="t" x="{start}" y="40">{title}; to reach: {goal:g}</text>')
        at = start + scale * goal
        out.append(
            f'<line x1="{at:.1f}" x2="{at:.1f}" y1="46" y2="{height - 8}" stroke="#888" stroke-dasharray="3 3"/>'
        )
    top = 52
    for network, bars in groups:
        out.append(f'<text class="t" x="10" y="{top + 12}">{escape(network)}</text>')
        for color, (workload, settled, first) in zip(COLORS, bars, strict=False):
            out.append(f'<text class="n" x="{left - 8}" y="{top + 12}">{escape(workload)}</text>')
            for start, share in zip(starts, (settled, first), strict=True):
                length = scale * min(1.05, share)
                out.append(f'<rect x="{start}" y="{top + 1}" width="{length:.1f}" height="{row - 3}" fill="{color}"/>')
                out.append(f'<text x="{start + length + 4:.1f}" y="{top + 12}">{share:.3f}</text>')
            top += row
        top += gap
    return "\n".join([*out, "</svg>\n"])


def _begin(height: int, title: str) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">'
        f'<title>{escape(title)}</title>{STYLE}<text x="10" y="16">{escape(title)}</text>'
    )


def _legend(names: Sequence[str], y: int) -> str:
    return "".join(
        f'<rect x="{50 + 240 * at}" y="{y - 10}" width="12" height="12" fill="{color}"/>'
        f'<text x="{68 + 240 * at}" y="{y}">{escape(name)}</text>'
        for at, (color, name) in enumerate(zip(COLORS, names, strict=False))
    )
