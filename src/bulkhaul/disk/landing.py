"""Creates the temp file that an object is received into, and publishes or discards it.

    create ─▶ (workers fill it) ─▶ publish: fchmod, [fsync], rename, [fsync of the folder]
                               ├─▶ publish_new: the same, if nothing has the name
                               ├─▶ discard: unlink
    reopen ─▶ (go on) …        └─▶ keep: a journal names it, and a later run reopens it

The temp file lies beside its destination and is opened O_CREAT|O_EXCL|O_NOFOLLOW, mode 0600. It is locked for as long
as this process, or a worker that has its descriptor, lives (``disk.locks``): a later run removes one whose lock is
free, unless a journal names it (``disk.download_journal``).
"""

from __future__ import annotations

import contextlib
import errno
import mmap
import os
import secrets
import stat
from collections.abc import Callable

from bulkhaul.disk.blocks import UNSUPPORTED, fallocate
from bulkhaul.disk.folder import flush
from bulkhaul.disk.left_temp import open_left
from bulkhaul.disk.locks import NO_LOCKS, is_at, remove_owned, take_lock
from bulkhaul.disk.modes import set_access
from bulkhaul.disk.oserrors import local_error
from bulkhaul.model.errors import DurabilityUnknown, LocalError, Unsupported
from bulkhaul.policy.naming import MAX_NAME_BYTES

NO_FILE = (
    "the destination is no regular file (FIFO, device, socket or open stream); to write there use `-` and redirect"
    " stdout, or choose another one"
)

TMPFS_MAGIC = 0x01021994
"""Source: statfs(2)."""

RENAME_NOREPLACE = 1
"""Source: include/uapi/linux/fs.h."""

_NO_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL})
"""What file systems without hard links answer."""


def temp_name(name: str, most_bytes: int = MAX_NAME_BYTES) -> str:
    """Return a fresh temp name for a destination, cut at a character so that it has no more than so many bytes."""
    suffix = f".bulkhaul-{secrets.token_hex(8)}.tmp"
    room = max(0, most_bytes - len(suffix) - 1)
    kept = os.fsencode(name)[:room].decode(errors="ignore")
    return f".{kept}{suffix}"


