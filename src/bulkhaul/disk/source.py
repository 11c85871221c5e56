"""Opens the file that is uploaded once, reads it by position, and checks that it does not change.

mapped   page of the file ─▶ socket                      no copy but the kernel's
read     page of the file ─▶ buffer ─▶ socket            where the file system maps no files

The length that the file system tells is believed only if nothing can be read behind it: files of /proc tell 0.
"""

from __future__ import annotations

import contextlib
import errno
import mmap
import os
import stat

from bulkhaul.disk.oserrors import local_error
from bulkhaul.disk.streams import stands_for_stream
from bulkhaul.model.errors import LocalError, SourceChanged
from bulkhaul.model.files import FolderIdentity, SourceIdentity

MADV_POPULATE_READ = 22
"""Prefault a range for reading. Source: include/uapi/asm-generic/mman-common.h, Linux 5.14."""

ENDS_EARLY = "the file ends before what is to be uploaded: another program cut it short"

_HAS_MORE = "it has more than its length says, as files of /proc have; use `pipe`, which reads to the end"
_HAS_LESS = "it has less than its length says, as files of /sys have; use `pipe`, which reads to the end"
_NO_PLACES = "it cannot be read by position, as some files of /proc and /sys; use `pipe`, which reads to the end"

_UNPLACED = frozenset({errno.EAGAIN, errno.ESPIPE, errno.EINVAL})
"""What a read by position says where the kernel makes the bytes up as they are asked for."""

_PATH_ONLY = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_CLOEXEC
"""Opens a folder to work in it; it need not be readable."""

_REMEDIES = {
    errno.ENOENT: "it does not exist",
    errno.ENXIO: "a socket, or a device without a driver; only regular files and folders are uploaded",
    errno.EACCES: "permission denied; it cannot be read",
    errno.ELOOP: "symbolic links that lead in a circle",
    errno.ENAMETOOLONG: "the path is too long for the operating system",
}

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a character device",
    stat.S_IFBLK: "a block device",
    stat.S_IFLNK: "a symbolic link",
}


def reading_error(error: OSError, path: str) -> LocalError:
    """Return the typed error for a file that could not be opened or read; ESTALE says that it was cut short.

    >>> str(reading_error(OSError(errno.ENOENT, "x"), "/data/a"))
    '/data/a: it does not exist (cause: ENOENT)'
    """
    if error.errno == errno.ESTALE:
        return SourceChanged(f"{ENDS_EARLY}; upload it again when nothing writes to it", path)
    if text := _REMEDIES.get(error.errno or 0):
        return LocalError(text, path, errno.errorcode[error.errno or 0])
    return local_error(error, path)


def kind_of_file(mode: int) -> str:
    """Return what a file is, from its ``st_mode``, in words; empty for a regular one."""
    return "" if stat.S_ISREG(mode) else _KINDS.get(stat.S_IFMT(mode), "a file of an unknown kind")


