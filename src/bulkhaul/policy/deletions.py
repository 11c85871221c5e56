"""Decides which keys of a DeleteObjects request were deleted, by what the reply says of each.

    reply says deleted      deleted
    reply says failed       not deleted, also where the reply says both
    reply says nothing      not confirmed

A key that the reply leaves out is no success: services do leave keys out. Some report a failure under a name that was
not in the request. Such a failure may be about any key: every key that the reply does not mention stays unconfirmed,
and if it mentions all of them, the whole batch does.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from urllib.parse import unquote, unquote_plus

import msgspec

from bulkhaul.model.writing import Doomed, NotDeleted

_GONE = frozenset({"NoSuchKey", "NoSuchVersion"})

_Name = tuple[str, str]


class ToldDeleted(msgspec.Struct, frozen=True):
    """A key that the answer names as deleted.

    Attributes:
        version_ids: every id that comes with it; where a version was asked for, it must be one of them. Some services
            name a delete marker that is gone as if it had just been made.
    """

    key: str
    version_ids: tuple[str, ...] = ()


def not_deleted(
    doomed: Sequence[Doomed], deleted: Iterable[ToldDeleted], errors: Iterable[NotDeleted]
) -> list[NotDeleted]:
    """Return what was not deleted, or not for sure, under the names that were asked for.

    Args:
        errors: as the answer tells them. That a key is not there (any more) is no failure.
    """
    asked: dict[str, list[str]] = {}
    for one in doomed:
        asked.setdefault(one.key, []).append(one.version_id)
    confirmed, unversioned = _confirmed(asked, deleted)
    refused: dict[_Name, NotDeleted] = {}
    strays: list[NotDeleted] = []
    for error in errors:
        names = _meant(asked, error, confirmed)
        if error.service_code in _GONE:
            confirmed.update(names)
            continue
        for key, version_id in names:
            refused[key, version_id] = msgspec.structs.replace(error, key=key, version_id=version_id)
        if not names:
            strays.append(error)
    for key, count in unversioned.items():
        waiting = {(key, version_id) for version_id in asked[key]} - confirmed - refused.keys()
        if count >= len(waiting):
            confirmed |= waiting
    names = list(dict.fromkeys((one.key, one.version_id) for one in doomed if (one.key, one.version_id) not in refused))
    left = [name for name in names if name not in confirmed] or (names if strays else [])
    why = f"{strays[0].service_code}: {strays[0].message}" if strays else ""
    return [*refused.values(), *(NotDeleted(*name, message=why, unconfirmed=True) for name in left)]


def _confirmed(asked: dict[str, list[str]], deleted: Iterable[ToldDeleted]) -> tuple[set[_Name], dict[str, int]]:
    """Return what is told as deleted, and how often keys are told without saying which of their versions is."""
    confirmed: set[_Name] = set()
    unversioned: dict[str, int] = {}
    for told in deleted:
        key = _ours(asked, told.key)
        if key is None:
            continue
        versions = asked[key]
        named = [version_id for version_id in told.version_ids if version_id in versions]
        if named:
            confirmed.update((key, version_id) for version_id in named)
        elif "" in versions:
            confirmed.add((key, ""))
        elif not told.version_ids:
            unversioned[key] = unversioned.get(key, 0) + 1
    return confirmed, unversioned


def _meant(asked: dict[str, list[str]], error: NotDeleted, confirmed: set[_Name]) -> list[_Name]:
    """Return what an error is about; without a version id, every version of its key that is not told as deleted."""
    key = _ours(asked, error.key)
    if key is None:
        return []
    if error.version_id in asked[key]:
        return [(key, error.version_id)]
    if "" in asked[key]:
        return [(key, "")]
    if error.version_id:
        return []
    every = [(key, version_id) for version_id in asked[key]]
    return [name for name in every if name not in confirmed] or every


def _ours(asked: dict[str, list[str]], told: str) -> str | None:
    """Return the key that was asked for by this name: as it is, percent-encoded, or with the line ends of a parser.

    Source: XML 1.0 §2.11: a parser makes a line feed of every carriage return that is no reference.
    """
    if told in asked:
        return told
    for plain in (unquote(told), unquote_plus(told)):
        if plain in asked:
            return plain
    return next((key for key in asked if "\r" in key and _parsed(key) == told), None)


def _parsed(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")
