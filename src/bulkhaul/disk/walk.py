"""Lists the files below a local folder, in the order of their keys; it must not know what becomes of them.

Names come in the order in which S3 lists keys (UTF-8 bytes of ``relative``), so that both can be merged. In memory are
the names of one folder, and those still to come in each folder above it.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Sequence

import msgspec

from bulkhaul.disk.source import kind_of_file, reading_error

_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class LocalFile(msgspec.Struct, frozen=True):
    """A regular file. ``relative``: its path below the folder that was walked, with ``/``."""

    path: str
    relative: str
    size_bytes: int


class Refused(msgspec.Struct, frozen=True):
    """Something that is not uploaded, and why. ``unwanted``: the caller asked to leave it out, so it is no failure."""

    path: str
    reason: str
    unwanted: bool = False


class _Folder(msgspec.Struct):
    """One folder under way. ``names``: those still to come, the next one last; True with those that are folders."""

    path: str
    relative: str
    device: int
    inode: int
    names: list[tuple[str, bool]]


def walk(root: str, *, follow_symlinks: bool = True) -> Iterator[LocalFile | Refused]:
    """List every file below ``root``, which may itself be a symlink; what cannot be listed does not stop the rest.

    Empty folders yield nothing. A folder that several links lead to is listed under each of them; a link that leads
    back to a folder that it lies in is refused.

    Raises:
        LocalError: the root is missing, unreadable, or no folder; at once, not when the first file is asked for.
    """
    try:
        first = _entered(root, "", (), follow_symlinks=follow_symlinks)
    except OSError as error:
        raise reading_error(error, root) from error
    return _walk(first, follow_symlinks=follow_symlinks)


def _walk(root: _Folder, *, follow_symlinks: bool) -> Iterator[LocalFile | Refused]:
    above = [root]
    while above:
        folder = above[-1]
        if not folder.names:
            above.pop()
            continue
        name, is_folder = folder.names.pop()
        path, relative = os.path.join(folder.path, name), folder.relative + name
        if not _is_text(name):
            yield Refused(path, "its name is not valid UTF-8, so it cannot be a key")
        elif is_folder:
            try:
                above.append(_entered(path, f"{relative}/", above, follow_symlinks=follow_symlinks))
            except OSError as error:
                yield Refused(path, reading_error(error, path).message)
        else:
            yield _file(path, relative, follow_symlinks=follow_symlinks)


def _entered(path: str, relative: str, above: Sequence[_Folder], *, follow_symlinks: bool) -> _Folder:
    flags = _FLAGS | os.O_NOFOLLOW if above and not follow_symlinks else _FLAGS
    fd = os.open(path, flags)
    try:
        found = os.fstat(fd)
        if any((found.st_dev, found.st_ino) == (one.device, one.inode) for one in above):
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
        with os.scandir(fd) as entries:
            names = [(entry.name, _is_folder(entry, follow_symlinks=follow_symlinks)) for entry in entries]
    finally:
        os.close(fd)
    names.sort(key=_key_order, reverse=True)
    return _Folder(path, relative, found.st_dev, found.st_ino, names)


def _key_order(name: tuple[str, bool]) -> bytes:
    """Every key in a folder has the folder's name and a slash in front: ``a!``, ``a/b``, ``a0`` is their order."""
    return os.fsencode(name[0]) + b"/" * name[1]


def _is_folder(entry: os.DirEntry[str], *, follow_symlinks: bool) -> bool:
    try:
        return entry.is_dir(follow_symlinks=follow_symlinks)
    except OSError:
        return False  # a link in a circle, or to where nobody may look: refused when its turn comes


def _file(path: str, relative: str, *, follow_symlinks: bool) -> LocalFile | Refused:
    try:
        found = os.stat(path, follow_symlinks=follow_symlinks)
    except FileNotFoundError:
        gone = "a symbolic link that leads nowhere" if os.path.islink(path) else "it vanished during the listing"
        return Refused(path, gone)
    except OSError as error:
        return Refused(path, reading_error(error, path).message)
    if stat.S_ISLNK(found.st_mode):
        return Refused(path, "a symbolic link, which is not followed", unwanted=True)
    if kind := kind_of_file(found.st_mode):
        return Refused(path, f"it is {kind}; only regular files can be uploaded")
    return LocalFile(path, relative, found.st_size)


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
