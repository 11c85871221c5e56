"""Decides how symbolic links are stored as objects, by the convention of rclone, and which of them are made again.

    link a/b, which leads to ../c   ◀─▶   object a/b.rclonelink, whose body is ../c

Whoever can write the object names the target, so only what stays below the destination is made: names, after no more
``..`` than folders lead to the link. A link that is made can then be followed from any other without leaving.
Source: rclone's documentation of its local backend, "--links".
"""

from __future__ import annotations

SUFFIX = ".rclonelink"

MAX_TARGET_BYTES = 4095
"""Longest target of a link. Source: symlink(2), PATH_MAX with its NUL."""

NAMED_AS_LINK = (
    f"its name ends in {SUFFIX}, as that of a stored link does, so it would come back as a link; rename it, or leave it"
    " out"
)
"""Why a file is not stored where links are."""


def names_link(name: str) -> bool:
    """Whether a key, or a path, is named as a stored link is; the suffix alone leaves no name.

    >>> names_link("a/b.rclonelink"), names_link("a/b"), names_link("a/.rclonelink"), names_link(".rclonelink")
    (True, False, False, False)
    """
    return name.endswith(SUFFIX) and len(name.rpartition("/")[2]) > len(SUFFIX)


def makes_link(key: str, version_id: str = "", *, stores_links: bool) -> bool:
    """Whether a download makes a link of an object: where links are stored, unless a version of it is asked for.

    >>> makes_link("a.rclonelink", stores_links=True), makes_link("a.rclonelink", "1", stores_links=True)
    (True, False)
    """
    return stores_links and not version_id and names_link(key)


def link_path(name: str) -> str:
    """Return the path of the link that a stored link of this name is."""
    return name.removesuffix(SUFFIX)


def stored_key(key: str, path: str) -> str:
    """Return the key of a stored link; only one that was named with the suffix, and not after the link, stays.

    >>> stored_key("p/a", "a"), stored_key("p/b.rclonelink", "a"), stored_key("p/a.rclonelink", "a.rclonelink")
    ('p/a.rclonelink', 'p/b.rclonelink', 'p/a.rclonelink.rclonelink')
    """
    return key if names_link(key) and key.rpartition("/")[2] != path.rpartition("/")[2] else key + SUFFIX


def restored_path(path: str, key: str) -> str:
    """Return where the link of a stored link goes; a path that was named after the key loses the suffix.

    >>> restored_path("d/a.rclonelink", "p/a.rclonelink"), restored_path("d/b", "p/a.rclonelink")
    ('d/a', 'd/b')
    >>> restored_path("d/a.rclonelink", "p/a.rclonelink.rclonelink")
    'd/a.rclonelink'
    """
    return link_path(path) if path.rpartition("/")[2] == key.rpartition("/")[2] else path


def refused_target(target: str, depth: int) -> str:
    """Return why no link to this target is made, empty if one is.

    Args:
        depth: folders between the destination and the link.

    >>> refused_target("../c", 1), refused_target("c/d", 0)
    ('', '')
    >>> refused_target("../c", 0), refused_target("/etc/passwd", 3)
    ('its target leads out of the destination', 'its target is an absolute path')
    >>> refused_target("c/../d", 1), refused_target("", 1)
    ('its target has ".." behind a name, which may be a link itself', 'it has no target')
    """
    if not target:
        return "it has no target"
    if "\0" in target:
        return "its target holds a NUL character"
    if target.startswith("/"):
        return "its target is an absolute path"
    parts = [part for part in target.split("/") if part not in ("", ".")]
    above = next((index for index, part in enumerate(parts) if part != ".."), len(parts))
    if ".." in parts[above:]:
        return 'its target has ".." behind a name, which may be a link itself'
    return "its target leads out of the destination" if above > depth else ""
