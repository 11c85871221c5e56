"""Decides which local path a key gets, or why it gets none.

key under the source prefix  ─▶  path components below the destination folder   (never above, never beside)
"""

from __future__ import annotations

import unicodedata

import msgspec

from bulkhaul.policy.links import link_path, makes_link

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
        self._files: list[tuple[str, str]] = []

    def parent_of(self, key: str, name: str = "") -> str:
        """Return the earlier key that is a file where ``key`` needs a folder, empty if there is none.

        Args:
            name: by which this one is told; empty for itself.
        """
        self._leave(key)
        for earlier, told in self._files:
            if key.startswith(earlier + "/"):
                return told
        self._files.append((key, name or key))
        return ""

    def has(self, key: str) -> bool:
        """Whether an earlier key is this one; asked when what follows begins with it."""
        self._leave(key)
        return bool(self._files) and self._files[-1][0] == key

    def _leave(self, key: str) -> None:
        """Forget those that are no beginning of a key, nor of any after it."""
        while self._files and not key.startswith(self._files[-1][0]):
            self._files.pop()


def needs_folder(key: str, *, link: bool) -> str:
    """Return why a key cannot be a file where a shorter one is a file, or the link that it makes, for people."""
    return f"it needs a folder where the key {key!r} is a {'link' if link else 'file'}"


def link_on_file(key: str) -> str:
    """Return why a stored link cannot be made where a key is a file, for people."""
    return f"it would be a link where the key {key!r} is a file"


_KNOWN = LocalName()


class KeyPaths:
    """Gives the keys of one listing their paths, in ascending order; refuses those in whose way an earlier one is.

    These are ``a/b`` after ``a``, as ``FileFolderClash`` finds them; where links are stored also ``a.rclonelink`` after
    ``a``, as it has the path of its link, and ``a/b`` after that.
    """

    def __init__(self, base: str, *, stores_links: bool) -> None:
        """Take what names are told by.

        Args:
            base: what is put before a name to get its key.
            stores_links: links are made of stored links.
        """
        self._base = base
        self._stores_links = stores_links
        self._files = FileFolderClash()

    def path_of(self, name: str, *, known: bool = False) -> LocalName:
        """Return where a name goes.

        Args:
            known: a file has this very name, so that only other keys can refuse it; its components are not told.
        """
        link = makes_link(name, stores_links=self._stores_links)
        path = link_path(name) if link else name
        if link and self._files.has(path):
            return LocalName(refused=link_on_file(self._base + path))
        found = _KNOWN if known else local_name(path)
        if found.refused:
            return found
        if parent := self._files.parent_of(path, name):
            is_link = makes_link(parent, stores_links=self._stores_links)
            return LocalName(refused=needs_folder(self._base + parent, link=is_link))
        return found


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
