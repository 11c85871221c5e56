"""Decides which local path a key gets, or why it gets none.

key under the source prefix  ─▶  path components below the destination folder   (never above, never beside)
"""

from __future__ import annotations

import unicodedata

import msgspec

MAX_NAME_BYTES = 255
"""Longest file name. Source: NAME_MAX of ext4, xfs, btrfs and tmpfs (linux/limits.h)."""


def is_text(name: str) -> bool:
    r"""Whether a name is valid UTF-8, as a key has to be; Python has surrogates where a file's name is not.

    >>> is_text("é"), is_text("\udcff")
    (True, False)
    """
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


class LocalName(msgspec.Struct, frozen=True):
    """Where a key goes: path components below the destination folder, or why it cannot go there.

    Attributes:
        components: folder names and, last, the file name; empty if refused.
        refused: what is wrong with the key, empty if nothing is.
    """

    components: tuple[str, ...] = ()
    refused: str = ""


def local_name(relative_key: str) -> LocalName:
    """Return the path components for a key, taken relative to the source prefix.

    Every segment of the key becomes exactly one component. A key with a segment that a file system would take as
    something else than a plain name is refused, never rewritten: two keys must not meet in one file.

    >>> local_name("a/b").components
    ('a', 'b')
    >>> local_name("../etc/passwd").refused
    'it has a ".." segment'
    """
    if not relative_key:
        return LocalName(refused="it leaves no file name; `bulkhaul cp --raw URL FILE` fetches it")
    if relative_key.endswith("/"):
        return LocalName(refused="it ends in a slash, so it would be a folder; `bulkhaul cp --raw URL FILE` fetches it")
    if relative_key.startswith("/"):
        return LocalName(refused="it is an absolute path")
    components = tuple(relative_key.split("/"))
    for component in components:
        if reason := _unsafe(component):
            return LocalName(refused=reason)
    return LocalName(components)


def _unsafe(component: str) -> str:
    if not component:
        return "it has an empty segment (//)"
    if component in (".", ".."):
        return f'it has a "{component}" segment'
    if "\0" in component:
        return "it holds a NUL character"
    try:
        length = len(component.encode())
    except UnicodeEncodeError:
        return "it is not valid UTF-8"
    return f"it has a segment of {length} bytes, more than {MAX_NAME_BYTES}" if length > MAX_NAME_BYTES else ""


def base_name(key: str) -> LocalName:
    """Return the file name that one object gets inside a destination folder: the key's last segment."""
    return local_name(key.rsplit("/", 1)[-1])


def folded(components: tuple[str, ...]) -> str:
    """Return what two paths share when a file system that folds case or composes Unicode takes them as one.

    >>> folded(("A", "é")) == folded(("a", "e\u0301"))
    True
    """
    return unicodedata.normalize("NFC", "/".join(components).casefold())


class FileFolderClash:
    """Finds keys that need a folder where an earlier key of the same listing is a file: ``a`` and ``a/b``.

    Works on keys in ascending order in memory bounded by the length of a key: the only earlier keys that can be a
    parent of a later one are those that are a prefix of it. A listing in another order may hide a clash from it; the
    disk then refuses the second of the two.
    """

    def __init__(self) -> None:
        self._files: list[str] = []

    def parent_of(self, key: str) -> str:
        """Return the earlier key that is a file where ``key`` needs a folder, empty if there is none."""
        while self._files and not key.startswith(self._files[-1]):
            self._files.pop()
        for earlier in self._files:
            if key.startswith(earlier + "/"):
                return earlier
        self._files.append(key)
        return ""

    def has(self, key: str) -> bool:
        """Whether an earlier key is this one; asked when what follows begins with it."""
        while self._files and not key.startswith(self._files[-1]):
            self._files.pop()
        return bool(self._files) and self._files[-1] == key


def printable(text: str) -> str:
    r"""Return ``text`` with control, bidirectional and other unprintable characters escaped, for a terminal.

    >>> printable("a\x1b[2Jb\u202e")
    'a\\x1b[2Jb\\u202e'
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else _escaped(c) for c in text)


def _escaped(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
