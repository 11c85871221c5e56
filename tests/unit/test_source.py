"""The file that is uploaded: the one that was opened, whole and unchanged, or an error that says what is wrong."""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import pickle
import random
import signal
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bulkhaul.disk.source import SourceFile, SourceWindow, read_exactly, require_unchanged
from bulkhaul.errors import LocalError, SourceChanged
from bulkhaul.model.files import SourceIdentity
from tests.engines import eventually

PAGE = mmap.ALLOCATIONGRANULARITY
BODY = random.Random(3).randbytes(5 * PAGE + 123)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file of a few pages and a bit."""
    made = tmp_path / "source"
    made.write_bytes(BODY)
    return made


def listen(path: Path) -> None:
    """Leave a Unix socket at ``path``."""
    with socket.socket(socket.AF_UNIX) as server:
        before = os.getcwd()
        os.chdir(path.parent)  # a socket's path is short
        try:
            server.bind(path.name)
        finally:
            os.chdir(before)


# Opening


def test_opened_file_is_described(path: Path) -> None:
    """Length and identity are those of the descriptor, which no child inherits."""
    source = SourceFile.open(str(path))
    found = os.stat(path)
    assert source.path == str(path)
    assert source.size_bytes == len(BODY)
    assert source.identity == SourceIdentity(found.st_dev, found.st_ino, len(BODY), found.st_mtime_ns)
    assert os.path.samestat(os.fstat(source.fd), found)
    assert fcntl.fcntl(source.fd, fcntl.F_GETFD) & fcntl.FD_CLOEXEC
    assert fcntl.fcntl(source.fd, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY
    fd = source.fd
    source.close()
    source.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)


def test_symlinks_lead_to_their_file(path: Path, tmp_path: Path) -> None:
    """Who names a link means the file behind it."""
    (tmp_path / "link").symlink_to(path)
    source = SourceFile.open(str(tmp_path / "link"))
    assert source.identity.inode == os.stat(path).st_ino
    source.close()


def circle(path: Path) -> None:
    """Make a symlink that leads to itself."""
    path.symlink_to(path)


REFUSED: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (lambda path: None, "it does not exist"),
    "dangling link": (lambda path: path.symlink_to("nowhere"), "it does not exist"),
    "folder": (lambda path: path.mkdir(), "it is a folder; only regular files can be uploaded"),
    "FIFO": (os.mkfifo, "it is a FIFO; only regular files can be uploaded"),
    "device": (lambda path: path.symlink_to("/dev/null"), "it is a character device"),
    "socket": (listen, "a socket"),
    "circle": (circle, "symbolic links that lead in a circle"),
}


@pytest.mark.parametrize(("make", "reason"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_file_is_refused_at_once(tmp_path: Path, make: Callable[[Path], object], reason: str) -> None:
    """Nothing but a regular file is uploaded; a FIFO without a writer does not make anybody wait."""
    made = tmp_path / "made"
    make(made)
    held = len(os.listdir("/proc/self/fd"))
    with pytest.raises(LocalError) as caught:
        SourceFile.open(str(made))
    assert str(caught.value).startswith(f"{made}: {reason}")
    assert len(os.listdir("/proc/self/fd")) == held


def test_unreadable_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that may not be read is an error of the source, not of a destination."""

    def refuse(*_args: object) -> int:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr("os.open", refuse)
    with pytest.raises(LocalError, match=r"source: permission denied; it cannot be read \(cause: EACCES\)"):
        SourceFile.open(str(path))


# Lengths that are not true


def test_more_than_its_length(tmp_path: Path) -> None:
    """A file whose length says 0 and that holds something is not taken for an empty one; a way out is named."""
    assert os.stat("/proc/version").st_size == 0
    held = len(os.listdir("/proc/self/fd"))
    with pytest.raises(LocalError, match=r"^/proc/version: it has more than its length says.*use `pipe`") as caught:
        SourceFile.open("/proc/version")
    assert type(caught.value) is LocalError
    assert len(os.listdir("/proc/self/fd")) == held
    (tmp_path / "empty").touch()
    empty = SourceFile.open(str(tmp_path / "empty"))
    assert empty.size_bytes == 0
    empty.close()


