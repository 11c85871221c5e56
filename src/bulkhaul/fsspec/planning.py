"""Says which objects the names in a call stand for, and where each of them goes: by fsspec's rules for copies.

Folders are told from objects by what a listing says of them, so no object is asked for by itself.
"""

from __future__ import annotations

import errno
from collections.abc import Collection, Sequence
from typing import Any

from fsspec.core import has_magic
from fsspec.utils import other_paths, stringify_path

from bulkhaul.fsspec.base import EngineFileSystem
from bulkhaul.fsspec.listings import Info, folder_info

Pairs = Sequence[tuple[Info, str]]
"""What is moved, and where it goes; of an object at least ``name`` and ``type`` are told."""


class PlanningFileSystem(EngineFileSystem):
    """What the operations of many names have in common."""

    async def _named(
        self,
        path: str | list[str],
        *,
        recursive: bool,
        maxdepth: int | None = None,
        literal: Collection[str] = (),
        version_id: str = "",
    ) -> dict[str, Info]:
        """Return what is known of all that the names stand for, folders among it, in the order of the names.

        Of a plain name that is one of several nothing is asked: it is taken for an object.

        Args:
            literal: names that are no patterns, whatever signs they hold.
            version_id: of the one object that is named.

        Raises:
            FileNotFoundError: there is nothing of such a name.
        """
        if maxdepth is not None and maxdepth < 1:
            raise ValueError("maxdepth must be at least 1")
        found: dict[str, Info] = {}
        for name in [path] if isinstance(path, str) else path:
            name = self._strip_protocol(name)
            if has_magic(name) and name not in literal and not version_id:
                matching = await self._glob(name, maxdepth=maxdepth, detail=True)
                _add(found, matching)
                if recursive and (maxdepth is None or maxdepth > 1):
                    deeper = None if maxdepth is None else maxdepth - 1
                    for one in _folders(matching):
                        _add(found, await self._find(one, maxdepth=deeper, withdirs=True, detail=True))
            elif recursive:
                below = await self._find(name, maxdepth=maxdepth, withdirs=True, detail=True)
                _add(found, below or {name: await self._info(name)})
                if not name:
                    found[name] = folder_info(name)
            elif isinstance(path, str):
                found[name] = await self._info(name, version_id=version_id)
            else:
                found[name] = {"name": name, "type": "file"}
        if not found:
            raise FileNotFoundError(errno.ENOENT, "nothing matches", str(path))
        return {name: found[name] for name in sorted(found)}

    async def _paired(
        self,
        source: Any,
        target: Any,
        *,
        into_folder: bool,
        recursive: bool,
        maxdepth: int | None = None,
        literal: Collection[str] = (),
        version_id: str = "",
    ) -> Pairs:
        """Return what is moved, folders among it, and where each goes.

        Args:
            target: one name, or as many as there are sources.
            into_folder: the target is a folder that is there, so that a source gets its own name in it.
        """
        source = stringify_path(source)
        if isinstance(source, list) and isinstance(target, list):
            infos = [{"name": self._strip_protocol(name), "type": "file"} for name in source]
            return list(zip(infos, target, strict=True))
        named = await self._named(
            source, recursive=recursive, maxdepth=maxdepth, literal=literal, version_id=version_id
        )
        alone = isinstance(source, str)
        pattern = alone and has_magic(name := self._strip_protocol(source)) and name not in literal and not version_id
        inside = alone and (len(named) == 1 if pattern else into_folder and not source.endswith("/"))
        targets = other_paths(list(named), target, exists=inside, flatten=not alone)
        return list(zip(named.values(), targets, strict=True))


def files_of(pairs: Pairs) -> Pairs:
    """Return the objects among what is moved: a folder is made by what lies in it."""
    return [(info, target) for info, target in pairs if info["type"] != "directory"]


def _folders(found: dict[str, Info]) -> list[str]:
    return [name for name, info in found.items() if info["type"] == "directory" or info.get("folder")]


def _add(found: dict[str, Info], more: dict[str, Info]) -> None:
    """Take in what is found by another name; an object is not hidden by a folder of its name."""
    for name, info in more.items():
        if name not in found or info["type"] != "directory":
            found[name] = info
