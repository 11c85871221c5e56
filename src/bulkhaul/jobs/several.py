"""Transfers several sources to one place: objects, files, prefixes, patterns and folders, as one run over their rows.

each source ─▶ rows ─▶ two of one destination: the second one fails ─▶ those that stay are left out ─▶ the engine

A source below which there are many takes its own name along, as with Unix cp, unless it ends in a slash. What a pattern
of local files has found has a path of its own:

    d/  ─▶ DEST/…        d ─▶ DEST/d/…        d/* ─▶ DEST/x, DEST/y/…
"""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing

import msgspec

from bulkhaul.disk.paths import local_path
from bulkhaul.disk.seen_names import SeenNames
from bulkhaul.disk.walk import NOT_ENTERED
from bulkhaul.engine.aio import AsyncEngine
from bulkhaul.engine.loop.threads import in_thread
from bulkhaul.engine.transfers.endpoints import destination_prefix, files_below, key_for
from bulkhaul.engine.transfers.rows import PlannedRow, failed_row, result_of_row
from bulkhaul.jobs.archives import Ready, Transfer
from bulkhaul.jobs.choosing import Choice, flattened, numbered, object_rows, passes, transfer_of, transferred
from bulkhaul.jobs.row_sources import FileRows
from bulkhaul.model.errors import TransferError, UsageError
from bulkhaul.model.objects import ObjectRef
from bulkhaul.model.results import SourceResult, TransferResult
from bulkhaul.model.rows import Action, Row
from bulkhaul.policy.filters import Filters
from bulkhaul.policy.naming import base_name
from bulkhaul.policy.selection import Source, named_object, parse_source, selector

PAGE_ROWS = 1000
"""Rows of a page, as many as a listing has."""


class Several(msgspec.Struct, frozen=True, kw_only=True):
    """Several sources, all of them files or all of them in S3, and the folder or prefix that they go to.

    Attributes:
        destination: taken as a folder or a prefix.
        paths: of some local sources, where they go below the destination; a folder among them is entered only if it
            ends in a slash.
        recursive: everything below folders and prefixes.
        literal: wildcards of URLs stand for themselves.
    """

    sources: Sequence[str]
    destination: str
    paths: Mapping[str, str] = {}
    recursive: bool = False
    literal: bool = False

    @property
    def top(self) -> str:
        """What is put before each name."""
        if not self.destination.startswith("s3://"):
            return os.path.join(local_path(self.destination), "")
        return ObjectRef(*destination_prefix(self.destination)).url

    @property
    def local(self) -> bool:
        """Whether the sources are files."""
        return not self.sources[0].startswith("s3://")

    @property
    def action(self) -> Action:
        """What is done with each of them."""
        if not self.destination.startswith("s3://"):
            return Action.DOWNLOAD
        return Action.UPLOAD if self.local else Action.COPY

    def named(self) -> list[Row]:
        """Return the rows of the single files and objects.

        Raises:
            UsageError: two have one destination, or a source makes no sense.
            LocalError: a file's name cannot be a key.
        """
        rows = [row for n, source in enumerate(self.sources) if (row := self._row(n, source)) is not None]
        taken: dict[str, str] = {}
        for row in rows:
            if (earlier := taken.get(row.destination)) is not None:
                raise UsageError(f"{earlier} and {row.source} would both be {row.destination}; transfer one by itself")
            taken[row.destination] = row.source
        return rows

    def many(self) -> list[str]:
        """Return the folders, prefixes and patterns."""
        return [source for source in self.sources if self.parsed(source).many]

    def parsed(self, source: str) -> Source:
        """Return what a source names; of a single file nothing."""
        if not self.local:
            return parse_source(source, recursive=self.recursive, literal=self.literal, marker=self.literal)
        entered = source.endswith("/") or (self.recursive and source not in self.paths)
        return files_below(source) if entered and os.path.isdir(source) else Source("")

    def _row(self, n: int, source: str) -> Row | None:
        if (parsed := self.parsed(source)).many:
            return None
        if self.action is not Action.DOWNLOAD:
            bucket, prefix = destination_prefix(self.destination)
            path = self.paths.get(source, "")
            above = prefix + path[: path.rfind("/") + 1]
            place = ObjectRef(bucket, key_for(above, path or (source if self.local else parsed.key))).url
        else:
            name = base_name(parsed.key)
            if not name.components:
                raise UsageError(f"the key gives no file name: {name.refused}", source)
            place = self.top + name.components[0]
        return Row(n=n, action=self.action, source=source if self.local else parsed.url, destination=place)

    def takes(self, folder: str, include: Sequence[str], exclude: Sequence[str]) -> Callable[[str], bool]:
        """Return the test that the path of a file below a folder must pass."""
        if folder not in self.paths:
            return selector(files_below(folder), include, exclude)
        path = self.paths[folder]
        chosen = selector(files_below(self.above(folder)), include, exclude)
        return lambda relative: chosen(f"{path}/{relative}")

    def is_found_link(self, source: str) -> bool:
        """Whether a source is a link to a folder that a pattern has found."""
        return source in self.paths and os.path.islink(source.rstrip("/")) and os.path.isdir(source)

    def above(self, source: str) -> str:
        """Return the absolute path of the folder that filters see a local source in."""
        path = source.rstrip("/")
        return os.path.abspath(path.removesuffix(self.paths.get(source) or os.path.basename(path)))

    def below(self, source: str) -> str:
        """Return the prefix or the folder, with a slash at its end, that what lies below a source goes to."""
        if source in self.paths:
            name = self.paths[source]
        elif self.local:
            name = "" if source.endswith("/") else os.path.basename(os.path.normpath(source))
            name = "" if name in (".", "..") else name
        else:
            parsed = parse_source(source, recursive=self.recursive, literal=self.literal)
            name = "" if parsed.pattern or source.endswith("/") else parsed.base.rstrip("/").rpartition("/")[2]
        return f"{self.top}{name}/" if name else self.top


