"""Makes the small parts of the HTML report: escaped texts, names, numbers, spans of time, tables.

Nothing reaches the page but through ``escaped``: keys, paths and messages are whatever somebody once stored.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence

from bulkhaul.jobs.reports.plain_csv import instant
from bulkhaul.policy.naming import printable

MAX_TEXT = 160
"""Characters shown of a name or a message at most: the page stays small whatever the keys are."""


def escaped(text: str, most: int = MAX_TEXT) -> str:
    r"""Return text for a page: without control and bidirectional characters, cut in its middle, its markup escaped.

    >>> escaped("<b>\u202e")
    '&lt;b&gt;\\u202e'
    """
    return html.escape(_cut(printable(_cut(text, most)), most), quote=True)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most * 2 // 3]}…{text[-(most // 3) :]}"


def name(text: str, most: int = MAX_TEXT) -> str:
    """Return a key, path or URL; letters that are read from right to left do not reorder what stands around it."""
    return f'<code dir="ltr">{escaped(text, most)}</code>'


def number(count: float) -> str:
    """Return a number with its thousands apart.

    >>> number(1234567), number(0.25), number(12.34)
    ('1,234,567', '0.25', '12.3')
    """
    if isinstance(count, int) or count >= 100:
        return f"{count:,.0f}"
    return f"{count:.3g}"


def objects(count: int) -> str:
    """Return so many objects in words."""
    return f"{number(count)} object" if count == 1 else f"{number(count)} objects"


def span(seconds: float) -> str:
    """Return a span of time for people.

    >>> span(0.25), span(59.94), span(3725), span(200_000)
    ('0.25 s', '59.9 s', '1 h 02 min', '2 d 7 h')
    """
    if seconds < 60:
        return f"{seconds:.3g} s"
    minutes, rest_s = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest_s:02} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours < 48 else f"{hours // 24} d {hours % 24} h"


def moment(instant_s: float) -> str:
    """Return an instant for people, in UTC, to the second."""
    text = instant(instant_s)
    return f"{text[:10]} {text[11:19]} UTC" if text else "an unknown time"


def table(head: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: frozenset[int]) -> str:
    """Return a table of cells that are escaped already; the columns ``numbers`` stand to the right."""

    def line(kind: str, cells: Sequence[str]) -> str:
        marks = (' class="number"' if at in numbers else "" for at in range(len(cells)))
        told = (f"<{kind}{mark}>{cell}</{kind}>" for mark, cell in zip(marks, cells, strict=True))
        return "<tr>" + "".join(told) + "</tr>"

    body = "".join(line("td", cells) for cells in rows)
    return f'<div class="scroll"><table><thead>{line("th", head)}</thead><tbody>{body}</tbody></table></div>'
