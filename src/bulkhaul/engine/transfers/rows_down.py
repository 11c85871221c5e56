"""Plans the download of the rows of a plan: each has a file of its own below one folder.

A row that tells size and ETag, as a listing does, is fetched as if it had been listed. Of the others HEAD is asked
first, of many at a time, so that what is small goes together all the same.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncGenerator, Sequence

import msgspec

from bulkhaul.disk.seen_names import SeenNames
from bulkhaul.engine.operations.control import Control
from bulkhaul.engine.transfers.download import look_for
from bulkhaul.engine.transfers.download_many import unsafe_key
from bulkhaul.engine.transfers.download_pieces import PlannedDownload
from bulkhaul.engine.transfers.result import result_of
from bulkhaul.engine.transfers.rows import (
    PlannedRow,
    Refs,
    RowPages,
    failed_row,
    head_of_row,
    pages_of,
    settled,
    wanted_by,
)
from bulkhaul.model.errors import ErrorInfo, TransferError
from bulkhaul.model.objects import ObjectHead
from bulkhaul.model.results import TransferResult
from bulkhaul.model.rows import Action, Row
from bulkhaul.policy.filetimes import mtime_of
from bulkhaul.policy.links import makes_link, restored_path
from bulkhaul.policy.naming import FileFolderClash, folded, local_name
from bulkhaul.policy.reach import Reach, reach_of
from bulkhaul.policy.storerules import require_current
from bulkhaul.wire.values import RemoteObject, Target

LOOKED_AT_ONCE = 128
"""Rows whose objects are looked at side by side, before any of them is fetched."""


class RowDownloads:
    """Says which objects are downloaded, row by row."""

    def __init__(
        self, control: Control, rows: RowPages, root: str, *, move: bool, set_times: bool, store_links: bool
    ) -> None:
        """Take the rows, and the folder that all files lie below.

        Args:
            store_links: links are made of stored links.
        """
        self._store_links = store_links
        self._control = control
        self._rows = rows
        self._root = root
        self._move = move
        self._set_times = set_times
        self._refs = Refs()
        self._reasons: dict[str, ErrorInfo] = {}

    async def __call__(self, *, folds_case: bool) -> AsyncGenerator[Sequence[PlannedDownload], None]:
        """Yield pages of planned downloads; see ``download_pieces.Pages``.

        Raises:
            Whatever the iterable of rows raises.
        """
        naming = _RowNames(self._root, folds_case=folds_case)
        try:
            async with contextlib.aclosing(pages_of(self._rows)) as pages:
                async for page in pages:
                    at_once = len(page) if all(self._tells_enough(row) for row in page) else LOOKED_AT_ONCE
                    for start in range(0, len(page), at_once or 1):
                        yield await self._planned(page[start : start + at_once], naming)
        finally:
            naming.close()

    def _tells_enough(self, row: PlannedRow) -> bool:
        """Whether a row tells what a listing does; an object of no bytes would not be asked for at all."""
        return isinstance(row, TransferResult) or bool(
            row.etag and row.size and not (self._set_times and mtime_of(row.last_modified) is None)
        )

    async def _planned(self, rows: Sequence[PlannedRow], naming: _RowNames) -> list[PlannedDownload]:
        planned: list[PlannedDownload] = []
        unknown: list[int] = []
        targets: dict[str, Target | TransferError] = {}
        for each in rows:
            if isinstance(row := settled(each, Action.DOWNLOAD), TransferResult):
                planned.append(PlannedDownload(row))
                continue
            try:
                ref = self._refs.ref(row.source)
                require_current(ref, row.version_id, move=self._move)
            except TransferError as error:
                planned.append(PlannedDownload(failed_row(row, error)))
                continue
            if row.size == 0 and row.destination.endswith("/"):
                result = result_of(ref, head_of_row(row, ref.key), "", row=row.n)
                result = msgspec.structs.replace(result, skipped="it marks a folder and holds nothing")
                planned.append(PlannedDownload(result))
                continue
            if makes_link(ref.key, row.version_id, stores_links=self._store_links):
                row = msgspec.structs.replace(row, destination=restored_path(row.destination, ref.key))
            components, refused = naming.components(row)
            if refused:
                planned.append(PlannedDownload(failed_row(row, unsafe_key(ref, self._root, refused))))
                continue
            if (why := self._reasons.get(ref.bucket)) is not None:
                again = msgspec.structs.replace(why, subject=ref.url, again=True)
                planned.append(PlannedDownload(failed_row(row, again)))
                continue
            if (target := targets.get(ref.bucket)) is None:
                target = targets[ref.bucket] = await self._target(ref.bucket)
            if isinstance(target, TransferError):
                planned.append(PlannedDownload(failed_row(row, target)))
                continue
            head = head_of_row(row, ref.key)
            if not self._tells_enough(row):
                unknown.append(len(planned))
            remote = RemoteObject(ref, head, target, row.version_id)
            planned.append(_download(row, remote, components, wanted_by(row, ref.key)))
        await asyncio.gather(*(self._look(planned, place) for place in unknown))
        return planned

    async def _target(self, bucket: str) -> Target | TransferError:
        """Return where requests for a bucket go, or why there can be none: that is asked once a page."""
        try:
            return await self._control.target(bucket)
        except TransferError as error:
            return error

    async def _look(self, planned: list[PlannedDownload], place: int) -> None:
        """Put what HEAD tells in the place of what the row does not."""
        one = planned[place]
        assert one.remote is not None
        remote = one.remote
        try:
            found = await look_for(self._control, remote.ref, remote.version_id, one.wanted)
        except TransferError as error:
            failure = error.named(remote.ref.url).info
            if reach_of(failure) is not Reach.OBJECT:
                self._reasons.setdefault(remote.ref.bucket, failure)
            planned[place] = PlannedDownload(msgspec.structs.replace(one.result, failure=failure))
            return
        result = result_of(remote.ref, found.head, one.result.destination, row=one.result.row)
        planned[place] = PlannedDownload(result, found, one.components, True, one.wanted)


def _download(
    row: Row, remote: RemoteObject, components: tuple[str, ...], wanted: ObjectHead | None
) -> PlannedDownload:
    result = result_of(remote.ref, remote.head, row.destination, row=row.n)
    return PlannedDownload(result, remote, components, False, wanted)


class _RowNames:
    """Gives each row its path below the folder, or tells why it gets none."""

    def __init__(self, root: str, *, folds_case: bool) -> None:
        self._folds_case = folds_case
        self._below = os.path.join(root, "")
        self._absolute = os.path.join(os.path.abspath(root), "")
        self._clash = FileFolderClash()
        self._seen = SeenNames()

    def components(self, row: Row) -> tuple[tuple[str, ...], str]:
        """Return the path of a row's destination below the folder, and else what is wrong with it.

        A row may come again, as when its object could not be read before.

        Raises:
            LocalError: the names cannot be remembered, so that no further row can be told from those before it.
        """
        destination = row.destination
        if destination.startswith(self._below):
            relative = destination[len(self._below) :]
        elif (absolute := os.path.join(os.getcwd(), destination)).startswith(self._absolute):
            relative = absolute[len(self._absolute) :]
        else:
            return (), f"its destination {destination!r} does not lie there"
        name = local_name(relative)
        if name.refused:
            return (), name.refused
        same, taker = (folded(name.components), f"{row.n} {relative}") if self._folds_case else (relative, f"{row.n} ")
        if (earlier := self._seen.earlier(same, taker)) not in ("", taker):
            as_what = f", as {earlier.partition(' ')[2]!r}" if self._folds_case else ""
            return (), f"an earlier row has the same file{as_what}"
        if parent := self._clash.parent_of(relative):
            return (), f"it needs a folder where {parent!r} is a file"
        return name.components, ""

    def close(self) -> None:
        """Forget the names."""
        self._seen.close()
