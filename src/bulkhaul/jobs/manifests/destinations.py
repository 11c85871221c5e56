"""Makes rows of a plan of what manifests list: where each object goes, and that no two go to the same place.

own destination of the row ─▶ as it is          else          key, without ``strip`` ─▶ below ``to``, as cp names it
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Sequence
from typing import Any, Literal

import msgspec

from bulkhaul.disk.paths import local_path
from bulkhaul.engine.loop.tasks import undisturbed
from bulkhaul.engine.loop.threads import in_thread
from bulkhaul.jobs.manifests.claims import Claims
from bulkhaul.jobs.manifests.fields import BadField, object_key
from bulkhaul.jobs.manifests.jsonl import source_of
from bulkhaul.jobs.manifests.listed import BadRow, Listed
from bulkhaul.jobs.manifests.reading import OnBad
from bulkhaul.model.errors import UsageError
from bulkhaul.model.rows import Action, Row
from bulkhaul.policy.naming import folded, local_name
from bulkhaul.policy.selection import folder_prefix, parse_destination

Kind = Literal["copy", "restore", "delete", "verify"]
"""What a job does with what its manifest lists. ``restore`` is a copy of objects that may be archived; nothing is moved
that has no destination. ``verify`` compares it with what is at its destination."""

PlannedPage = list[Row | BadRow]


class Destinations:
    """Gives each row of all manifests of a plan its number and destination.

    Raises:
        UsageError: ``to`` is there where the kind has none, or is a path that is no UTF-8.
        InvalidUrl: ``to`` names no bucket.
    """

    def __init__(self, kind: Kind, to: str = "", *, strip: str = "", first: int = 0, folds_case: bool = False) -> None:
        """Say where rows go.

        Args:
            to: ``s3://bucket/prefix`` or a folder; empty for a deletion, or where each row names its own destination.
            strip: what is cut off each key, at its beginning; a key that does not begin so is a bad row.
            first: the number of the first row.
            folds_case: the folder's file system takes names that differ in case as one
                (``DestinationTree.folds_case``).
        """
        if kind == "delete" and (to or strip):
            raise UsageError("a deletion has no destination", to or strip)
        self._kind = kind
        self._folds_case = folds_case
        self._place = _place(to, self._identity) if to else None
        self._strip = strip
        self._next = first
        self._claims = Claims()

    def plan(self, page: Sequence[Listed | BadRow]) -> PlannedPage:
        """Return the rows of the plan, one for each of the page, in its order; it blocks for the disk.

        A row that cannot be planned is a ``BadRow`` with its number, as is one whose destination an earlier row has.
        """
        planned: PlannedPage = []
        claimed: list[tuple[int, str, str]] = []
        for at, listed in enumerate(page):
            n, self._next = self._next, self._next + 1
            if isinstance(listed, BadRow):
                planned.append(msgspec.structs.replace(listed, n=n))
                continue
            try:
                row, name = self._row(n, listed)
            except BadField as error:
                planned.append(BadRow(listed.where, str(error), listed.source, n))
                continue
            planned.append(row)
            if row.action is not Action.SKIP:
                claimed.append((at, name, listed.where))
        earlier = self._claims.claim([(name, where) for _, name, where in claimed])
        for (at, _, where), first in zip(claimed, earlier, strict=True):
            if first:
                twice = planned[at]
                assert isinstance(twice, Row)
                planned[at] = BadRow(where, self._twice(twice, first), twice.source, twice.n)
        return planned

    def close(self) -> None:
        """Forget the names."""
        self._claims.close()

    def _twice(self, row: Row, first: str) -> str:
        if row.action in (Action.DELETE, Action.RESTORE, Action.VERIFY):
            return f"{row.source} is listed twice: the first time at {first}"
        return f"the destination {row.destination} is that of {first} already; each object needs its own"

    def _row(self, n: int, listed: Listed) -> tuple[Row, str]:
        """Return the row, and the name that no other row may have."""
        fields: dict[str, Any] = {
            "n": n,
            "source": listed.source if listed.bucket else os.path.abspath(listed.source),
            "size": listed.size_bytes,
            "etag": listed.etag,
            "version_id": listed.version_id,
            "last_modified": listed.last_modified,
            "storage_class": listed.storage_class,
            "reason": listed.reason,
        }
        if listed.action is Action.SKIP:
            return Row(action=Action.SKIP, **fields), ""
        if self._kind == "delete":
            if not listed.bucket:
                raise BadField(f"{listed.key} is a file; only objects are deleted")
            # Without a version the bucket would keep the object below a marker of its removal.
            version_id = fields["version_id"] = listed.version_id or ("null" if listed.is_null else "")
            if version_id not in ("", "null"):
                fields["etag"] = ""  # a version never changes, and what has no condition is deleted 1,000 at a time
            return Row(action=Action.DELETE, **fields), f"{version_id}\0{listed.source}"
        if listed.action is Action.DELETE:
            raise BadField(f"{listed.source}: its action is delete, which is no {self._kind}")
        if listed.is_delete_marker or not listed.is_latest:
            fields["reason"] = "it is a delete marker" if listed.is_delete_marker else "it is not the current version"
            return Row(action=Action.SKIP, **fields), ""
        if self._kind == "restore" and self._place is None and listed.bucket and not listed.destination:
            return Row(action=Action.RESTORE, **fields), f"{listed.version_id}\0{listed.source}"
        destination, name, skipped = self._destination(listed)
        if skipped:
            return Row(action=Action.SKIP, **(fields | {"reason": skipped})), ""
        if self._kind == "verify":
            if destination == listed.source:
                raise BadField(f"{listed.source} would be compared with itself")
            fields["etag"] = ""  # whatever is there now is compared
            named = f"{listed.version_id}\0{listed.source}\0{destination}"  # one copy may be compared with two objects
            return Row(action=Action.VERIFY, destination=destination, **fields), named
        return Row(action=_action(listed, destination), destination=destination, **fields), name

    def _destination(self, listed: Listed) -> tuple[str, str, str]:
        """Return (destination, the name that identifies it, why it is skipped)."""
        if listed.destination:
            return *self._own(listed.destination), ""
        if not listed.bucket:
            raise BadField(f"{listed.key} is a file, so the row has to name its destination")
        if self._place is None:
            raise BadField(f"{listed.source} has no destination; name one in the row, or where all of them go")
        if not listed.key.startswith(self._strip):
            raise BadField(f"{listed.source}: the key does not begin with {self._strip!r}, which is to be cut off")
        return self._place(listed, listed.key[len(self._strip) :])

    def _own(self, destination: str) -> tuple[str, str]:
        """Return the destination that a row names, and the name that no other row may have."""
        try:
            bucket, key = source_of(destination)
        except BadField as error:
            raise BadField(str(error).replace("field source", "field destination")) from None
        if bucket:
            return f"s3://{bucket}/{key}", f"s3://{bucket}/{key}"
        if destination.endswith("/"):
            raise BadField(f"the field destination: {destination} names a folder; name the file")
        whole = os.path.abspath(destination)  # the plan may be carried out from another folder
        return whole, self._identity(whole)

    def _identity(self, path: str) -> str:
        whole = os.path.abspath(path)
        return folded((whole,)) if self._folds_case else whole


def _action(listed: Listed, destination: str) -> Action:
    if not destination.startswith("s3://"):
        if not listed.bucket:
            raise BadField(f"{listed.key} and its destination {destination} are both files")
        return Action.DOWNLOAD
    if destination == listed.source:
        raise BadField(f"{listed.source} would be copied onto itself")
    return Action.COPY if listed.bucket else Action.UPLOAD


Placed = tuple[str, str, str]
"""A destination, the name that no other row may have, and why the row is skipped (or empty)."""


def _place(to: str, identity: Callable[[str], str]) -> Callable[[Listed, str], Placed]:
    """Return what gives an object, whose key is told without what is cut off, its place below ``to``."""
    if to.startswith("s3://"):
        bucket, key = parse_destination(to)
        prefix = folder_prefix(key)

        def below_prefix(listed: Listed, relative: str) -> Placed:
            try:
                url = f"s3://{bucket}/{object_key(prefix + relative)}"
            except BadField as error:
                raise BadField(f"{listed.source}: below {to} it would have {error}") from None
            return url, url, ""

        return below_prefix

    folder = os.path.join(local_path(to), "")
    try:
        identity(folder).encode()
    except UnicodeEncodeError as error:
        text = "the path of the folder is not valid UTF-8, so no plan can name files in it; rename it, or link to it"
        raise UsageError(text, to) from error

    def below_folder(listed: Listed, relative: str) -> Placed:
        if listed.key.endswith("/") and listed.size_bytes == 0:
            return "", "", "it marks a folder and holds nothing"
        name = local_name(relative)
        if name.refused:
            raise BadField(f"{listed.source}: the key cannot be a file below {to}: {name.refused}")
        path = folder + "/".join(name.components)
        return path, identity(path), ""

    return below_folder


async def planned_rows(
    pages: AsyncIterable[Sequence[Listed | BadRow]], destinations: Destinations, *, on_bad: OnBad = "row"
) -> AsyncGenerator[PlannedPage, None]:
    """Yield the rows of a plan, page by page, and close ``destinations`` at the end.

    Args:
        on_bad: what a row is that cannot be planned: a row of its own, or the end.

    Raises:
        ManifestError: a row is bad, with ``on_bad="fail"``.
        Whatever the iterable of pages raises.
    """
    async with contextlib.AsyncExitStack() as stack:
        stack.callback(destinations.close)
        if isinstance(pages, AsyncGenerator):
            await stack.enter_async_context(contextlib.aclosing(pages))
        async for page in pages:
            planned = await undisturbed(in_thread(destinations.plan, page))
            if on_bad == "fail" and (bad := next((row for row in planned if isinstance(row, BadRow)), None)):
                raise bad.raised()
            yield planned