def test_more_than_its_length_in_the_end() -> None:
    """What comes to be behind a length that stays the same is noticed before the upload ends."""
    with subprocess.Popen(["sh", "-c", "read line; sleep 60 & wait"], stdin=subprocess.PIPE) as shell:
        assert shell.stdin is not None
        children = Path(f"/proc/{shell.pid}/task/{shell.pid}/children")  # made up by the kernel, and 0 bytes long
        source = SourceFile.open(str(children))
        source.check_unchanged()
        shell.stdin.write(b"\n")
        shell.stdin.close()
        eventually(lambda: bool(children.read_bytes()), "the shell has a child")
        with pytest.raises(LocalError, match="it has more than its length says"):
            source.check_unchanged()
        with pytest.raises(LocalError, match=r"^/data/a: it has more than its length says"):
            require_unchanged(source.fd, source.identity, "/data/a")
        os.kill(int(children.read_text()), signal.SIGKILL)
    source.close()


def test_less_than_its_length() -> None:
    """A file whose length says more than it holds is never padded, nor is anybody blamed for having cut it."""
    path = "/sys/kernel/mm/transparent_hugepage/enabled"
    holds = len(Path(path).read_bytes())
    assert holds < os.stat(path).st_size
    source = SourceFile.open(path)
    with pytest.raises(LocalError, match=r"^it has less than its length says.*use `pipe`") as caught:
        SourceWindow(source.fd, 0, source.size_bytes)
    assert type(caught.value) is LocalError
    source.close()


