"""Decides what lies in a folder of a bucket and what below: keys up to their next slash."""

from __future__ import annotations

from collections.abc import Iterable

from bulkhaul.model.objects import FolderListing, ObjectInfo


def in_folder(infos: Iterable[ObjectInfo], prefix: str) -> FolderListing:
    """Return the objects in one folder, and the folders in it, of all that begin with ``prefix``."""
    objects: list[ObjectInfo] = []
    prefixes: dict[str, None] = {}
    for info in infos:
        name, slash, _ = info.key.removeprefix(prefix).partition("/")
        if slash:
            prefixes[f"{prefix}{name}/"] = None
        else:
            objects.append(info)
    return FolderListing(objects, list(prefixes))
