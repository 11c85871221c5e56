"""Turns errors of the operating system into typed errors with a remedy."""

from __future__ import annotations

import errno

from bulkhaul.model.errors import DiskFull, LocalError

MOUNTED = (
    "it is a mount point, as a file that a container was given, and cannot be replaced; choose another destination, or"
    " use `-` and redirect stdout into it"
)

_REMEDIES = {
    errno.EACCES: "permission denied; choose another destination or change its permissions",
    errno.EPERM: "not permitted by the file system; it may be immutable (lsattr), or another user's in a shared folder",
    errno.EBUSY: MOUNTED,
    errno.EXDEV: "its folder and the file are of different file systems; name the path of the file itself",
    errno.ETXTBSY: "a program runs from this file; stop it, or choose another destination",
    errno.EROFS: "the file system is read-only; choose another destination",
    errno.ENOENT: "the folder does not exist; create it first",
    errno.ENOTDIR: "a part of the path is a file, where a folder is needed; run it again when the file is gone",
    errno.ELOOP: "a part of the path is a symbolic link, which is not followed inside the destination",
    errno.ENAMETOOLONG: "the name is too long for this file system",
    errno.EISDIR: "a folder is in the place of the file; remove it, or choose another destination",
    errno.EMFILE: "too many open files; raise the limit (ulimit -n) or lower --concurrency",
    errno.EIO: "the disk reports an input/output error; its data cannot be trusted",
    errno.EFBIG: "the file would be larger than this file system or the process limit allows",
}

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


def is_full(error: OSError) -> bool:
    """Whether there is no room left, on the disk or of what this user may have of it."""
    return error.errno in _FULL


def read_error(error: OSError, subject: str) -> LocalError:
    """Return the typed error for what cannot be read: it is no destination, for which folders have to be made.

    >>> str(read_error(OSError(errno.ENOENT, "x"), "before"))
    'before: there is no such file or folder; check its path (cause: ENOENT)'
    """
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return LocalError("there is no such file or folder; check its path", subject, errno.errorcode[error.errno])
    if error.errno == errno.EACCES:
        return LocalError("permission denied; it cannot be read", subject, "EACCES")
    return local_error(error, subject)


def local_error(error: OSError, subject: str = "") -> LocalError:
    """Return the typed error for a failed system call on ``subject``.

    >>> str(local_error(OSError(errno.ENOSPC, "x"), "/data/a"))
    '/data/a: no space left on the device; free some or choose another destination (cause: ENOSPC)'
    """
    number = error.errno or 0
    name = errno.errorcode.get(number, type(error).__name__)
    if is_full(error):
        return DiskFull("no space left on the device; free some or choose another destination", subject, name)
    return LocalError(_REMEDIES.get(number, error.strerror or "the operating system refused"), subject, name)