async def several_results(
    engine: AsyncEngine, several: Several, choice: Choice, *, origin: AsyncEngine | None = None
) -> AsyncGenerator[TransferResult, None]:
    """Transfer several sources; one that fails as a whole is a failed result, and the others go on.

    Args:
        origin: an engine of the sources' endpoint or credentials.

    Yields:
        One result an object or file.

    Raises:
        UsageError: two sources have one destination; nothing was begun.
    """
    run = _Run(engine, several, choice, origin)
    named = run.filtered(several.named())
    try:
        for pages, move in await run.passes(named):
            chosen = transferred(engine, origin or engine, run.apart(pages), run.transfer(move=move), choice)
            async with aclosing(chosen) as results:
                async for result in results:
                    yield result
    finally:
        run.close()


class _Run:
    """Makes the rows of one run."""

    def __init__(self, engine: AsyncEngine, several: Several, choice: Choice, origin: AsyncEngine | None) -> None:
        self._engine, self._origin = engine, origin
        self._several, self._choice = several, choice
        self._seen = SeenNames()
        self._n = 0

    def close(self) -> None:
        self._seen.close()

    def transfer(self, *, move: bool) -> Transfer:
        """Return what does the rows."""
        several = self._several
        return transfer_of(
            self._engine, several.action, several.destination, self._choice, move=move, origin=self._origin
        )

    def filtered(self, rows: Sequence[Row]) -> list[PlannedRow]:
        """Return single rows, in the place of those that filters leave out their results."""
        told: list[PlannedRow] = []
        made: dict[str, Filters] = {}
        for row in rows:
            root = self._several.above(row.source) if self._several.local else ""
            if (filters := made.get(root)) is None:
                filters = made[root] = Filters(self._choice.include, self._choice.exclude, root=root)
            name = self._several.paths.get(row.source) or row.source.rstrip("/").rpartition("/")[2]
            link = self._several.local and os.path.islink(row.source)
            if not filters.takes(name):
                told.append(_left_out(row, filters.reason(name)))
            elif link and self._choice.follow_symlinks is False:
                told.append(_left_out(row, "it is a symbolic link, and links are not followed"))
            elif self._several.is_found_link(row.source):
                told.append(_left_out(row, NOT_ENTERED))
            else:
                told.append(row)
        return told

    async def passes(self, named: Sequence[PlannedRow]) -> list[tuple[Ready, bool]]:
        """Return what is done one after the other: a move uploads what links lead to before it removes that.

        What a pattern has found behind a link to a folder is not removed.
        """
        several, choice, move = self._several, self._choice, self._choice.move
        if not several.local:
            pages = [self._flat(self._pages(named)), *(self._objects(source) for source in several.many())]
            return [(_chained(pages), move)]
        links = await in_thread(_links, named) if move else []
        rest = [row for row in named if row not in links]
        found: list[tuple[Ready, bool]] = [(self._flat(self._pages(part)), move) for part in (links, rest) if part]
        behind: list[tuple[Ready, bool]] = []
        for folder in several.many():
            bucket, prefix = destination_prefix(several.below(folder))
            takes = several.takes(folder, choice.include, choice.exclude)
            link = move and await in_thread(several.is_found_link, folder)
            how = msgspec.structs.replace(choice, move=False) if link else choice
            for entries, removed in await in_thread(passes, folder, how):
                rows = FileRows(folder, bucket, prefix, takes, entries=entries)
                (behind if link else found).append((self._flat(numbered(rows)), removed))
        found = behind + found
        return found if move else [(_chained([pages for pages, _ in found]), False)]

    async def _pages(self, rows: Sequence[PlannedRow]) -> AsyncGenerator[Sequence[PlannedRow], None]:
        for start in range(0, len(rows), PAGE_ROWS):
            yield rows[start : start + PAGE_ROWS]

    async def _objects(self, source: str) -> AsyncGenerator[Sequence[PlannedRow], None]:
        several = self._several
        parsed = parse_source(source, recursive=several.recursive, literal=several.literal)
        place = several.below(source)
        try:
            if not place.startswith("s3://"):
                place = place.rstrip("/") or "/"
            rows = await object_rows(self._engine, parsed, place, self._choice, self._origin)
            async with aclosing(self._flat(numbered(rows))) as pages:
                async for page in pages:
                    yield page
        except TransferError as error:
            bucket, key = named_object(source)
            yield [SourceResult(source=source, destination="", bucket=bucket, key=key, failure=error.info)]

    def _flat(self, rows: Ready) -> Ready:
        return flattened(rows, self._several.top, self._seen) if self._choice.flatten else rows

    async def apart(self, pages: Ready) -> AsyncGenerator[Sequence[PlannedRow], None]:
        """Yield rows with numbers of this run; the second one of a destination fails."""
        async with aclosing(pages):
            async for page in pages:
                yield [self._apart(row) for row in page]

    def _apart(self, row: PlannedRow) -> PlannedRow:
        n, self._n = self._n, self._n + 1
        if isinstance(row, TransferResult):
            return msgspec.structs.replace(row, row=n)
        row = msgspec.structs.replace(row, n=n)
        if self._choice.flatten or not row.destination:
            return row
        if earlier := self._seen.earlier(row.destination, row.source):
            return failed_row(row, UsageError(f"{earlier} has the same destination, {row.destination}", row.source))
        return row


def _links(rows: Sequence[PlannedRow]) -> list[PlannedRow]:
    return [row for row in rows if isinstance(row, Row) and os.path.islink(row.source)]


async def _chained(several: Sequence[Ready]) -> AsyncGenerator[Sequence[PlannedRow], None]:
    for pages in several:
        async with aclosing(pages):
            async for page in pages:
                yield page


def _left_out(row: Row, reason: str) -> TransferResult:
    place = row.destination if row.action is Action.UPLOAD else row.source
    return result_of_row(row, ObjectRef(*named_object(place)), skipped=reason)