class Landing:
    """One temp file and where it will be published.

    Attributes:
        fd: open for reading and writing; workers get it passed.
        mapped: whether parts may be mapped: the blocks are allocated and the file system maps them.
        path: the destination, for messages.
        temp: name of the temp file.
    """

    def __init__(self, folder_fd: int, name: str, path: str, fd: int, temp: str, size_bytes: int) -> None:
        self.fd = fd
        self.path = path
        self.mapped = False
        self._folder_fd = folder_fd
        self._name = name
        self.temp = temp
        self._size_bytes = size_bytes

    @classmethod
    def create(
        cls,
        folder_fd: int,
        name: str,
        path: str,
        size_bytes: int,
        *,
        allocate: bool,
        prefer_mapped: bool,
        on_made: Callable[[Landing], None] | None = None,
    ) -> Landing:
        """Create, lock and allocate the temp file; nothing is left behind if that fails.

        Args:
            folder_fd: the destination's folder; it must stay open as long as the landing.
            allocate: allocate every block now, so that a full disk shows before the first byte is fetched.
            prefer_mapped: let parts be mapped, if every block could be allocated; ``mapped`` tells if it may be.
            on_made: called when the temp file is there, and empty.

        Raises:
            DiskFull: there is no room for the object.
            LocalError: the destination is no regular file, or leads to none, or the folder refuses.
        """
        require_replaceable(name, path, folder_fd=folder_fd)
        try:
            fd, temp = _open_locked(folder_fd, name)
        except OSError as error:
            raise local_error(error, path) from error
        landing = cls(folder_fd, name, path, fd, temp, size_bytes)
        try:
            if on_made is not None:
                on_made(landing)
            if allocate and size_bytes and _allocate(fd, size_bytes, prefer_mapped):
                landing.mapped = prefer_mapped and _maps(fd)
            else:
                os.ftruncate(fd, size_bytes)  # its length is final from the start: one that shrinks was damaged
        except OSError as error:
            landing.discard()
            raise local_error(error, path) from error
        return landing

    def grew_to(self, size_bytes: int) -> None:
        """Take note of the final length of one that was begun without knowing it."""
        self._size_bytes = size_bytes

    @classmethod
    def reopen(
        cls, folder_fd: int, name: str, path: str, temp: str, size_bytes: int, *, inode: int, device: int | None
    ) -> Landing:
        """Become the owner of the temp file that an earlier run has left, as it was then.

        Args:
            device: None where it may be another one by now.

        Raises:
            LocalError: it is gone, another file, of another length, or in use; the message says which.
        """
        fd = open_left(folder_fd, temp, path, size_bytes, inode=inode, device=device)
        return cls(folder_fd, name, path, fd, temp, size_bytes)

    def may_map(self) -> bool:
        """Whether this file system maps files."""
        return _maps(self.fd)

    def check_intact(self) -> None:
        """Make sure that the temp file is still ours and whole.

        Raises:
            LocalError: another program truncated, unlinked or replaced it.
        """
        try:
            mine = os.fstat(self.fd)
            named = os.stat(self.temp, dir_fd=self._folder_fd, follow_symlinks=False)
        except OSError as error:
            raise LocalError("the temp file was removed during the transfer", self.path, str(error)) from error
        if (mine.st_ino, mine.st_dev) != (named.st_ino, named.st_dev):
            raise LocalError("the temp file was replaced during the transfer", self.path)
        if mine.st_size != self._size_bytes:
            text = f"the temp file has {mine.st_size} bytes instead of {self._size_bytes}: another program changed it"
            raise LocalError(text, self.path)

    def publish(
        self,
        *,
        mode: int,
        fsync: bool,
        inherits: bool = True,
        mtime_ns: int | None = None,
        kept_mode: int | None = None,
    ) -> None:
        """Give the file its name; until the rename the destination is untouched (I1), after it the landing is over.

        Args:
            mode: permission bits of a new file; one that replaces another keeps that one's.
            inherits: the folder may give its files an ACL.
            mtime_ns: when it is to have been modified last; None for the time of the last write.
            kept_mode: permission bits in any case; None where the two lines above say them.
            fsync: flush data before the rename and the folder after it (I9).

        Raises:
            LocalError: nothing was published; the temp file is gone.
            DurabilityUnknown: it was published, but the folder could not be flushed.
        """
        try:
            self.check_intact()
            replaced = require_replaceable(self._name, self.path, folder_fd=self._folder_fd)
            here = f"/proc/self/fd/{self._folder_fd}/{self._name}"  # attributes are asked for by path only
            set_access(self.fd, mode, replaced, here, inherits=inherits)
            if kept_mode is not None:
                os.fchmod(self.fd, kept_mode)
            if mtime_ns is not None:
                os.utime(self.fd, ns=(mtime_ns, mtime_ns))
            if fsync:
                os.fsync(self.fd)  # never tried twice: a second one may succeed with the pages already dropped
                require_replaceable(self._name, self.path, folder_fd=self._folder_fd)
            os.rename(self.temp, self._name, src_dir_fd=self._folder_fd, dst_dir_fd=self._folder_fd)
        except OSError as error:
            self.discard()
            raise local_error(error, self.path) from error
        except LocalError:
            self.discard()
            raise
        self._close()
        if fsync:
            flush_folder(self._folder_fd, self.path)

    def publish_new(self, *, mode: int) -> bool:
        """Give the file its name unless something has it; whether it got it. It is flushed first, and its folder after.

        Of many at once exactly one succeeds, and nobody ever sees a part of it. The temp file is gone in any case.

        Args:
            mode: permission bits.

        Raises:
            LocalError: nothing was published; so also where what has the name is no regular file.
            DurabilityUnknown: it was published, but the folder could not be flushed.
            Unsupported: the file system can do nothing but replace.
        """
        try:
            self.check_intact()
            os.fchmod(self.fd, mode)
            os.fsync(self.fd)
            if self._take_name():
                flush_folder(self._folder_fd, self.path)
                return True
            with contextlib.suppress(FileNotFoundError):  # what was in the way is gone again
                found = os.stat(self._name, dir_fd=self._folder_fd, follow_symlinks=False)
                if not stat.S_ISREG(found.st_mode):
                    raise LocalError("a folder, a link or a device has the name of the file", self.path)
            return False
        except OSError as error:
            raise local_error(error, self.path) from error
        finally:
            self.discard()

    def _take_name(self) -> bool:
        here = self._folder_fd
        try:
            os.link(self.temp, self._name, src_dir_fd=here, dst_dir_fd=here, follow_symlinks=False)
            return True
        except FileExistsError:
            # A server of NFS says so too if it is asked twice because its first answer was lost.
            return is_at(self.fd, self._name, folder_fd=here)
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
        return _rename_new(here, self.temp, self._name, self.path)

    def discard(self) -> None:
        """Remove the temp file, if it still is ours. Safe to call twice, and after publishing."""
        if self.fd < 0:
            return
        try:
            # What cannot be removed now is cleared by a later run: its lock goes with this descriptor.
            with contextlib.suppress(OSError):
                remove_owned(self.fd, self.temp, folder_fd=self._folder_fd)
        finally:
            self._close()

    def keep(self) -> None:
        """Let go of the temp file, and leave it to a later run. Safe to call twice, and after publishing."""
        self._close()

    def _close(self) -> None:
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)


