"""Lists the files below a local folder, in the order in which S3 lists their keys.

That order is by the UTF-8 bytes of ``relative``, so that both listings can be merged. Memory holds the names of one
folder, and the remaining names of each folder above it.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from enum import Enum
from itertools import chain

import msgspec

from bulkhaul.disk.source import kind_of_file, reading_error
from bulkhaul.disk.streams import MAX_HOPS
from bulkhaul.policy.naming import is_text

_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC

_FILES_AT_ONCE = 256
"""Files of a folder that are looked at by one descriptor of it, which so is never open while the caller works."""

_NO_TEXT = "its name is not valid UTF-8, so it cannot be a key"

NOT_FOLLOWED = "a symbolic link, which is not followed"
NOT_ENTERED = "a symbolic link to a folder, which is not entered; --follow-symlinks uploads what is behind it"


class Names(Enum):
    """Which names of a folder a walk lists: all, those that are or lie behind a link, or those that do not."""

    ALL = "all"
    LINKS = "links"
    PLAIN = "plain"


class LocalFile(msgspec.Struct, frozen=True, gc=False):
    """A regular file.

    Attributes:
        relative: its path below the folder that was walked, with ``/``.
        hops: how many links lead from its own name to it, one after the other; 0 for a name of the file itself.
        behind: it lies behind a link to a folder.
        mtime_ns: when it was modified, since the epoch.
        device, inode: which file it is, whatever path leads to it.
    """

    path: str
    relative: str
    size_bytes: int
    hops: int = 0
    behind: bool = False
    mtime_ns: int = 0
    device: int = 0
    inode: int = 0


class LocalFolder(msgspec.Struct, frozen=True):
    """A folder, told before what is in it. ``relative``: ends in ``/``. ``vacant``: nothing is in it."""

    path: str
    relative: str
    vacant: bool


class Refused(msgspec.Struct, frozen=True):
    """Something that is not uploaded, and why.

    Attributes:
        unwanted: the caller asked to leave it out, so it is no failure.
        relative: its path below the folder that was walked, of a folder with ``/`` at its end; empty where its name is
            no text.
        unread: it could not be looked at, so that nobody knows what it is, or what is in it.
    """

    path: str
    reason: str
    unwanted: bool = False
    relative: str = ""
    unread: bool = False


class _Folder(msgspec.Struct):
    """One folder under way.

    Attributes:
        path: ends in a slash.
        names: those still to come, the next one last, each with whether it is a link; those of folders end in a slash.
        behind: a link led to it.
    """

    path: str
    relative: str
    device: int
    inode: int
    names: list[tuple[str, bool]]
    behind: bool


class _How(msgspec.Struct, frozen=True):
    follow: bool
    enter: bool
    names: Names
    folders: bool
    suffix: str = ""


def walk(
    root: str,
    *,
    follow_symlinks: bool = True,
    enter_links: bool = True,
    names: Names = Names.ALL,
    link_suffix: str = "",
) -> Iterator[LocalFile | Refused]:
    """List every file below ``root``, which may itself be a symlink; what cannot be listed does not stop the rest.

    Folders yield nothing. A folder that several links lead to is listed under each of them; a link that leads
    back to a folder that it lies in is refused.

    Args:
        follow_symlinks: list what links lead to; else each is refused as unwanted.
        enter_links: likewise for links to folders alone.
        names: which names are looked at; the others cost nothing.
        link_suffix: links come in the order of their names with this at the end.

    Raises:
        LocalError: the root is missing, unreadable, or no folder; at once, not when the first file is asked for.
    """
    how = _How(follow_symlinks, follow_symlinks and enter_links, names, folders=False, suffix=link_suffix)
    return chain.from_iterable(_walk(_root(root, how), how))  # type: ignore[arg-type] # it tells no folders


def walk_with_folders(
    root: str, *, follow_symlinks: bool, link_suffix: str = ""
) -> Iterator[LocalFile | LocalFolder | Refused]:
    """List every file and every folder below ``root``; see ``walk``."""
    how = _How(follow_symlinks, follow_symlinks, Names.ALL, folders=True, suffix=link_suffix)
    return chain.from_iterable(_walk(_root(root, how), how))


def look_at(path: str, relative: str, *, follow_symlinks: bool) -> LocalFile | LocalFolder | Refused | None:
    """Return what a walk would tell of one path, None if nothing is there.

    Args:
        relative: what it is told as; with a slash at its end a folder is meant.
    """
    how = _How(follow_symlinks, follow_symlinks, Names.ALL, folders=True)
    try:
        if relative.endswith("/"):
            with os.scandir(path) as entries:
                return LocalFolder(path, relative, vacant=next(entries, None) is None)
        is_link = stat.S_ISLNK(os.lstat(path).st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        return Refused(path, reading_error(error, path).message, relative=relative, unread=True)
    return _file(path, relative, how, is_link=is_link, behind=False)


def _root(root: str, how: _How) -> _Folder:
    try:
        return _entered(root, "", (), how, behind=False)
    except OSError as error:
        raise reading_error(error, root) from error


def _walk(root: _Folder, how: _How) -> Iterator[list[LocalFile | LocalFolder | Refused]]:
    above = [root]
    while above:
        folder = above[-1]
        if not folder.names:
            above.pop()
        elif not folder.names[-1][0].endswith("/"):
            yield _files(folder, how)
        else:
            name, is_link = folder.names.pop()
            linked = folder.behind or is_link
            if linked and how.names is Names.PLAIN:
                continue  # a folder of plain names has to be entered for the links in it
            told = linked or how.names is not Names.LINKS
            path, relative = folder.path + name[:-1], folder.relative + name
            if not is_text(name):
                if told:
                    yield [Refused(path, _NO_TEXT, unread=True)]
                continue
            try:
                above.append(entered := _entered(path, relative, above, how, behind=linked))
            except OSError as error:
                if told:
                    yield [Refused(path, reading_error(error, path).message, relative=relative, unread=True)]
                continue
            if how.folders:
                yield [LocalFolder(path, relative, vacant=not entered.names)]


def _files(folder: _Folder, how: _How) -> list[LocalFile | LocalFolder | Refused]:
    """Look at the next names of a folder, up to that of the next folder in it."""
    found: list[LocalFile | LocalFolder | Refused] = []
    names, behind, base, above = folder.names, folder.behind, folder.path, folder.relative
    fd = _opened(base)  # the way to it is gone once for all of them
    try:
        while names and len(found) < _FILES_AT_ONCE and not names[-1][0].endswith("/"):
            name, is_link = names.pop()
            linked = behind or is_link
            if how.names is (Names.PLAIN if linked else Names.LINKS):
                continue
            path = base + name
            if not name.isascii() and not is_text(name):
                found.append(Refused(path, _NO_TEXT))
            elif is_link or (seen := _plain(name, fd)) is None:
                found.append(_file(path, above + name, how, is_link=is_link, behind=behind))
            else:
                size_bytes, mtime_ns = seen.st_size, seen.st_mtime_ns
                found.append(LocalFile(path, above + name, size_bytes, 0, behind, mtime_ns, seen.st_dev, seen.st_ino))
    finally:
        if fd is not None:
            os.close(fd)
    return found


def _opened(folder: str) -> int | None:
    try:
        return os.open(folder, _FLAGS)
    except OSError:
        return None  # each of its names is refused for itself


def _plain(name: str, fd: int | None) -> os.stat_result | None:
    """Return what a name in an open folder is, None if it has to be looked at more closely."""
    if fd is None:
        return None
    try:
        found = os.stat(name, dir_fd=fd, follow_symlinks=False)
    except OSError:
        return None
    return found if stat.S_ISREG(found.st_mode) else None


def _entered(path: str, relative: str, above: Sequence[_Folder], how: _How, *, behind: bool) -> _Folder:
    flags = _FLAGS | os.O_NOFOLLOW if above and not how.enter else _FLAGS
    fd = os.open(path, flags)
    try:
        found = os.fstat(fd)
        if any((found.st_dev, found.st_ino) == (one.device, one.inode) for one in above):
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
        with os.scandir(fd) as entries:
            names = [(f"{one.name}/" if _is_folder(one, how) else one.name, one.is_symlink()) for one in entries]
    finally:
        os.close(fd)
    # Every key in a folder has the folder's name and a slash in front: ``a!``, ``a/b``, ``a0`` is their order, and that
    # of strings is the order of their UTF-8 bytes.
    suffix = how.suffix
    if suffix:
        names.sort(key=lambda one: one[0] + suffix if one[1] else one[0], reverse=True)
    else:
        names.sort(reverse=True)
    return _Folder(os.path.join(path, ""), relative, found.st_dev, found.st_ino, names, behind)


def _is_folder(entry: os.DirEntry[str], how: _How) -> bool:
    try:
        return entry.is_dir(follow_symlinks=how.enter)
    except OSError:
        return False  # a link in a circle, or to where this user may not look: refused when its turn comes


def _file(path: str, relative: str, how: _How, *, is_link: bool, behind: bool) -> LocalFile | Refused:
    """Look at a name that was no folder."""
    try:
        found = os.stat(path, follow_symlinks=how.follow)
    except FileNotFoundError:
        gone = "a symbolic link that leads nowhere" if os.path.islink(path) else "it vanished during the listing"
        return Refused(path, gone, relative=relative)
    except OSError as error:
        return Refused(path, reading_error(error, path).message, relative=relative, unread=True)
    if not stat.S_ISREG(found.st_mode):
        return _no_file(path, relative, how, found.st_mode, is_link=is_link)
    hops = _hops(path) if is_link else 0
    return LocalFile(path, relative, found.st_size, hops, behind, found.st_mtime_ns, found.st_dev, found.st_ino)


def _no_file(path: str, relative: str, how: _How, mode: int, *, is_link: bool) -> Refused:
    if stat.S_ISLNK(mode):
        return Refused(path, NOT_FOLLOWED, unwanted=True, relative=relative)
    if is_link and not how.enter and stat.S_ISDIR(mode):
        return Refused(path, NOT_ENTERED, unwanted=True, relative=relative)
    return Refused(path, f"it is {kind_of_file(mode)}; only regular files can be uploaded", relative=relative)


def _hops(path: str) -> int:
    """Return how many links lead from a name to what is no link."""
    for hops in range(MAX_HOPS):
        try:
            path = os.path.join(os.path.dirname(path), os.readlink(path))
        except OSError:  # no link, or gone
            return hops
    return MAX_HOPS
