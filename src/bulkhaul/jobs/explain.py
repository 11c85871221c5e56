"""Explains what a sync would do with one key, and which rule decides that; it changes nothing."""

from __future__ import annotations

import contextlib
import os

import msgspec

from bulkhaul.disk.links import is_link
from bulkhaul.disk.walk import NOT_ENTERED, NOT_FOLLOWED, LocalFile, LocalFolder, Refused, look_at
from bulkhaul.engine.aio import AsyncEngine
from bulkhaul.engine.loop.threads import in_thread
from bulkhaul.engine.operations.control import Control
from bulkhaul.jobs.evidence import Evidence
from bulkhaul.jobs.places import FileSide, ObjectSide, Side, Sides, sides_of
from bulkhaul.jobs.sides import Item, file_entry, link_entry, object_entries
from bulkhaul.jobs.sync_options import SyncOptions
from bulkhaul.model.errors import UsageError
from bulkhaul.model.objects import ObjectHead
from bulkhaul.model.rows import Action
from bulkhaul.model.settings import Settings
from bulkhaul.policy.comparison import EXTRA, MISSING, Unknown, listed_difference, parse_compare
from bulkhaul.policy.links import NAMED_AS_LINK, SUFFIX, link_path, makes_link, names_link
from bulkhaul.policy.naming import link_on_file, local_name, needs_folder
from bulkhaul.policy.preserving import require_between_buckets
from bulkhaul.policy.selection import left_out_by


class Explanation(msgspec.Struct, frozen=True):
    """What becomes of one name.

    Attributes:
        name: below both sides, or below the source.
        action: ``download``, ``upload``, ``copy``, ``delete`` or ``skip``.
        rule: what decides: ``filter``, ``place``, ``name`` or ``presence``; of a sync also ``comparison`` or
            ``deletion``, of others ``source``, ``link``, ``file`` or ``overwrite``.
        reason: for people.
    """

    name: str
    action: Action
    rule: str
    reason: str


async def explain(
    engine: AsyncEngine, origin: AsyncEngine, source: str, destination: str, key: str, options: SyncOptions
) -> Explanation:
    """Return what a sync would do with a key, and why.

    Args:
        key: a path below both sides, or the whole name of either side.

    Raises:
        UsageError: source and destination make no sense together, or the key is one of them.
        TransferError: a side cannot be asked.
    """
    sides = await sides_of(engine, origin, source, destination)
    name = key
    for side in (sides.source, sides.destination):
        name = name.removeprefix(side.place(""))
    require_between_buckets(options.preserve, source, is_copy=sides.action is Action.COPY)
    if not name:
        raise UsageError("this is a whole side of the sync; name one key or path below it", key)
    links = engine.settings.store_links and sides.action is not Action.COPY
    if links and await _means_link(sides, key, name):
        name += SUFFIX
    return await _explained(name, sides, options, engine.settings, links=links)


async def _means_link(sides: Sides, key: str, name: str) -> bool:
    """Whether a link is meant by its own name: the source decides, and the destination where the source has nothing.

    Args:
        key: as it was given; a whole URL is that object, and a whole path what lies there.
    """
    objects, files = sides.source, sides.destination
    if isinstance(objects, FileSide):
        objects, files = files, objects
    assert isinstance(objects, ObjectSide)
    assert isinstance(files, FileSide)
    if name != key:
        return key.startswith(files.base) and await in_thread(is_link, files.place(name))
    if sides.source is files:
        if await in_thread(os.path.lexists, files.place(name)):
            return await in_thread(is_link, files.place(name))
        return await _listed(objects, name) is None and await _listed(objects, name + SUFFIX) is not None
    if await _listed(objects, name) is not None:
        return False
    return await _listed(objects, name + SUFFIX) is not None or await in_thread(is_link, files.place(name))


async def _explained(name: str, sides: Sides, options: SyncOptions, settings: Settings, *, links: bool) -> Explanation:
    def skipped(rule: str, reason: str) -> Explanation:
        return Explanation(name, Action.SKIP, rule, reason)

    if links and await _named_as_link(sides.source, name):
        why = left_out_by(sides.selection, options.include, options.exclude, name)
        return skipped("filter", why) if why else skipped("name", NAMED_AS_LINK)
    if why := left_out_by(sides.selection, options.include, options.exclude, name, stores_links=links):
        return skipped("filter", why)
    if why := sides.left_out(name):
        return skipped("place", why)
    marker = name.endswith("/") and sides.action is not Action.COPY
    if marker and not options.dir_markers:
        return skipped("name", "it marks a folder, which takes --dir-markers")
    ours = await _found(sides.source, name, follow_symlinks=options.follow_symlinks and not links, stores_links=links)
    theirs = await _found(sides.destination, name, follow_symlinks=False, stores_links=links)
    if isinstance(ours, Unknown):
        return skipped("presence", f"the source cannot tell what it is: {ours.reason}")
    if ours is None:
        return _only_there(name, theirs, options)
    if sides.action is Action.DOWNLOAD and (why := await _no_file(name, sides, options, links=links)):
        return skipped("name", f"the key cannot be a file: {why}")
    if theirs is None:
        return Explanation(name, sides.action, "presence", MISSING)
    if isinstance(theirs, Unknown):
        return Explanation(name, sides.action, "presence", f"the destination cannot be compared: {theirs.reason}")
    compare = parse_compare(options.compare)
    evidence = Evidence(compare, sides.source, sides.destination, keeps_times=settings.preserve_times)
    reason = "" if marker else listed_difference(compare, sides.action)(ours, theirs)
    if not marker and (evidence.decides(ours, theirs) if reason else evidence.needed):
        reason = await evidence.difference(ours, theirs, reason)
    if reason:
        return Explanation(name, sides.action, "comparison", reason)
    return skipped("comparison", f"both sides are alike by {options.compare}")


