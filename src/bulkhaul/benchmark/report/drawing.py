"""Draws figures by matplotlib: as SVG within a page, whose colours and letters it takes, and as PNG.

The same figure gives the same bytes, whatever the settings of whoever draws it.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import msgspec

from bulkhaul.benchmark.extra import require
from bulkhaul.benchmark.report.inline_svg import inlined

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

TEXT, SOFT, GRID, BAND, BAD = "#1b2330", "#5b6675", "#c9d1da", "#e0f1e7", "#c02a37"
SERIES = ("#2563c9", "#b45309", "#1a7f4b", "#7c3aed", "#be185d", "#0e7490")
"""Colours on paper; a page has others for the dark."""

COLOURS = {
    TEXT: "currentColor",
    SOFT: "var(--soft)",
    GRID: "var(--grid)",
    BAND: "var(--band)",
    BAD: "var(--bad)",
} | {colour: f"var(--series-{at})" for at, colour in enumerate(SERIES, start=1)}
"""Colour on paper → colour on a page."""

WIDTH_IN, HEIGHT_IN = 4.6, 2.5
"""A figure's size: its letters are legible on a phone, whose width it fills, and two stand side by side elsewhere."""

TITLE_IN, TITLE_SIZE = 0.25, 11
"""Height that a title adds to a picture, in inches, and the size of its letters, in points."""

PAD_IN = 0.04
"""Around what is drawn, in inches."""

LEAST_AXES = 0.1
"""Height and width of the axes at least, as a share of the figure's, however much stands around them."""

PNG_DPI = 200

_STYLE: dict[Any, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": SOFT,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.labelcolor": SOFT,
    "axes.prop_cycle": "cycler('color', [{}])".format(", ".join(f"'{colour}'" for colour in SERIES)),
    "axes.spines.left": False,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.xmargin": 0.0,
    "font.size": 10,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "legend.borderpad": 0.0,
    "legend.columnspacing": 1.2,
    "legend.frameon": False,
    "legend.handlelength": 1.2,
    "legend.labelcolor": TEXT,
    "lines.linewidth": 1.5,
    "lines.solid_joinstyle": "round",
    "path.simplify_threshold": 0.2,
    "svg.fonttype": "none",
    "text.color": TEXT,
    "text.parse_math": False,
    "xtick.color": SOFT,
    "xtick.labelcolor": TEXT,
    "xtick.major.size": 3,
    "xtick.minor.size": 0,
    "ytick.color": SOFT,
    "ytick.labelcolor": TEXT,
    "ytick.major.size": 0,
    "ytick.minor.size": 0,
}


class Figure(msgspec.Struct, frozen=True):
    """One figure.

    Attributes:
        name: unique within a report: of its file, and what its ids begin with.
        title: what is drawn, and in which unit.
        alt: what one sees in it, for those who do not.
        draw: draws it; a legend is made of what has a label.
        height_in: of it, in inches.
    """

    name: str
    title: str
    alt: str
    draw: Callable[[Axes], None]
    height_in: float = HEIGHT_IN


def svg(figure: Figure) -> str:
    """Return a figure as an element of a page.

    Raises:
        UsageError: matplotlib is not installed.
    """
    with styled(figure.name):
        out = io.StringIO()
        drawn(figure).savefig(out, format="svg", transparent=True)
    return inlined(out.getvalue(), figure.name, COLOURS)


def png(figure: Figure) -> bytes:
    """Return a figure as a picture, with its title.

    Raises:
        UsageError: matplotlib is not installed.
    """
    with styled(figure.name):
        out = io.BytesIO()
        drawn(figure, figure.title).savefig(out, format="png", dpi=PNG_DPI, facecolor="white")
    return out.getvalue()


@contextmanager
def styled(name: str) -> Iterator[None]:
    """Draw as reports do, whatever the settings of whoever draws.

    Args:
        name: of the figure.

    Raises:
        UsageError: matplotlib is not installed.
    """
    require("matplotlib")
    import matplotlib as mpl

    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_STYLE | {"svg.hashsalt": name})
        yield


def drawn(figure: Figure, title: str = "") -> Canvas:
    """Draw a figure, with its title above all else if one is given."""
    from matplotlib.figure import Figure as Canvas
    from matplotlib.font_manager import FontProperties

    height_in = figure.height_in + (TITLE_IN if title else 0.0)
    canvas = Canvas(figsize=(WIDTH_IN, height_in))
    axes = canvas.add_subplot()
    figure.draw(axes)
    handles, labels = axes.get_legend_handles_labels()
    above: list[Artist] = []
    if len(labels) > 1:
        longest = max(map(len, labels))
        columns = 1 if longest > 20 else 3 if longest > 8 else 5
        legend = canvas.legend(handles, labels, loc="upper left", ncols=columns, alignment="left", borderaxespad=0.3)
        if title:  # the legend's, so that one is not drawn over the other
            legend.set_title(title, FontProperties(size=TITLE_SIZE, weight="bold"))
        above = [legend]
    elif title:
        y = 1 - PAD_IN / height_in
        above = [canvas.suptitle(title, x=0.01, y=y, ha="left", fontsize=TITLE_SIZE, fontweight="bold")]
    _fit(canvas, axes, above)
    return canvas


def _fit(canvas: Canvas, axes: Axes, above: Sequence[Artist]) -> None:
    """Leave around the axes what their labels and what is above them take.

    It measures once, near to where the axes will be, so that their ticks stay the same; matplotlib's own layouts draw
    the figure once more and measure twice, which takes as long as all the rest. What has no room lies over the axes.
    """
    width, height = canvas.bbox.width, canvas.bbox.height
    pad = PAD_IN * canvas.dpi
    taken = sum(artist.get_window_extent().height + 2 * pad for artist in above)
    canvas.subplots_adjust(left=0.1, right=0.98, bottom=0.12, top=max(0.95 - taken / height, 0.12 + LEAST_AXES))
    inner, outer = axes.bbox, axes.get_tightbbox()
    assert outer is not None, "the axes are drawn"
    left, right = _apart((inner.x0 - outer.x0 + pad) / width, 1 - (outer.x1 - inner.x1 + pad) / width)
    bottom, top = _apart((inner.y0 - outer.y0 + pad) / height, 1 - (outer.y1 - inner.y1 + pad + taken) / height)
    canvas.subplots_adjust(left=left, right=right, bottom=bottom, top=top)


def _apart(low: float, high: float) -> tuple[float, float]:
    """Return where the axes begin and end, which must leave room for some."""
    low = min(low, 1 - LEAST_AXES)
    return low, max(high, low + LEAST_AXES)