def _open_locked(folder_fd: int, name: str) -> tuple[int, str]:
    """Create a temp file and become its owner; one that a sweeper takes first is given up for another one."""
    while True:
        fd, temp = _create(folder_fd, name)
        ours = False
        try:
            ours = take_lock(fd) and os.fstat(fd).st_nlink > 0
        except OSError as error:
            ours = error.errno in NO_LOCKS | UNSUPPORTED  # without locks no run sweeps, either
            if not ours:
                raise
        finally:
            if not ours:
                with contextlib.suppress(OSError):
                    remove_owned(fd, temp, folder_fd=folder_fd)
                os.close(fd)
        if ours:
            return fd, temp


def _create(folder_fd: int, name: str) -> tuple[int, str]:
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    temp = temp_name(name)
    try:
        return os.open(temp, flags, 0o600, dir_fd=folder_fd), temp
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
    temp = temp_name(name, 0)  # encrypting file systems take 143 bytes or so; the destination's name fits
    return os.open(temp, flags, 0o600, dir_fd=folder_fd), temp


def require_replaceable(name: str, path: str, *, folder_fd: int | None = None) -> os.stat_result | None:
    """Make sure that a rename onto a name replaces a file, a link to one, or nothing; return what the file is.

    Args:
        path: for messages.
        folder_fd: where ``name`` lies; None where it is a path by itself.

    Raises:
        LocalError: a folder, or a FIFO, a device or a socket, or a link to one, would be replaced.
    """
    try:
        existing = os.stat(name, dir_fd=folder_fd, follow_symlinks=False)
        if stat.S_ISLNK(existing.st_mode):
            try:
                existing = os.stat(name, dir_fd=folder_fd)
            except OSError:
                return None  # it leads nowhere, and is replaced
            if stat.S_ISDIR(existing.st_mode):
                return None
    except FileNotFoundError:
        return None
    except OSError as error:
        raise local_error(error, path) from error
    if stat.S_ISDIR(existing.st_mode):
        raise LocalError("a folder is in the place of the file; remove it, or choose another destination", path)
    if not stat.S_ISREG(existing.st_mode):
        raise LocalError(NO_FILE, path)
    return existing


def _rename_new(folder_fd: int, temp: str, name: str, path: str) -> bool:
    """Rename a file within a folder unless something has the new name; whether it was renamed."""
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    number = errno.ENOSYS
    if hasattr(libc, "renameat2"):
        if libc.renameat2(folder_fd, os.fsencode(temp), folder_fd, os.fsencode(name), RENAME_NOREPLACE) == 0:
            return True
        number = ctypes.get_errno()
    if number == errno.EEXIST:
        return False
    if number in UNSUPPORTED:
        text = "this file system cannot create a file under its name in one step; choose a folder on another one"
        raise Unsupported(text, path, errno.errorcode[number])
    raise OSError(number, os.strerror(number))


def _allocate(fd: int, size_bytes: int, mapped: bool) -> bool:
    """Allocate every block, so that a full disk shows now and not as SIGBUS; False where that cannot be had.

    ``posix_fallocate`` would fall back to writing every block on a file system without the call. In memory, every block
    is cleared (2 GiB take 0.7 s): a file that is only written there gets none, but there must be room for it now.
    """
    if not mapped and file_system_of(fd) == TMPFS_MAGIC:
        there = os.fstatvfs(fd)
        if there.f_blocks and there.f_bavail * there.f_frsize < size_bytes:  # without a limit it has no blocks
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return False
    return fallocate(fd, 0, 0, size_bytes)


def file_system_of(fd: int) -> int:
    """Return what kind of file system a file lies in, 0 if that is not known: the first field of statfs(2)."""
    import ctypes

    fields = (ctypes.c_long * 64)()  # it has 120 bytes
    return fields[0] if ctypes.CDLL(None).fstatfs(fd, fields) == 0 else 0


def _maps(fd: int) -> bool:
    try:
        mmap.mmap(fd, 1).close()
    except OSError:
        return False
    return True


def flush_folder(folder_fd: int, path: str) -> None:
    """Flush the folder of an object that is published, or of several.

    Raises:
        DurabilityUnknown: the disk refuses.
    """
    try:
        flush(folder_fd)
    except OSError as error:
        text = "the object is published, but its folder could not be flushed: it may be gone after a power failure"
        raise DurabilityUnknown(text, path, errno.errorcode.get(error.errno or 0, "")) from error