def test_a_file_that_grows_is_not_called_a_liar(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who appends between two looks has changed the file; that is what the error says."""
    real = os.pread

    def append(fd: int, count: int, at: int) -> bytes:
        with path.open("ab") as file:
            file.write(b"more")
        return real(fd, count, at)

    monkeypatch.setattr("os.pread", append)
    with pytest.raises(SourceChanged, match=f"it had {len(BODY)} bytes and has {len(BODY) + 8}"):
        SourceFile.open(str(path))


@pytest.mark.parametrize("number", [errno.EAGAIN, errno.ESPIPE, errno.EINVAL])
def test_no_reading_by_position(path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """A file that is called regular and behaves like a pipe is refused with the way out."""

    def refuse(*_args: object) -> bytes:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("os.pread", refuse)
    with pytest.raises(LocalError, match=r"cannot be read by position.*use `pipe`"):
        SourceFile.open(str(path))


# Changes


def test_unchanged_file(path: Path, tmp_path: Path) -> None:
    """Reading, another mode or name, and another file in its place are no change: what was opened is uploaded."""
    source = SourceFile.open(str(path))
    path.read_bytes()
    path.chmod(0o600)
    path.rename(tmp_path / "away")
    source.check_unchanged()
    path.write_bytes(b"another one")
    source.check_unchanged()
    (tmp_path / "away").unlink()
    source.check_unchanged()
    source.close()


def test_changed_length(path: Path) -> None:
    """A file that grew or shrank is told with both lengths, even if its time was set back."""
    source = SourceFile.open(str(path))
    for size in (len(BODY) + 1, 7):
        os.truncate(path, size)
        os.utime(path, ns=(source.identity.mtime_ns, source.identity.mtime_ns))
        with pytest.raises(SourceChanged) as caught:
            source.check_unchanged()
        assert f"it had {len(BODY)} bytes and has {size};" in str(caught.value)
        assert "modification time" not in str(caught.value)
    source.close()


def test_changed_time(path: Path) -> None:
    """A file that was written to in place is told by its modification time; the error survives pickling."""
    source = SourceFile.open(str(path))
    os.utime(path, ns=(0, source.identity.mtime_ns + 1))
    with pytest.raises(SourceChanged, match="changed during the upload: its modification time is another") as caught:
        source.check_unchanged()
    assert isinstance(caught.value, LocalError)
    assert not caught.value.retryable
    again = pickle.loads(pickle.dumps(caught.value))  # noqa: S301 - our own bytes
    assert type(again) is SourceChanged
    assert str(again) == str(caught.value)
    source.close()


def test_descriptor_alone(path: Path, tmp_path: Path) -> None:
    """Whoever has only the descriptor and the identity can tell a change, and another file, as well."""
    source = SourceFile.open(str(path))
    require_unchanged(source.fd, source.identity)
    (tmp_path / "copy").write_bytes(BODY)
    os.utime(tmp_path / "copy", ns=(0, source.identity.mtime_ns))
    copy = SourceFile.open(str(tmp_path / "copy"))
    with pytest.raises(LocalError, match="another file"):
        require_unchanged(copy.fd, source.identity)
    copy.close()
    os.truncate(path, 0)
    with pytest.raises(SourceChanged, match="and has 0"):
        require_unchanged(source.fd, source.identity)
    fd = source.fd
    source.close()
    with pytest.raises(LocalError, match="EBADF"):
        require_unchanged(fd, source.identity)


# Reading

offsets = st.integers(0, len(BODY))


@given(offsets, offsets)
@example(0, 0)
@example(0, len(BODY))
@example(len(BODY), len(BODY))
@example(PAGE, 2 * PAGE)
@example(PAGE - 1, PAGE + 1)
def test_both_ways_read_the_same_bytes(tmp_path_factory: pytest.TempPathFactory, one: int, other: int) -> None:
    """Any range, aligned or not, empty or whole, is read as it is in the file."""
    start, end = min(one, other), max(one, other)
    made = tmp_path_factory.getbasetemp() / "read-me"
    made.write_bytes(BODY)
    source = SourceFile.open(str(made))
    window = SourceWindow(source.fd, start, end)
    assert window.view == BODY[start:end]
    assert window.view.readonly
    buffer = bytearray(end - start)
    read_exactly(source.fd, start, memoryview(buffer))
    assert buffer == BODY[start:end]
    assert os.lseek(source.fd, 0, os.SEEK_CUR) == 0
    window.close()
    source.close()


def test_file_that_ends_early(path: Path) -> None:
    """A range beyond the end is an error, never zeros: for a window when it is made, for a read where it ends."""
    with path.open("rb") as file:
        for start, end in [(0, len(BODY) + 1), (5 * PAGE, 6 * PAGE), (8 * PAGE, 9 * PAGE), (9 * PAGE, 9 * PAGE)]:
            with pytest.raises(OSError, match="cut it short") as caught:
                SourceWindow(file.fileno(), start, end)
            assert caught.value.errno == errno.ESTALE
        with pytest.raises(OSError, match="cut it short") as caught:
            read_exactly(file.fileno(), len(BODY) - 10, memoryview(bytearray(11)))
        assert caught.value.errno == errno.ESTALE


def test_short_reads_go_on(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A read that returns fewer bytes than asked for is continued, not taken for the end."""
    real = os.preadv
    monkeypatch.setattr("os.preadv", lambda fd, buffers, at: real(fd, [buffers[0][:1000]], at))
    buffer = bytearray(len(BODY))
    with path.open("rb") as file:
        read_exactly(file.fileno(), 0, memoryview(buffer))
    assert buffer == BODY


def test_closed_window_lets_go(path: Path) -> None:
    """After close the view is gone and nothing stays mapped, also if somebody held a slice at that moment."""
    with path.open("rb") as file:
        window = SourceWindow(file.fileno(), 0, 10)
        held = window.view[2:4]
        window.close()
        with pytest.raises(ValueError, match="released"):
            bytes(window.view)
        assert held == BODY[2:4]
        assert str(path) in Path("/proc/self/maps").read_text(encoding="utf-8")
        held.release()
        window.close()
        del window, held
        assert str(path) not in Path("/proc/self/maps").read_text(encoding="utf-8")


def test_old_kernel_maps_as_well(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel that cannot prefault faults the pages in one by one."""
    monkeypatch.setattr("bulkhaul.disk.source.MADV_POPULATE_READ", 9999)
    with path.open("rb") as file:
        window = SourceWindow(file.fileno(), 3, len(BODY))
        assert window.view == BODY[3:]
        window.close()


def test_maps_are_private(path: Path) -> None:
    """A file system that caches nothing (FUSE with direct_io) maps files privately or not at all."""
    with path.open("rb") as file:
        window = SourceWindow(file.fileno(), 0, 10)
        [line] = [one for one in Path("/proc/self/maps").read_text(encoding="utf-8").splitlines() if str(path) in one]
        assert line.split()[1] == "r--p"
        window.close()


def test_what_cannot_be_mapped_is_read() -> None:
    """Where the file system maps no files, the window holds what a read gives."""
    path = Path("/sys/kernel/notes")
    body = path.read_bytes()
    with path.open("rb") as file:
        with pytest.raises(OSError, match="No such device"):
            mmap.mmap(file.fileno(), len(body), flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ)
        window = SourceWindow(file.fileno(), 3, len(body) - 1)
        assert window.view == body[3:-1]
        assert window.view.readonly
        window.close()


def test_what_cannot_be_prefaulted_is_read(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages that the kernel does not bring in are not touched, which would be a SIGBUS: a read tells what is wrong."""
    monkeypatch.setattr("bulkhaul.disk.source.MADV_POPULATE_READ", mmap.MADV_REMOVE)  # refused for a map to read
    with path.open("rb") as file:
        window = SourceWindow(file.fileno(), 3, len(BODY))
        assert str(path) not in Path("/proc/self/maps").read_text(encoding="utf-8")
        assert window.view == BODY[3:]
        window.close()
    assert path.read_bytes() == BODY
