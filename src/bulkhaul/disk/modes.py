"""Sets the permissions of a published file: by the umask, the folder's default ACL, or the file that it replaces.

a new file                  the folder's default ACL, else 0666 less the umask: as any program's
a replaced file             mode, group and ACL of the old file, so that a transfer gives no user more access
a replaced file, not ours   what both of these allow: its owner may have put it there to read what replaces it
"""

from __future__ import annotations

import contextlib
import os
import stat
import struct

_DEFAULT = "system.posix_acl_default"
_ACCESS = "system.posix_acl_access"

_ENTRY = struct.Struct("<HHI")
_HEADER = struct.pack("<I", 2)
"""Version and layout of an ACL. Source: include/uapi/linux/posix_acl_xattr.h."""

_USER_OBJ, _GROUP_OBJ, _MASK, _OTHER = 0x01, 0x04, 0x10, 0x20
"""Tags of entries. Source: include/uapi/linux/posix_acl.h."""

_NEW = 0o666


def published_mode() -> int:
    """Return the permission bits that a new file gets where no ACL decides: 0666 less the umask."""
    with contextlib.suppress(OSError), open("/proc/self/status", encoding="ascii", errors="replace") as status:
        for line in status:
            if line.startswith("Umask:"):
                return _NEW & ~int(line.split()[1], 8)
    umask = os.umask(0o077)  # no other way where /proc is missing; a new file of another thread may be private
    os.umask(umask)
    return _NEW & ~umask


def inherited_mode(folder_fd: int) -> int | None:
    """Return the permission bits that a new file gets from its folder's default ACL, None where there is none.

    Its entries for named users and groups come with the file itself; the group's bits are their mask. The umask means
    nothing then. Source: acl(5), "Object creation and default ACLs".
    """
    acl = _attribute(folder_fd, _DEFAULT)
    if acl is None or not acl.startswith(_HEADER) or (len(acl) - len(_HEADER)) % _ENTRY.size:
        return None
    given: dict[int, int] = {tag: allowed & 7 for tag, allowed, _ in _ENTRY.iter_unpack(acl[len(_HEADER) :])}
    group = given.get(_MASK, given.get(_GROUP_OBJ, 0))
    return _NEW & (given.get(_USER_OBJ, 0) << 6 | group << 3 | given.get(_OTHER, 0))


def set_access(fd: int, mode: int, replaced: os.stat_result | None, replaced_path: str, *, inherits: bool) -> None:
    """Give a file the access that it is published with.

    Args:
        mode: of a new file.
        replaced: what has its name now.
        inherits: it may have an ACL from its folder.

    Raises:
        OSError: the file system refuses.
    """
    if replaced is None:
        os.fchmod(fd, mode)
        return
    kept, acl = stat.S_IMODE(replaced.st_mode) & 0o777, _attribute(replaced_path, _ACCESS)
    ours = replaced.st_uid == os.geteuid()
    if not ours:
        kept &= mode
    same_group = os.fstat(fd).st_gid == replaced.st_gid
    if ours and not same_group:
        with contextlib.suppress(OSError):  # a group that we are no member of
            os.fchown(fd, -1, replaced.st_gid)
            same_group = True
    if acl is not None and ours and same_group:
        with contextlib.suppress(OSError):
            os.setxattr(fd, _ACCESS, acl)
            return
    if inherits:
        with contextlib.suppress(OSError):
            os.removexattr(fd, _ACCESS)
    if acl is not None or not same_group:
        # The bits were a mask, or another group's: this group gets the bits of all others.
        kept &= ~0o070 | (kept & 0o007) << 3
    os.fchmod(fd, kept)


def _attribute(where: int | str, name: str) -> bytes | None:
    try:
        return os.getxattr(where, name)
    except OSError:  # none, or a file system that knows no ACLs
        return None
