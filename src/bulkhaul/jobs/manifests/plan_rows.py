"""Makes the rows of a plan from manifests in one call: read, given destinations, bad ones told by rows of their own."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from bulkhaul.jobs.manifests.destinations import Destinations, Kind, planned_rows
from bulkhaul.jobs.manifests.detection import Format
from bulkhaul.jobs.manifests.listed import BadRow
from bulkhaul.jobs.manifests.opening import Opener
from bulkhaul.jobs.manifests.reading import OnBad, read_manifests
from bulkhaul.model.rows import Action, Row


async def rows_of_manifests(
    names: Sequence[str],
    opener: Opener,
    kind: Kind,
    to: str = "",
    *,
    strip: str = "",
    format: Format | None = None,  # noqa: A002 - what users call it
    on_bad: OnBad = "row",
    failed_only: bool = True,
    folds_case: bool = False,
) -> AsyncGenerator[Sequence[Row], None]:
    """Yield pages of rows, numbered from 0; the same manifests give the same rows each time.

    A row that cannot be planned has no destination, and its ``reason`` says why (``BadRow.row``). For the arguments see
    ``read_manifests`` and ``Destinations``.

    Raises:
        UsageError, InvalidUrl: the call cannot mean anything.
        ManifestError: a manifest is none, is damaged, or lists nothing; with ``on_bad="fail"`` also a wrong row.
        LocalError, NotFound, TransferError: a manifest cannot be opened.
    """
    destinations = Destinations(kind, to, strip=strip, folds_case=folds_case)
    listed = read_manifests(names, opener, format=format, on_bad=on_bad, failed_only=failed_only)
    bad = Action.VERIFY if kind == "verify" else Action.COPY
    async with aclosing(planned_rows(listed, destinations, on_bad=on_bad)) as pages:
        async for page in pages:
            yield [row.row(bad) if isinstance(row, BadRow) else row for row in page]