class SourceFile:
    """One regular file, open for reading; it stays the same file even if its path leads to another one meanwhile.

    Attributes:
        fd: workers get it passed.
        path: for messages.
        size_bytes: how much is uploaded, even if more is appended later.
        identity: the file's state when it was opened.
    """

    def __init__(self, fd: int, path: str, identity: SourceIdentity) -> None:
        self.fd = fd
        self.path = path
        self.size_bytes = identity.size_bytes
        self.identity = identity

    @classmethod
    def open(cls, path: str, *, removable: bool = False) -> SourceFile:
        """Open a file, never waiting for a FIFO's writer; symlinks are followed.

        Args:
            removable: it is to be removed later, so the path must be a name of it.

        Raises:
            LocalError: it is missing, unreadable, no regular file, or longer than its length says.
        """
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError as error:
            raise reading_error(error, path) from error
        try:
            found = os.fstat(fd)
            if kind := kind_of_file(found.st_mode):
                hint = "" if stat.S_ISDIR(found.st_mode) else "; `pipe` stores what is read from it as stdin"
                raise LocalError(f"it is {kind}; only regular files can be uploaded{hint}", path)
            if removable and stands_for_stream(path):
                raise LocalError("it stands for an open stream, which has no name to remove; use cp or pipe", path)
            if _has_more(fd, found.st_size, path):
                require_unchanged(fd, _identity(found), path)  # it may have grown since the line above
        except OSError as error:
            os.close(fd)
            raise reading_error(error, path) from error
        except LocalError:
            os.close(fd)
            raise
        return cls(fd, path, _identity(found))

    def check_unchanged(self) -> None:
        """Make sure that the file is as it was when it was opened; see ``require_unchanged``.

        Raises:
            SourceChanged: its length or its modification time is another.
            LocalError: it can no longer be looked at.
        """
        require_unchanged(self.fd, self.identity, self.path)

    def remove(self, inside: FolderIdentity | None = None) -> None:
        """Remove the file from its path, if it is unchanged and still the one there; of a link, the link itself.

        Args:
            inside: a folder that the path must not leave through a link that was put into it meanwhile.

        Raises:
            SourceChanged: it has changed, or another file is in its place; nothing was removed.
            LocalError: the folder refuses.
        """
        self.check_unchanged()
        folder, name = os.path.split(self.path)
        try:
            folder_fd = os.open(folder or ".", _PATH_ONLY)
            try:
                if not os.path.samestat(os.fstat(self.fd), os.stat(name, dir_fd=folder_fd)):
                    text = "another file is in its place since it was uploaded; that one was not removed"
                    raise SourceChanged(text, self.path)
                if inside is not None and not _lies_in(folder_fd, inside):
                    text = "a link has come into its path and leads out of the folder; that file was not removed"
                    raise SourceChanged(text, self.path)
                os.unlink(name, dir_fd=folder_fd)
            finally:
                os.close(folder_fd)
        except OSError as error:
            raise reading_error(error, self.path) from error

    def close(self) -> None:
        """Let go of the file. Safe to call twice."""
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)


def folder_identity(path: str) -> FolderIdentity:
    """Return which folder a path leads to.

    Raises:
        LocalError: it is missing, or may not be looked at.
    """
    try:
        found = os.stat(path)
    except OSError as error:
        raise reading_error(error, path) from error
    return FolderIdentity(found.st_dev, found.st_ino)


def _lies_in(folder_fd: int, inside: FolderIdentity) -> bool:
    """Whether an open folder is the other one or lies below it; ``..`` is followed up, which no link can change."""
    fd, below = os.dup(folder_fd), None
    try:
        while True:
            found = os.fstat(fd)
            here = FolderIdentity(found.st_dev, found.st_ino)
            if here == inside:
                return True
            if here == below:  # what is above the root is the root
                return False
            above = os.open("..", _PATH_ONLY, dir_fd=fd)
            os.close(fd)
            fd, below = above, here
    finally:
        os.close(fd)


def require_unchanged(fd: int, identity: SourceIdentity, path: str = "") -> None:
    """Make sure that an open file is in the state that it once was in.

    A write that keeps the length, within the same tick of the file system's clock as the last one before, cannot be
    seen. Another file under the same path is no change: this one is still open.

    Raises:
        SourceChanged: its length or its modification time is another.
        LocalError: it is another file, has more than its length says, or can no longer be looked at.
    """
    try:
        more = _has_more(fd, identity.size_bytes, path)  # first: what is appended after it shows in the length
        now = _identity(os.fstat(fd))
    except OSError as error:
        raise reading_error(error, path) from error
    if (now.device, now.inode) != (identity.device, identity.inode):
        raise LocalError("another file than the one that the upload began with", path)
    changes = []
    if now.size_bytes != identity.size_bytes:
        changes.append(f"it had {identity.size_bytes} bytes and has {now.size_bytes}")
    if now.mtime_ns != identity.mtime_ns:
        changes.append("its modification time is another")
    if changes:
        text = f"the file changed during the upload: {' and '.join(changes)}"
        raise SourceChanged(f"{text}; upload it again when nothing writes to it", path)
    if more:
        raise LocalError(_HAS_MORE, path)


def _has_more(fd: int, size_bytes: int, path: str) -> bool:
    """Whether anything can be read behind the end that the file system tells.

    Raises:
        LocalError: it cannot be read by position.
        OSError: any other error of the file system.
    """
    try:
        return bool(os.pread(fd, 1, size_bytes))
    except OSError as error:
        if error.errno in _UNPLACED:
            raise LocalError(_NO_PLACES, path, errno.errorcode[error.errno or 0]) from error
        raise


