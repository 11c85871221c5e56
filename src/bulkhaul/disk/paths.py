"""Checks the paths that callers pass, without opening them."""

from __future__ import annotations

import os

from bulkhaul.model.errors import LocalError


def local_path(path: str | bytes | os.PathLike[str]) -> str:
    """Return a path as text.

    Raises:
        LocalError: it holds NUL, which no path can.
    """
    text = os.fsdecode(path)
    if "\0" in text:
        raise LocalError("a path cannot hold NUL", repr(text))
    return text


def require_file(path: str | bytes | os.PathLike[str]) -> str:
    """Return a path that is to become a file.

    Raises:
        LocalError: it is empty, or a folder's.
    """
    text = local_path(path)
    if not text:
        raise LocalError("the path is empty; name a file", text)
    if text.endswith("/") or os.path.isdir(text):
        raise LocalError("a folder is in the place of the file; remove it, or choose another destination", text)
    return text
