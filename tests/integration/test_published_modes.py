"""Who may read a restored file: as any new file there, or as the file that it replaces, and never anybody more."""

from __future__ import annotations

import errno
import os
import random
import stat
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bulkhaul import Engine
from tests.engines import keys, running_engine, serving
from tests.faultserver import FaultServer, make_object

BODY = random.Random(27).randbytes(300_000)


@pytest.fixture(scope="module")
def server() -> Iterator[FaultServer]:
    """A server with two objects."""
    with serving() as running:
        running.store.put("bucket", "dir/large", make_object(BODY, algorithm="CRC32C"))
        running.store.put("bucket", "dir/small", make_object(BODY[:9], algorithm="CRC32C"))
        yield running


def restore(server: FaultServer, path: Path) -> None:
    """Restore an object with the umask of this process."""
    with running_engine(server.endpoint_url, keys()) as engine:
        engine.download("s3://bucket/dir/large", path)


UMASKS = [(0o022, 0o644), (0o077, 0o600), (0o000, 0o666), (0o027, 0o640)]


@contextmanager
def engine_with(server: FaultServer, umask: int) -> Iterator[Engine]:
    """Run an engine of a program with this umask."""
    old = os.umask(umask)
    try:
        with running_engine(server.endpoint_url, keys()) as engine:
            yield engine
    finally:
        os.umask(old)


def mode_of(path: Path) -> int:
    """Return a file's permission bits."""
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize(("umask", "mode"), UMASKS)
def test_mode_follows_the_umask(server: FaultServer, tmp_path: Path, umask: int, mode: int) -> None:
    """A file that is new has the mode that any new file would have, whatever the temp file had."""
    with engine_with(server, umask) as engine:
        engine.download("s3://bucket/dir/large", tmp_path / "restored")
    assert mode_of(tmp_path / "restored") == mode


@pytest.mark.parametrize("linked", [False, True], ids=["file", "link"])
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o444, 0o755, 0o666, 0o4755])
def test_mode_of_what_is_replaced(server: FaultServer, tmp_path: Path, mode: int, linked: bool) -> None:
    """A file that replaces another one is as open as that, so a secret stays one; only set-id bits go."""
    target = tmp_path / ("target" if linked else "restored")
    target.write_bytes(b"old")
    target.chmod(mode)
    if linked:
        (tmp_path / "restored").symlink_to("target")
    with engine_with(server, 0o027) as engine:
        engine.download("s3://bucket/dir/large", tmp_path / "restored")
    assert (tmp_path / "restored").read_bytes() == BODY
    assert mode_of(tmp_path / "restored") == mode & 0o777


def test_mode_of_what_belongs_to_others(server: FaultServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that somebody else has left open to all does not open what replaces it, nor is a closed one opened."""
    path = tmp_path / "restored"
    monkeypatch.setattr("os.geteuid", lambda: os.getuid() + 1)
    for old, mode in ((0o666, 0o600), (0o400, 0o400)):
        path.unlink(missing_ok=True)
        path.write_bytes(b"old")
        path.chmod(old)
        with engine_with(server, 0o077) as engine:
            engine.download("s3://bucket/dir/large", path)
        assert mode_of(path) == mode


ALICE = 4711
ACCESS, DEFAULT = "system.posix_acl_access", "system.posix_acl_default"


def acl(user: int, group: int, other: int, *, alice: int | None = None, mask: int = 0) -> bytes:
    """Return access rights as linux/posix_acl_xattr.h lays them out, perhaps with an entry for a named user."""
    none = 2**32 - 1
    entries = [(0x01, user, none), (0x04, group, none), (0x20, other, none)]
    if alice is not None:
        entries[1:] = [(0x02, alice, ALICE), (0x04, group, none), (0x10, mask, none), (0x20, other, none)]
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


def access_of(path: Path) -> tuple[int, bytes]:
    """Return a file's permission bits and its ACL, empty without one."""
    try:
        return mode_of(path), os.getxattr(path, ACCESS)
    except OSError:
        return mode_of(path), b""


DEFAULTS = {
    "named user": acl(7, 5, 0, alice=7, mask=7),
    "closed to all": acl(7, 0, 0),
    "open to all": acl(7, 7, 7),
    "mask": acl(6, 6, 4, alice=6, mask=4),
}


@pytest.mark.parametrize("default", DEFAULTS.values(), ids=DEFAULTS)
@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_default_acl_of_the_folder(server: FaultServer, tmp_path: Path, default: bytes, umask: int) -> None:
    """In a folder with a default ACL a published file is accessible exactly as any new file there, umask or not."""
    os.setxattr(tmp_path, DEFAULT, default)
    with engine_with(server, umask) as engine:
        (tmp_path / "any").write_bytes(b"what the kernel makes of it")
        engine.download("s3://bucket/dir/large", tmp_path / "one")
        list(engine.download_many("s3://bucket/dir/", tmp_path / "below"))
        (tmp_path / "below" / "any").write_bytes(b"as it does here")
    assert access_of(tmp_path / "one") == access_of(tmp_path / "any")
    assert access_of(tmp_path / "below" / "small") == access_of(tmp_path / "below" / "any")


@pytest.mark.parametrize("old", [acl(6, 0, 0, alice=6, mask=6), None], ids=["its own", "none"])
def test_acl_of_what_is_replaced(server: FaultServer, tmp_path: Path, old: bytes | None) -> None:
    """A replaced file keeps its ACL, or has none as before: neither its group nor a user of the folder gets in."""
    path = tmp_path / "restored"
    path.write_bytes(b"old")
    path.chmod(0o660)
    if old is not None:
        os.setxattr(path, ACCESS, old)
    os.setxattr(tmp_path, DEFAULT, acl(7, 7, 7, alice=7, mask=7))
    before = access_of(path)
    restore(server, path)
    assert path.read_bytes() == BODY
    assert access_of(path) == before


def test_group_of_what_is_replaced(server: FaultServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bits for a group that the file cannot be given to are not handed to another group."""
    path = tmp_path / "restored"
    path.write_bytes(b"old")
    path.chmod(0o664)
    os.chown(path, -1, 4711)
    restore(server, path)
    assert (path.stat().st_gid, mode_of(path)) == (4711, 0o664)

    def refuse(*_args: object) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr("os.fchown", refuse)
    restore(server, path)
    assert (path.stat().st_gid, mode_of(path)) == (os.getegid(), 0o644)