def open_to_read_in(folder: str) -> int:
    """Return a descriptor of a folder, for files in it to be opened.

    Raises:
        LocalError: it is gone, or may not be entered.
    """
    try:
        return os.open(folder, _PATH_ONLY)
    except OSError as error:
        raise reading_error(error, folder) from error


def read_small(folder_fd: int, name: str, size_bytes: int) -> tuple[bytes, os.stat_result]:
    """Return the bytes of a small file and its state; links are not followed.

    Args:
        size_bytes: as it was listed.

    Raises:
        LocalError: it is no regular file, or has another length, or changed while it was read.
        OSError: it cannot be opened or read.
    """
    fd = os.open(name, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW, dir_fd=folder_fd)
    try:
        before = os.fstat(fd)
        if kind := kind_of_file(before.st_mode):
            raise LocalError(f"it is {kind}; only regular files can be uploaded", name)
        body = os.read(fd, size_bytes + 1)
        if len(body) != size_bytes or _identity(os.fstat(fd)) != _identity(before):
            raise SourceChanged("the file changed during the upload; upload it again when nothing writes to it", name)
        return body, before
    finally:
        os.close(fd)


class SourceWindow:
    """``[start, end)`` of a file, mapped for reading and prefaulted; read into memory where it cannot be mapped.

    If the file is cut short while a window of it is read, SIGBUS kills the process; a caller that cannot afford that
    uses ``read_exactly``. If a slice of ``view`` is still held at ``close``, the garbage collector frees the map.

    Attributes:
        view: the bytes, read-only; gone after ``close``.

    Raises:
        LocalError: see ``read_exactly``.
        OSError: ESTALE if the file is shorter than ``end``; else what the file system says to a read.
    """

    def __init__(self, fd: int, start: int, end: int) -> None:
        self._map: mmap.mmap | None = None
        self.view = memoryview(b"")
        if os.fstat(fd).st_size < end:
            raise OSError(errno.ESTALE, ENDS_EARLY)
        if start == end:
            return
        aligned = start - start % mmap.ALLOCATIONGRANULARITY
        self._map = _mapped(fd, aligned, end)
        if self._map is not None:
            self.view = memoryview(self._map)[start - aligned :]
            return
        self._map = mmap.mmap(-1, end - start)
        with memoryview(self._map) as buffer:
            read_exactly(fd, start, buffer)
        self.view = memoryview(self._map).toreadonly()

    def close(self) -> None:
        """Let go of the file. Safe to call twice."""
        self.view.release()
        mapped, self._map = self._map, None
        if mapped is not None:
            # A socket that was closed in the middle of a send may hold a slice; the map is then collected with it.
            with contextlib.suppress(BufferError):
                mapped.close()


def _mapped(fd: int, start: int, end: int) -> mmap.mmap | None:
    """Return ``[start, end)`` of a file, mapped and prefaulted; None where only a read can tell what is there.

    The map is private: a FUSE file system that caches nothing (direct_io) refuses a shared one, and /proc any.
    """
    try:
        mapped = mmap.mmap(fd, end - start, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ, offset=start)
    except ValueError as error:  # cut short since
        raise OSError(errno.ESTALE, ENDS_EARLY) from error
    except OSError:
        return None
    try:
        if hasattr(mmap.mmap, "madvise"):
            mapped.madvise(MADV_POPULATE_READ)
    except OSError as error:
        # An older kernel says EINVAL, and the pages are faulted in one by one, which is only slower. Any other error
        # (of the disk, or of a file that was cut) would be a SIGBUS at the first touch; a read reports it as an error.
        if error.errno != errno.EINVAL:
            mapped.close()
            return None
    return mapped


def read_exactly(fd: int, start: int, buffer: memoryview) -> None:
    """Fill ``buffer`` with the file's bytes from ``start`` on; the descriptor's own position does not matter.

    Raises:
        LocalError: the file ends before the buffer is full, and its length still says that it does not.
        OSError: ESTALE if the file was cut short; else what the file system says.
    """
    filled = 0
    while filled < len(buffer):
        count = os.preadv(fd, [buffer[filled:]], start + filled)
        if not count and os.fstat(fd).st_size >= start + len(buffer):
            raise LocalError(_HAS_LESS)
        if not count:
            raise OSError(errno.ESTALE, ENDS_EARLY)
        filled += count


def _identity(found: os.stat_result) -> SourceIdentity:
    return SourceIdentity(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)
