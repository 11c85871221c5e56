"""Plans a sync: makes of the pairs of both sides the rows that are carried out, and keeps what is to be deleted.

(source, destination) ─┬─▶ equal                  counted
                       ├─▶ differ, or missing     a row of this page
                       ├─▶ cannot be stored       the result of a row, failed or skipped
                       ╰─▶ only at the destination, and surely not at the source ─▶ spooled until the end
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence

import msgspec

from bulkhaul.disk.seen_names import SeenNames
from bulkhaul.disk.walk import Refused
from bulkhaul.jobs.evidence import Evidence
from bulkhaul.jobs.merge_join import Pair
from bulkhaul.jobs.places import ObjectSide, Side
from bulkhaul.jobs.settled_rows import REFUSALS
from bulkhaul.jobs.sides import Item
from bulkhaul.jobs.spool import SortedEntries, SpooledEntries
from bulkhaul.jobs.sync_options import SyncCounts
from bulkhaul.model.errors import ErrorInfo
from bulkhaul.model.limits import MAX_KEY_BYTES
from bulkhaul.model.results import TransferResult
from bulkhaul.model.rows import Action, Row
from bulkhaul.policy.archives import ARCHIVES
from bulkhaul.policy.comparison import BLOCKED, EXTRA, MISSING, TAKEN, Entry, Unknown
from bulkhaul.policy.links import SUFFIX, link_path, names_link
from bulkhaul.policy.naming import FileFolderClash, KeyPaths, folded, local_name
from bulkhaul.policy.selection import named_object

PlannedRow = Row | TransferResult


class LocalNames:
    """Tells which keys cannot be a file below the destination; they come in ascending order."""

    def __init__(self, base: str, *, folds_case: bool, stores_links: bool) -> None:
        """Take what names are told by; see ``KeyPaths``."""
        self.stores_links = stores_links
        self._base = base
        self._paths = KeyPaths(base, stores_links=stores_links)
        self._seen = SeenNames() if folds_case else None

    def refused(self, name: str, *, there: bool) -> str:
        """Return why a key cannot be a file, empty if it can.

        Args:
            there: a file has this very name.
        """
        found = self._paths.path_of(name, known=there and self._seen is None)
        if found.refused or self._seen is None:
            return found.refused
        earlier = self._seen.earlier(folded(found.components), self._base + name)
        return f"on this file system it would be the same file as the key {earlier!r}" if earlier else ""

    def close(self) -> None:
        """Forget the names."""
        if self._seen is not None:
            self._seen.close()


class SyncPlan:
    """The plan of one sync.

    Attributes:
        counts: what it has seen so far.
        doomed: what only the destination has, to be deleted at the end.
        marked: what marks folders at the source; they stay at the destination though they become empty.
        unsound: why the listings do not tell everything, so that nothing may be deleted; empty if they do.
        nameless: takes files of the source whose names can be no keys.
        rows: how many rows were numbered.
    """

    def __init__(
        self,
        action: Action,
        source: Side,
        destination: Side,
        difference: Callable[[Entry, Entry], str],
        evidence: Evidence,
        *,
        names: LocalNames | None,
        delete: bool,
        dir_markers: bool,
        left_out: Callable[[str], str],
        counts: SyncCounts,
    ) -> None:
        """Take both sides and how they are compared.

        Args:
            difference: compares what listings tell.
            evidence: compares what they do not.
            names: of a download.
            left_out: why a name is left alone, empty for most.
        """
        self.counts = counts
        self.doomed = SpooledEntries()
        self.marked = SortedEntries()
        self.unsound = ""
        self.nameless: deque[Refused] = deque()
        self.rows = 0
        self._action = action
        self._source = source
        self._destination = destination
        self._difference = difference
        self._evidence = evidence
        self._names = names
        self._stores_links = names is not None and names.stores_links
        self._delete = delete
        self._dir_markers = dir_markers
        self._left_out = left_out
        self._hidden = _Hidden()
        self._files = FileFolderClash()  # of a download: what is to be deleted

    def close(self) -> None:
        """Forget what was kept on disk."""
        self.doomed.close()
        self.marked.close()
        if self._names is not None:
            self._names.close()

    async def pages(self, pairs: AsyncGenerator[list[Pair[Item]], None]) -> AsyncGenerator[list[PlannedRow], None]:
        """Yield the rows of the transfers, and the results of those that cannot be, each page as soon as it is known.

        Raises:
            TransferError: a side cannot be listed.
        """
        async with contextlib.aclosing(pairs):
            async for page in pairs:
                if planned := await self._page(page):
                    yield planned
        if planned := self._unnamed():
            yield planned

    def next_n(self) -> int:
        """Return the number of the next row."""
        self.rows += 1
        return self.rows - 1

    async def _page(self, pairs: Sequence[Pair[Item]]) -> list[PlannedRow]:
        planned, unsettled = self._unnamed(), list[tuple[Entry, Entry, str]]()
        counts, difference, left_out = self.counts, self._difference, self._left_out
        looks, decides = self._evidence.needed, self._evidence.decides
        refused = None if self._names is None else self._names.refused
        on_both = unwanted = impossible = unchanged = 0
        for ours, theirs in pairs:
            if type(ours) is Entry and type(theirs) is Entry and not (name := ours.name).endswith("/"):
                on_both += 1
                if why := left_out(name):
                    unwanted += 1
                    planned.append(self._untold(self._source.place(name), why, unwanted=True))
                elif refused is not None and (why := refused(name, there=True)):
                    impossible += 1
                    planned.append(self._not_done(ours, why))
                elif reason := difference(ours, theirs):
                    if decides(ours, theirs):
                        unsettled.append((ours, theirs, reason))
                    else:
                        planned.append(self._row(ours, reason))
                elif looks:
                    unsettled.append((ours, theirs, ""))
                else:
                    unchanged += 1
            elif ours is None:
                self._only_there(theirs)
            else:
                self._one_sided(ours, theirs, planned)
        counts.at_destination += on_both
        counts.found += on_both - unwanted
        counts.compared += on_both - unwanted - impossible
        counts.unchanged += unchanged
        if unsettled:
            planned += await self._looked_at(unsettled)
        return planned

    async def _looked_at(self, unsettled: Sequence[tuple[Entry, Entry, str]]) -> list[PlannedRow]:
        reasons = await asyncio.gather(*(self._evidence.difference(*pair) for pair in unsettled))
        self.counts.unchanged += reasons.count("")
        return [self._row(ours, reason) for (ours, _, _), reason in zip(unsettled, reasons, strict=True) if reason]

    def _one_sided(self, ours: Item, theirs: Item | None, planned: list[PlannedRow]) -> None:
        """Plan what only the source has, or of which one side cannot tell what it is, and all that marks a folder."""
        self._note(theirs)
        if isinstance(ours, Unknown):
            self._hidden.add(ours)
            if ours.unread:
                self.unsound = self.unsound or f"{self._source.place(ours.name)}: {ours.reason}"
            if ours.reason:
                self.counts.found += not ours.unwanted
                planned.append(self._untold(self._source.place(ours.name), ours.reason, unwanted=ours.unwanted))
            return
        if why := self._left_out(ours.name):
            planned.append(self._untold(self._source.place(ours.name), why, unwanted=True))
            return
        if ours.name.endswith("/") and self._action is not Action.COPY and not ours.size_bytes:
            self.counts.found += self._dir_markers
            if self._dir_markers and self._delete and self._action is Action.DOWNLOAD:
                self.marked.add([ours])
            if self._dir_markers and (theirs is None or isinstance(theirs, Unknown)):
                if self._action is Action.DOWNLOAD or ours.vacant:
                    self._marker(ours, planned)
            elif self._dir_markers:
                self.counts.compared += 1
                self.counts.unchanged += 1
            return
        self.counts.found += 1
        if theirs is not None and isinstance(theirs, Entry):  # keys that end in a slash and are copied as they are
            self.counts.compared += 1
            reason = self._difference(ours, theirs)
            if not reason:
                self.counts.unchanged += 1
                return
        elif isinstance(theirs, Unknown):
            reason = f"what is at the destination cannot be compared: {theirs.reason or 'it is no plain file'}"
        elif self._delete and self._action is Action.DOWNLOAD and self._files.parent_of(ours.name):
            reason = BLOCKED
        elif self._delete and self._stores_links and names_link(ours.name) and self._files.has(link_path(ours.name)):
            reason = TAKEN
        else:
            reason = MISSING
        why = self._names.refused(ours.name, there=False) if self._names is not None else ""
        planned.append(self._not_done(ours, why) if why else self._row(ours, reason))

    def _marker(self, ours: Entry, planned: list[PlannedRow]) -> None:
        refused = local_name(ours.name.removesuffix("/")).refused if self._names is not None else ""
        planned.append(self._not_done(ours, refused) if refused else self._row(ours, "no folder is there yet"))

    def _only_there(self, theirs: Item | None) -> None:
        """Keep what only the destination has, unless the source may have it, too."""
        self._note(theirs)
        if not isinstance(theirs, Entry) or not self._delete:
            return
        name = theirs.name
        if name.endswith("/") and (theirs.mtime_ns is not None or not isinstance(self._destination, ObjectSide)):
            return  # a folder: it goes when the last file in it does
        if name.endswith("/") and self._action is not Action.COPY and not self._dir_markers:
            return
        if not self._hidden.covers(name) and not self._left_out(name):
            self.doomed.add(theirs)
            if self._action is Action.DOWNLOAD:
                self._files.parent_of(theirs.path)

    def _note(self, theirs: Item | None) -> None:
        if isinstance(theirs, Unknown):
            if theirs.unread:
                self.unsound = self.unsound or f"{self._destination.place(theirs.name)}: {theirs.reason}"
        elif theirs is not None:
            self.counts.at_destination += 1

    def _row(self, ours: Entry, reason: str) -> PlannedRow:
        destination = self._destination.place(ours.name)
        if isinstance(self._destination, ObjectSide):
            key_bytes = len((self._destination.base + ours.name).encode())
            if not 0 < key_bytes <= MAX_KEY_BYTES:
                return self._not_done(ours, f"its key would have {key_bytes} bytes; a key has 1 to {MAX_KEY_BYTES}")
        if ours.storage_class in ARCHIVES:
            reason += f"; it is archived ({ours.storage_class})"
        return Row(
            n=self.next_n(),
            action=self._action,
            source=self._source.place(ours.path),
            destination=destination,
            size=None if ours.linked else ours.size_bytes,
            etag=ours.etag,
            last_modified=ours.last_modified,
            storage_class=ours.storage_class,
            reason=reason,
        )

    def _not_done(self, ours: Entry, why: str) -> TransferResult:
        source = self._source.place(ours.path)
        code = REFUSALS.get(self._action, "UsageError")
        text = f"the key cannot be a file below {self._destination.base}: {why}" if code == "UnsafeKey" else why
        return self._untold(source, text, code=code)

    def _untold(self, source: str, text: str, *, unwanted: bool = False, code: str = "LocalError") -> TransferResult:
        """Return the result of a row that is not carried out."""
        result = TransferResult(source=source, destination="", bucket="", key="", row=self.next_n())
        if isinstance(self._source, ObjectSide):
            bucket, key = self._source.bucket, source.removeprefix(f"s3://{self._source.bucket}/")
            result = msgspec.structs.replace(result, bucket=bucket, key=key)
        if unwanted:
            return msgspec.structs.replace(result, skipped=text)
        return msgspec.structs.replace(result, failure=ErrorInfo(code, text, source))

    def _unnamed(self) -> list[PlannedRow]:
        found: list[PlannedRow] = []
        while self.nameless:
            refused = self.nameless.popleft()
            if refused.relative:
                self._hidden.add_key(refused.relative)
            if refused.reason:
                self.counts.found += 1
                found.append(self._untold(refused.path, refused.reason))
        return found

    def deletion(self, entry: Entry) -> Row:
        """Return the row that deletes something at the destination."""
        return Row(
            n=self.next_n(),
            action=Action.DELETE,
            source=self._destination.place(entry.path),
            size=entry.size_bytes,
            etag=entry.etag,
            last_modified=entry.last_modified,
            reason=EXTRA,
        )


def result_of(row: Row) -> TransferResult:
    """Return what is known of a row before it is carried out."""
    bucket, key = named_object(row.destination if row.destination.startswith("s3://") else row.source)
    return TransferResult(
        source=row.source,
        destination=row.destination,
        bucket=bucket,
        key=key,
        size=0 if row.action is Action.DELETE else row.size or 0,
        etag=row.etag,
        last_modified=row.last_modified,
        row=row.n,
    )


class _Hidden:
    """What may be at the source: single names, and what lies below others of which it cannot tell what they are.

    It is asked in ascending order of names.
    """

    def __init__(self) -> None:
        self._below: list[str] = []
        self._keys: list[str] = []

    def add(self, unknown: Unknown) -> None:
        """Add a name."""
        self._below.append(unknown.below)

    def add_key(self, key: str) -> None:
        """Add a single name."""
        self._keys.append(key)

    def covers(self, name: str) -> bool:
        """Whether a name is one of them, lies below one, or is that of its stored link."""
        if self._keys:
            self._keys = [one for one in self._keys if name <= one]
        if self._below:
            self._below = [one for one in self._below if name <= one or name.startswith(one)]
        return name in self._keys or any(name.startswith(one) or name == one[:-1] + SUFFIX for one in self._below)
