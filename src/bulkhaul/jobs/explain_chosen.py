"""Explains what a cp, mv or rm would do with one key, and which rule decides that; it changes nothing.

the source that has the key ─▶ filters ─▶ is it there ─▶ its row, as the command makes it ─▶ what is at its destination
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import aclosing, closing

import msgspec

from bulkhaul.disk.paths import local_path
from bulkhaul.disk.seen_names import SeenNames
from bulkhaul.disk.source import reading_error
from bulkhaul.disk.walk import NOT_ENTERED, NOT_FOLLOWED, LocalFolder, Refused, look_at
from bulkhaul.engine.aio import AsyncEngine
from bulkhaul.engine.loop.threads import in_thread
from bulkhaul.engine.operations.control import Control
from bulkhaul.engine.operations.delete_many import Deletion
from bulkhaul.engine.transfers.endpoints import destination_prefix
from bulkhaul.engine.transfers.upload_many import link_rule
from bulkhaul.jobs.choosing import Choice, flat, one_row, row_maker
from bulkhaul.jobs.explain import Explanation, file_below, listed_object
from bulkhaul.jobs.overwriting import Looking
from bulkhaul.jobs.row_sources import FileRows
from bulkhaul.jobs.several import Several
from bulkhaul.model.errors import NotFound, TransferError, UsageError
from bulkhaul.model.objects import ObjectRef
from bulkhaul.model.results import TransferResult
from bulkhaul.model.rows import Action, Row
from bulkhaul.policy.comparison import MISSING
from bulkhaul.policy.overwriting import judged
from bulkhaul.policy.selection import Source, below, decided

ABSENT = "the source does not have it"


async def explain_transfer(
    engine: AsyncEngine, chosen: Several, key: str, choice: Choice, *, origin: AsyncEngine | None = None
) -> Explanation:
    """Return what a cp or mv would do with a key, and why; of several sources, for the first one that has it.

    Args:
        chosen: what is transferred: one source, or several.
        key: a path below a source, the last name of a source that is one object or file, or the whole name; of what a
            pattern of local files has found, its path below the destination.
        origin: an engine of the source's endpoint or credentials.

    Raises:
        UsageError: the key is a whole source, or the places make no sense.
        LocalError: no source names the key, and one of them does not exist.
        TransferError: a side cannot be asked.
    """
    if chosen.local:
        key = _from_here(key)
    transfer = _Transfer(engine, chosen, choice, origin)
    told = [await transfer.told(source, key) for source in chosen.sources]
    if chosen.local and not any(told):
        for source in chosen.sources:
            await in_thread(_require_file, source)
    return _first(told, key)


async def explain_deletion(control: Control, deletion: Deletion, key: str) -> Explanation:
    """Return whether an rm would delete a key, and why; see ``explain_transfer``."""
    return _first([await _deleted(control, deletion, source, key) for source in deletion.sources], key)


def _first(told: Sequence[Explanation | None], key: str) -> Explanation:
    """Return what is told of the first source that has the key, else of the first that could have it."""
    named = [one for one in told if one is not None]
    if not named:
        return Explanation(key, Action.SKIP, "source", "no source names it")
    return next((one for one in named if one.reason != ABSENT), named[0])


async def _deleted(control: Control, deletion: Deletion, source: Source, key: str) -> Explanation | None:
    if (name := _name(source, "", key)) is None:
        return None
    takes, why = _filtered(source, name, deletion.include, deletion.exclude)
    if not takes:
        return Explanation(name, Action.SKIP, "filter", why)
    whole = source.base + name if source.many else source.key
    if deletion.all_versions:
        there = await _has_version(control, source.bucket, whole)
    else:
        # A key that is named is deleted whatever is there: S3 does not tell.
        there = not source.many or await listed_object(control, source.bucket, whole) is not None
    if not there:
        return Explanation(name, Action.SKIP, "presence", ABSENT)
    return Explanation(name, Action.DELETE, "filter", why)


async def _has_version(control: Control, bucket: str, key: str) -> bool:
    """Whether a key has a version or a delete marker: the key itself is listed before those that it begins."""
    async with aclosing(control.versions(bucket, key)) as pages:
        async for versions in pages:
            if versions:
                return any(version.key == key for version in versions)
    return False


def _from_here(key: str) -> str:
    """Return a path that says that it begins in the current folder as a whole one."""
    return os.path.abspath(key) if key.startswith(("./", "../")) else key


def _require_file(path: str) -> None:
    try:
        os.lstat(path)
    except OSError as error:
        raise reading_error(error, path) from error


def _name(source: Source, folder: str, key: str, path: str = "") -> str | None:
    """Return the name of a key below a source, or that of a single one; None if this source does not name it.

    Args:
        folder: of local files; ``source.key`` is the path of a single one.
        path: of what a pattern of local files has found, its path below the destination.

    Raises:
        UsageError: it is the whole source.
    """
    if not source.many:
        whole = source.url if source.bucket else os.path.abspath(source.key)
        last = path or source.key[source.key.rstrip("/").rfind("/") + 1 :]
        return last if key in (whole, source.key, last) else None
    tops = [f"s3://{source.bucket}/{source.base}"] if source.bucket else [os.path.join(folder, ""), f"{source.root}/"]
    tops += [f"{path}/"] if path else []
    for top in tops:
        name = key.removeprefix(top)
        if key in (top, top.rstrip("/"), ""):
            raise UsageError("this is a whole source; name one key or path below it", key)
        if name != key:
            return name
    return None if path or key.startswith("s3://" if source.bucket else "/") else key


def _one_file(path: str) -> Source:
    """Return a single file as a source, for filters."""
    return Source("", key=local_path(path), root=os.path.dirname(os.path.abspath(path)))


def _filtered(
    source: Source, name: str, include: Sequence[str], exclude: Sequence[str], *, stores_links: bool = False
) -> tuple[bool, str]:
    # Of one key filters see the name without the slash that a folder marker ends in.
    seen = name if source.many else name.rstrip("/")
    return decided(below(source), include, exclude, seen, stores_links=stores_links)


class _Transfer:
    """Explains keys of one cp or mv."""

    def __init__(self, engine: AsyncEngine, chosen: Several, choice: Choice, origin: AsyncEngine | None) -> None:
        self._engine, self._origin = engine, origin
        self._asked = (origin or engine).control
        self._chosen, self._choice = chosen, choice
        self._links = link_rule(choice.follow_symlinks, move=choice.move, dry_run=choice.dry_run)

    async def told(self, source: str, key: str) -> Explanation | None:
        """Return what becomes of a key of one source, None if that does not name it."""
        chosen, choice = self._chosen, self._choice
        parsed, path = chosen.parsed(source), chosen.paths.get(source, "")
        if chosen.local and not parsed.many:
            parsed = _one_file(source)
        if (name := _name(parsed, source, key, path)) is None:
            return None
        links = self._engine.settings.store_links and chosen.action is Action.DOWNLOAD
        seen = f"{path}/{name}" if path and parsed.many else name
        root = chosen.above(source) if path else parsed.root
        within = msgspec.structs.replace(parsed, root=root)
        takes, why = _filtered(within, seen, choice.include, choice.exclude, stores_links=links)
        if not takes:
            return Explanation(seen, Action.SKIP, "filter", why)
        return msgspec.structs.replace(await self._told(source, parsed, name, why), name=seen)

    async def _told(self, source: str, parsed: Source, name: str, why: str) -> Explanation:
        """Return what becomes of a key that a source names, and that the filters take.

        Args:
            name: below the source; see ``_name``.
            why: what has taken it.
        """
        chosen, choice = self._chosen, self._choice
        row = await (self._file if chosen.local else self._object)(source, parsed, name)
        if isinstance(row, Explanation):
            return row
        if parsed.many and choice.flatten:
            with closing(SeenNames()) as taken:
                flattened = flat(row, chosen.top, taken)
            if isinstance(flattened, TransferResult):
                failure = flattened.failure
                return Explanation(name, Action.SKIP, "name", failure.message if failure else flattened.skipped)
            row = flattened
        told = await self._overwritten(row, name, why)
        if choice.move and told.action is not Action.SKIP:
            told = msgspec.structs.replace(told, reason=f"{told.reason}; the source is removed then")
        return told

    async def _object(self, source: str, parsed: Source, name: str) -> Row | Explanation:
        """Return the row of an object, or why there is none."""
        if not parsed.many:
            ref = ObjectRef(parsed.bucket, parsed.key)
            try:
                await self._asked.head(ref, self._choice.version_id)
            except NotFound:
                return Explanation(name, Action.SKIP, "presence", ABSENT)
            return self._one(ref if parsed.key.endswith("/") else source)
        head = await listed_object(self._asked, parsed.bucket, parsed.base + name)
        if head is None:
            return Explanation(name, Action.SKIP, "presence", ABSENT)
        row = (await row_maker(self._engine, parsed, self._place(source), self._origin))(head)
        if row.destination:
            return row
        rule = "place" if row.action is Action.SKIP and self._chosen.action is Action.COPY else "name"
        return Explanation(name, Action.SKIP, rule, row.reason or "it marks a folder")

    async def _file(self, source: str, parsed: Source, name: str) -> Row | Explanation:
        """Return the row of a file, or why there is none."""
        follow, enter = self._links.follow, self._links.enter
        if parsed.many:
            found = await in_thread(file_below, source, name, follow=follow, enter=enter)
        else:
            found = await in_thread(look_at, parsed.key, name, follow_symlinks=follow)
            if await in_thread(self._chosen.is_found_link, source):
                found = Refused(parsed.key, NOT_ENTERED if follow else NOT_FOLLOWED, unwanted=True)
        if found is None:
            return Explanation(name, Action.SKIP, "presence", ABSENT)
        if isinstance(found, LocalFolder):
            return Explanation(name, Action.SKIP, "file", "it is a folder; name one file")
        if isinstance(found, Refused):
            return Explanation(name, Action.SKIP, "link" if found.unwanted else "file", found.reason)
        if not parsed.many:
            return self._one(source)
        row = FileRows(source, *destination_prefix(self._place(source)), lambda _: True).row_of(found)
        assert row is not None
        return row if row.destination else Explanation(name, Action.SKIP, "name", row.reason)

    def _one(self, source: str | ObjectRef) -> Row:
        """Return the row of a source that is one object or file."""
        if len(self._chosen.sources) == 1 or isinstance(source, ObjectRef):
            return one_row(source, self._chosen.destination, self._choice)
        return next(row for row in self._chosen.named() if row.source == source)

    def _place(self, source: str) -> str:
        """Return what lies below a source goes to."""
        if len(self._chosen.sources) == 1:
            return self._chosen.destination
        return self._chosen.below(source)

    async def _overwritten(self, row: Row, name: str, why: str) -> Explanation:
        """Return what becomes of a row by what is at its destination.

        Args:
            why: what has taken it.
        """
        rule = self._choice.overwrite
        if rule.always:
            return Explanation(name, row.action, "filter", why)
        ((there, source),) = await Looking(rule, self._engine.control, self._asked).both([row])
        if there is None:
            return Explanation(name, row.action, "presence", MISSING)
        if isinstance(there, TransferError):
            text = f"{rule.option} asks what is at the destination, which does not tell: {there}"
            return Explanation(name, Action.SKIP, "overwrite", text)
        if source is None or isinstance(source, TransferError):
            return Explanation(name, Action.SKIP, "presence", f"the source cannot be read: {source or ABSENT}")
        replaced, reason = judged(rule, source, there)
        return Explanation(name, row.action if replaced else Action.SKIP, "overwrite", f"{rule.option}: {reason}")
