"""Lists the regular files below an open folder by the keys that their paths are, in the order of keys.

That order is by the UTF-8 bytes of the keys. Links are neither listed nor followed; nor is a name that no key can hold,
or a temp file of ours. Memory holds the names of one folder, and the remaining names of each folder above it.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator

from bulkhaul.disk.folder import ABSENT
from bulkhaul.disk.left_temp import is_ours
from bulkhaul.disk.oserrors import local_error
from bulkhaul.model.limits import MAX_KEY_BYTES
from bulkhaul.policy.naming import is_text

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW


def keyed_files(folder_fd: int, before: str, start: str, root: str) -> Iterator[tuple[str, os.stat_result]]:
    """Yield key and state of every file in a folder, whose name begins with ``start``, and in those below it.

    What vanishes meanwhile is left out.

    Args:
        folder_fd: open until the first one is taken.
        before: what the keys of all files in the folder begin with: empty, or with a slash at its end.
        start: of names in this folder, not of those below it.
        root: what all keys are relative to, for messages.

    Raises:
        LocalError: a folder cannot be read: a listing is never silently a part of one.
    """
    above = [(os.dup(folder_fd), before, _names(folder_fd, before, start, root))]
    try:
        while above:
            fd, before, names = above[-1]
            if not names:
                os.close(above.pop()[0])
                continue
            name = names.pop()
            key = before + name
            try:
                if name.endswith("/"):
                    below = os.open(name[:-1], _FOLDER, dir_fd=fd)
                    above.append((below, key, []))  # closed from here on, whatever its names are
                    above[-1] = (below, key, _names(below, key, "", root))
                    continue
                found = os.stat(name, dir_fd=fd, follow_symlinks=False)
            except OSError as error:
                if error.errno in ABSENT:
                    continue
                raise local_error(error, os.path.join(root, key)) from error
            if stat.S_ISREG(found.st_mode):
                yield key, found
    finally:
        for fd, _, _ in above:
            os.close(fd)


def _names(folder_fd: int, before: str, start: str, root: str) -> list[str]:
    """Return names of files and, with a slash, of folders: in the order of their keys, backwards."""
    room = MAX_KEY_BYTES - len(before.encode())
    names: list[bytes] = []
    try:
        with os.scandir(folder_fd) as entries:
            for entry in entries:
                name = os.fsencode(entry.name)
                if not entry.name.startswith(start) or len(name) > room or not is_text(entry.name):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    names.append(name + b"/")
                elif entry.is_file(follow_symlinks=False) and not is_ours(entry.name):
                    names.append(name)
    except OSError as error:
        raise local_error(error, os.path.join(root, before)) from error
    names.sort(reverse=True)
    return [name.decode() for name in names]
