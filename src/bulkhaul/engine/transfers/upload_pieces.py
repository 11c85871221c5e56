"""Makes groups of small files that are uploaded together: those of one folder whose keys end in their names.

files, one by one (upload_many, rows_up) ─▶ groups, each when it is full
"""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator

from bulkhaul.engine.transfers.batch import Group, Work
from bulkhaul.engine.transfers.content_type import with_content_type
from bulkhaul.engine.transfers.upload import Uploader
from bulkhaul.engine.transfers.upload_batch import SmallFile
from bulkhaul.model.errors import ErrorInfo
from bulkhaul.model.limits import MAX_KEY_BYTES
from bulkhaul.model.objects import ObjectRef
from bulkhaul.model.results import TransferResult
from bulkhaul.model.writing import ObjectOptions
from bulkhaul.policy.batching import FIRST_GROUPS, FIRST_ROWS, MAX_BYTES, MAX_ROWS, OPEN_FOLDERS

_Together = tuple[str, str, str]  # folder, bucket, prefix of the keys


class SmallFilePieces:
    """Small files that wait for others of their folder; a walk comes back to a folder after each one below it."""

    def __init__(self, uploader: Uploader, options: ObjectOptions) -> None:
        self._small = uploader.small()
        self._options = options
        self._open: dict[_Together, list[SmallFile]] = {}
        self._bytes: dict[_Together, int] = {}
        self._made = 0

    def takes(self, path: str, ref: ObjectRef, planned: TransferResult) -> bool:
        """Whether a file may be part of a batch; it is for the caller to know that it is a regular file by itself."""
        return self._small.takes(planned.size) and ref.key.endswith(os.path.basename(path))

    def add(self, path: str, ref: ObjectRef, planned: TransferResult, alone: Work) -> Iterator[Group]:
        """Add a file; yield the groups that are full by now.

        Args:
            alone: uploads it by itself.
        """
        folder, name = os.path.split(path)
        content_type = with_content_type(self._options, path, ref.key).content.content_type
        together = folder, ref.bucket, ref.key[: -len(name)]
        waiting = self._open.setdefault(together, [])
        waiting.append(SmallFile(ref, name, content_type, planned, alone))
        self._bytes[together] = size_bytes = self._bytes.get(together, 0) + planned.size
        if len(waiting) >= (FIRST_ROWS if self._made < FIRST_GROUPS else MAX_ROWS) or size_bytes >= MAX_BYTES:
            yield self._group(together)
        elif len(self._open) > OPEN_FOLDERS:
            yield self._group(next(iter(self._open)))

    def rest(self) -> Iterator[Group]:
        """Yield what is left: at the end, or where nothing is to wait any longer."""
        for together in list(self._open):
            yield self._group(together)

    def _group(self, together: _Together) -> Group:
        files = self._open.pop(together)
        del self._bytes[together]
        self._made += 1
        work = functools.partial(self._small.upload, together[0], files, self._options)
        return Group([file.planned for file in files], work)


def long_key(ref: ObjectRef, path: str) -> ErrorInfo | None:
    """Return the error of a file whose key would be too long, None if it is not."""
    if (length := len(ref.key.encode())) <= MAX_KEY_BYTES:
        return None
    return ErrorInfo("LocalError", f"its key would have {length} bytes, and a key has at most {MAX_KEY_BYTES}", path)