def _only_there(name: str, theirs: Item | None, options: SyncOptions) -> Explanation:
    if theirs is None:
        return Explanation(name, Action.SKIP, "presence", "neither side has it")
    if isinstance(theirs, Unknown):
        return Explanation(name, Action.SKIP, "deletion", f"the destination cannot tell what it is: {theirs.reason}")
    if not options.delete:
        return Explanation(name, Action.SKIP, "deletion", f"{EXTRA}; --delete would delete it")
    return Explanation(name, Action.DELETE, "deletion", EXTRA)


async def _named_as_link(side: Side, name: str) -> bool:
    """Whether a name is that of a file which is named as a stored link is, and of no link."""
    if not isinstance(side, FileSide) or not names_link(name) or await in_thread(is_link, side.place(link_path(name))):
        return False
    return isinstance(await in_thread(file_below, side.base, name, follow=False, enter=False), LocalFile)


async def _no_file(name: str, sides: Sides, options: SyncOptions, *, links: bool) -> str:
    """Return why a key of the source can be no file: by its name, or as another one is in its way; empty if it can."""
    source = sides.source
    assert isinstance(source, ObjectSide)
    link = makes_link(name, stores_links=links)
    path = link_path(name) if link else name
    if why := local_name(path.removesuffix("/")).refused:
        return why

    async def taken(other: str) -> bool:
        filters = options.include, options.exclude
        left_out = left_out_by(sides.selection, *filters, other, stores_links=links)
        return not left_out and await _listed(source, other) is not None

    if link and await taken(path):
        return link_on_file(source.base + path)
    for above in _above(path):
        if await taken(above):
            return needs_folder(source.base + above, link=False)
        if links and await taken(above + SUFFIX):
            return needs_folder(source.base + above + SUFFIX, link=True)
    return ""


def _above(name: str) -> list[str]:
    """Return the paths of the folders that a name lies in, the outermost first."""
    return [name[:place] for place, character in enumerate(name.rstrip("/")) if character == "/"]


async def _found(side: Side, name: str, *, follow_symlinks: bool, stores_links: bool) -> Item | None:
    if isinstance(side, ObjectSide):
        return await _listed(side, name)
    assert isinstance(side, FileSide)
    named = stores_links and names_link(name)
    path = link_path(name) if named else name
    found = await in_thread(file_below, side.base, path, follow=follow_symlinks, enter=follow_symlinks)
    if stores_links and isinstance(found, Refused) and found.reason is NOT_FOLLOWED:
        return link_entry(found) if named else None
    if found is None or (named and not isinstance(found, Refused)):
        return None
    return file_entry(found, told=True)


def file_below(folder: str, name: str, *, follow: bool, enter: bool) -> LocalFile | LocalFolder | Refused | None:
    """Return what a walk would tell of one name below a folder, None if nothing is there; see ``walk``.

    Args:
        follow: look at what links lead to.
        enter: likewise for links to folders.
    """
    for above in [] if enter else _above(name):
        if os.path.islink(path := os.path.join(folder, above)):
            why = NOT_ENTERED if follow else NOT_FOLLOWED
            return Refused(path, f"{above!r} is {why}", unwanted=True, relative=above)
    return look_at(os.path.join(folder, name), name, follow_symlinks=follow)


async def _listed(side: ObjectSide, name: str) -> Item | None:
    head = await listed_object(side.control, side.bucket, side.base + name)
    return None if head is None else object_entries([head], side.base, lambda _: True)[0]


async def listed_object(control: Control, bucket: str, key: str) -> ObjectHead | None:
    """Return an object as a listing tells it, None if there is none: HEAD tells times in whole seconds only."""
    async with contextlib.aclosing(control.pages(bucket, key, max_keys=1, ahead=False)) as pages:
        async for heads in pages:
            return next((head for head in heads if head.key == key), None)
    return None
