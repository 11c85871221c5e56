"""Writes a report as one HTML page, which loads nothing and runs nothing.

Whatever comes from outside is text: it is escaped by the template. The policy forbids every source; the one style
sheet is allowed by its hash.
"""

from __future__ import annotations

import base64
import hashlib
import re
from importlib.resources import files

from bulkhaul.benchmark.extra import require
from bulkhaul.benchmark.report.content import Figures, Paragraph, Table, Tiles
from bulkhaul.benchmark.report.drawing import svg
from bulkhaul.benchmark.report.sections import sections
from bulkhaul.benchmark.report.words import shown
from bulkhaul.benchmark.results import Result

_UNIT = re.compile(r"(?<=\d) (?=(?:%|ms|s|min|[KMGT]?i?B)\b|%)")


def html(result: Result) -> str:
    """Return the page.

    Raises:
        UsageError: jinja2, matplotlib or hdrhistogram is not installed.
    """
    require("jinja2")
    import jinja2
    from markupsafe import Markup

    here = files("bulkhaul.benchmark.report")
    style = here.joinpath("page.css").read_text(encoding="utf-8")
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["shown"] = shown
    environment.filters["glued"] = lambda text: _UNIT.sub("\N{NO-BREAK SPACE}", text)  # a unit stays with its number
    kinds = {kind.__name__: kind for kind in (Figures, Paragraph, Table, Tiles)}
    environment.filters["kind"] = lambda block: next(name for name, kind in kinds.items() if isinstance(block, kind))
    template = environment.from_string(here.joinpath("page.html.jinja").read_text(encoding="utf-8"))
    return template.render(
        result=result,
        sections=sections(result),
        style=Markup(style),  # noqa: S704 - ours
        digest=base64.b64encode(hashlib.sha256(style.encode()).digest()).decode(),
        svg=lambda figure: Markup(svg(figure)),  # noqa: S704 - matplotlib and ElementTree escape what is drawn
    )
