"""The files below a folder: every one of them, in the order of keys, and a reason for whatever is left out."""

from __future__ import annotations

import errno
import os
import random
import socket
from collections.abc import Iterable
from pathlib import Path

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bulkhaul.disk.walk import LocalFile, LocalFolder, Names, Refused, walk, walk_with_folders
from bulkhaul.errors import LocalError


def files(root: Path, *, follow_symlinks: bool = True) -> list[str]:
    """Return the relative paths of a folder in which nothing may be refused."""
    found = list(walk(str(root), follow_symlinks=follow_symlinks))
    assert all(isinstance(one, LocalFile) for one in found), found
    return [one.relative for one in found if isinstance(one, LocalFile)]


def refused(root: Path, *, follow_symlinks: bool = True) -> dict[str, str]:
    """Return the reasons for what is left out, by relative path."""
    found = walk(str(root), follow_symlinks=follow_symlinks)
    return {os.path.relpath(one.path, root): one.reason for one in found if isinstance(one, Refused)}


def plain(found: Iterable[LocalFile | LocalFolder | Refused]) -> list[LocalFile | LocalFolder | Refused]:
    """Return what a walk has found without what the file system made up: times and numbers of files."""
    return [
        msgspec.structs.replace(one, mtime_ns=0, device=0, inode=0) if isinstance(one, LocalFile) else one
        for one in found
    ]


def make(root: Path, *names: str) -> None:
    """Make files, each with its relative path as content."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name, encoding="utf-8", errors="surrogateescape")


def test_files_with_path_and_size(tmp_path: Path) -> None:
    """Each file comes with the path to open it by, its path below the root, and its length."""
    make(tmp_path, "a", "b/c/d")
    (tmp_path / "b" / "empty").touch()
    (tmp_path / "no files" / "here").mkdir(parents=True)
    assert plain(walk(str(tmp_path))) == [
        LocalFile(str(tmp_path / "a"), "a", 1),
        LocalFile(str(tmp_path / "b" / "c" / "d"), "b/c/d", 5),
        LocalFile(str(tmp_path / "b" / "empty"), "b/empty", 0),
    ]
    assert list(walk(f"{tmp_path}/")) == list(walk(str(tmp_path)))


def test_which_file_and_when(tmp_path: Path) -> None:
    """Each file comes with its time and its identity, of what a link leads to where links are followed."""
    make(tmp_path, "a")
    os.utime(tmp_path / "a", ns=(1, 1_700_000_000_123_456_789))
    (tmp_path / "link").symlink_to("a")
    there = os.stat(tmp_path / "a")
    for one in walk(str(tmp_path)):
        assert isinstance(one, LocalFile)
        assert (one.mtime_ns, one.device, one.inode) == (1_700_000_000_123_456_789, there.st_dev, there.st_ino)


def test_folders_are_told_before_what_is_in_them(tmp_path: Path) -> None:
    """Where folders are asked for, each comes in the order of its key, and tells whether it is empty."""
    make(tmp_path, "a.b", "a/x", "a0")
    (tmp_path / "b" / "c").mkdir(parents=True)
    found = [
        (one.relative, one.vacant) if isinstance(one, LocalFolder) else one.relative
        for one in walk_with_folders(str(tmp_path), follow_symlinks=True)
        if not isinstance(one, Refused)
    ]
    assert found == ["a.b", ("a/", False), "a/x", "a0", ("b/", False), ("b/c/", True)]


def test_what_cannot_be_told_has_its_place(tmp_path: Path) -> None:
    """What is refused says where it lies below the root, and whether it could be looked at."""
    make(tmp_path, "file", "closed/x")
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "circle").symlink_to("circle")
    (tmp_path / "link").symlink_to("file")
    listing = walk(str(tmp_path), follow_symlinks=False)
    first = next(listing)
    (tmp_path / "closed" / "x").unlink()
    (tmp_path / "closed").rmdir()
    found = {one.relative: one.unread for one in (first, *listing) if isinstance(one, Refused)}
    assert found == {"fifo": False, "circle": False, "link": False, "closed/": True}


def test_empty_folder(tmp_path: Path) -> None:
    """Nothing comes of nothing."""
    assert list(walk(str(tmp_path))) == []


def test_relative_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A root may be given relative to the current folder."""
    make(tmp_path, "in/a")
    monkeypatch.chdir(tmp_path)
    assert plain(walk("in")) == [LocalFile("in/a", "a", 4)]
    assert plain(walk(".")) == [LocalFile("./in/a", "in/a", 4)]


segments = st.text(st.sampled_from("aA!-.0/é\uffff😀"), min_size=1, max_size=6)


@given(st.sets(segments, max_size=12))
@example({"a/b", "a!", "a0", "a-/x", "a.txt", "a/!"})
@example({"\uffff", "😀"})
def test_order_is_that_of_keys(tmp_path_factory: pytest.TempPathFactory, names: set[str]) -> None:
    """Files come in the order in which S3 lists their keys: by UTF-8 bytes of the whole relative path."""
    root = tmp_path_factory.mktemp("order")
    made = set()
    for name in names:
        parts = [part for part in name.split("/") if part not in ("", ".", "..")]
        path = root.joinpath(*parts)
        above = [one for one in path.parents if root in one.parents]
        if parts and not path.exists() and not any(one.is_file() for one in above):
            make(root, "/".join(parts))
            made.add("/".join(parts))
    assert files(root) == sorted(made, key=str.encode)


def test_order_is_not_that_of_the_disk(tmp_path: Path) -> None:
    """Many files of one folder come sorted, however the file system keeps them."""
    names = [f"{number:05}" for number in range(2000)]
    shuffled = random.Random(1).sample(names, len(names))
    for name in shuffled:
        (tmp_path / name).touch()
    assert files(tmp_path) == names


def test_names_that_are_odd_but_text(tmp_path: Path) -> None:
    """Spaces, newlines, backslashes and control characters are part of a name like any other."""
    names = sorted([" ", "a\nb", "a\\b", "\x1b[2J", "-rf", "...", ".hidden", "ü"], key=str.encode)
    make(tmp_path, *names)
    assert files(tmp_path) == names


def test_names_that_are_no_text(tmp_path: Path) -> None:
    """A name that is not UTF-8 is reported, whether of a file or of a folder, and the others go on."""
    make(tmp_path, "a", "z")
    (tmp_path / os.fsdecode(b"m\xff")).touch()
    make(tmp_path, os.fsdecode(b"n\xfe") + "/inside")
    reasons = refused(tmp_path)
    assert set(reasons) == {os.fsdecode(b"m\xff"), os.fsdecode(b"n\xfe")}
    assert all("not valid UTF-8" in reason for reason in reasons.values())
    assert [one.relative for one in walk(str(tmp_path)) if isinstance(one, LocalFile)] == ["a", "z"]


# Links


def test_links_are_followed(tmp_path: Path) -> None:
    """Links to files and folders, inside and outside, count as what they lead to, under their own names."""
    root = tmp_path / "root"
    make(tmp_path, "root/a", "root/d/x", "outside/y")
    (root / "to-file").symlink_to("a")
    (root / "to-folder").symlink_to("d")
    (root / "to-outside").symlink_to(tmp_path / "outside")
    assert files(root) == ["a", "d/x", "to-file", "to-folder/x", "to-outside/y"]
    sizes = {one.relative: one.size_bytes for one in walk(str(root)) if isinstance(one, LocalFile)}
    assert sizes["to-file"] == len("root/a")


def test_links_are_left_out_when_asked(tmp_path: Path) -> None:
    """Then each link is named as unwanted, which is no failure; the root itself may still be one."""
    root = tmp_path / "root"
    make(tmp_path, "root/a", "root/d/x")
    for name, target in {"to-file": "a", "to-folder": "d", "nowhere": "none"}.items():
        (root / name).symlink_to(target)
    (tmp_path / "link").symlink_to(root)
    found = list(walk(str(tmp_path / "link"), follow_symlinks=False))
    assert [one.relative for one in found if isinstance(one, LocalFile)] == ["a", "d/x"]
    left = [one for one in found if isinstance(one, Refused)]
    assert [os.path.basename(one.path) for one in left] == ["nowhere", "to-file", "to-folder"]
    assert all(one.unwanted and "not followed" in one.reason for one in left)


def test_links_to_folders_alone_are_left_out(tmp_path: Path) -> None:
    """Links to files are followed, and each link to a folder is named as unwanted, with the way to have it."""
    make(tmp_path, "a", "d/x")
    (tmp_path / "to-file").symlink_to("a")
    (tmp_path / "to-folder").symlink_to("d")
    found = list(walk(str(tmp_path), enter_links=False))
    assert [one.relative for one in found if isinstance(one, LocalFile)] == ["a", "d/x", "to-file"]
    [left] = [one for one in found if isinstance(one, Refused)]
    assert (left.path, left.unwanted) == (str(tmp_path / "to-folder"), True)
    assert "--follow-symlinks" in left.reason


def test_links_and_plain_names_apart(tmp_path: Path) -> None:
    """Both together list what there is, once; the links with their length and with what lies behind one of a folder."""
    make(tmp_path, "a", "d/x", os.fsdecode(b"n\xfe"))
    (tmp_path / "l").symlink_to("a")
    (tmp_path / "d" / "ll").symlink_to("../l")
    (tmp_path / "to-d").symlink_to("d")
    (tmp_path / "gone").symlink_to("nowhere")
    everything = list(walk(str(tmp_path)))
    links = list(walk(str(tmp_path), names=Names.LINKS))
    plain = list(walk(str(tmp_path), names=Names.PLAIN))
    assert sorted(links + plain, key=lambda one: os.fsencode(one.path)) == everything
    assert [(one.relative, one.hops, one.behind) for one in links if isinstance(one, LocalFile)] == [
        ("d/ll", 2, False),
        ("l", 1, False),
        ("to-d/ll", 2, True),
        ("to-d/x", 0, True),
    ]
    assert [(one.relative, one.hops, one.behind) for one in plain if isinstance(one, LocalFile)] == [
        ("a", 0, False),
        ("d/x", 0, False),
    ]


def test_loops_are_cut(tmp_path: Path) -> None:
    """A link back to a folder that it lies in is refused where it is; two links to one folder are no loop."""
    make(tmp_path, "a/b/file", "z")
    (tmp_path / "a" / "b" / "up").symlink_to(tmp_path / "a")
    (tmp_path / "a" / "root").symlink_to(tmp_path)
    (tmp_path / "self").symlink_to(tmp_path)
    (tmp_path / "twice").symlink_to(tmp_path / "a" / "b")
    reasons = refused(tmp_path)
    assert set(reasons) == {"a/b/up", "a/root", "self", "twice/up/b", "twice/up/root"}
    assert set(reasons.values()) == {"symbolic links that lead in a circle"}
    listed = [one.relative for one in walk(str(tmp_path)) if isinstance(one, LocalFile)]
    assert listed == ["a/b/file", "twice/file", "z"]


def test_links_that_lead_nowhere(tmp_path: Path) -> None:
    """A dangling link, and one in a circle, is reported and does not stop the rest; neither is unwanted."""
    make(tmp_path, "a", "z")
    (tmp_path / "gone").symlink_to("nowhere")
    (tmp_path / "ring").symlink_to("ring")
    assert refused(tmp_path) == {
        "gone": "a symbolic link that leads nowhere",
        "ring": "symbolic links that lead in a circle",
    }
    assert not any(one.unwanted for one in walk(str(tmp_path)) if isinstance(one, Refused))


# What is no file


def test_special_files_are_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """FIFOs, sockets and devices are named as what they are, without being opened."""
    make(tmp_path, "a", "z")
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "null").symlink_to("/dev/null")
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
        reasons = refused(tmp_path)
    assert {name: reason.split(";")[0] for name, reason in reasons.items()} == {
        "fifo": "it is a FIFO",
        "null": "it is a character device",
        "socket": "it is a socket",
    }
    for follow in (True, False):
        found = walk(str(tmp_path), follow_symlinks=follow)
        assert [one.relative for one in found if isinstance(one, LocalFile)] == ["a", "z"]


@pytest.mark.parametrize("number", [errno.EACCES, errno.EIO])
def test_folder_that_cannot_be_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """A folder that refuses is reported with the reason; its neighbours are listed and no descriptor is lost."""
    make(tmp_path, "a", "locked/x", "z")
    locked = os.stat(tmp_path / "locked")
    real = os.scandir

    def scandir(fd: int) -> object:
        if os.path.samestat(os.fstat(fd), locked):
            raise OSError(number, os.strerror(number))
        return real(fd)

    monkeypatch.setattr("os.scandir", scandir)
    held = len(os.listdir("/proc/self/fd"))
    found = list(walk(str(tmp_path)))
    assert [one.relative for one in found if isinstance(one, LocalFile)] == ["a", "z"]
    [left] = [one for one in found if isinstance(one, Refused)]
    assert left.path == str(tmp_path / "locked")
    assert ("permission denied" if number == errno.EACCES else "input/output error") in left.reason
    assert "destination" not in left.reason
    assert len(os.listdir("/proc/self/fd")) == held


def test_folder_that_vanishes(tmp_path: Path) -> None:
    """What disappears while the listing is under way is reported; the rest goes on."""
    make(tmp_path, "a/x", "b", "c/x", "d")
    listing = walk(str(tmp_path))
    first = next(listing)
    assert isinstance(first, LocalFile)
    (tmp_path / "b").unlink()
    (tmp_path / "c" / "x").unlink()
    (tmp_path / "c").rmdir()
    assert plain(listing) == [
        Refused(str(tmp_path / "b"), "it vanished during the listing", relative="b"),
        Refused(str(tmp_path / "c"), "it does not exist", relative="c/", unread=True),
        LocalFile(str(tmp_path / "d"), "d", 1),
    ]


def test_folder_replaced_by_a_link(tmp_path: Path) -> None:
    """A folder that becomes a link during the listing is not entered where links are not followed."""
    make(tmp_path, "root/a", "root/d/x", "outside/secret")
    listing = walk(str(tmp_path / "root"), follow_symlinks=False)
    next(listing)
    (tmp_path / "root" / "d" / "x").unlink()
    (tmp_path / "root" / "d").rmdir()
    (tmp_path / "root" / "d").symlink_to(tmp_path / "outside")
    [rest] = listing
    assert isinstance(rest, Refused)
    assert rest.path == str(tmp_path / "root" / "d")


# The root


def test_root_that_is_no_folder(tmp_path: Path) -> None:
    """A root that is missing or a file is an error at once, before anything is asked of the listing."""
    make(tmp_path, "file")
    with pytest.raises(LocalError, match="does not exist"):
        walk(str(tmp_path / "none"))
    with pytest.raises(LocalError, match="a folder is needed"):
        walk(str(tmp_path / "file"))


def test_deep_folders(tmp_path: Path) -> None:
    """Depth is no matter of the interpreter's stack."""
    deep = [str(tmp_path)]
    for _ in range(1100):
        deep.append(deep[-1] + "/d")
        os.mkdir(deep[-1])
    Path(deep[-1], "x").touch()
    assert plain(walk(str(tmp_path))) == [LocalFile(deep[-1] + "/x", "d/" * 1100 + "x", 0)]
    os.unlink(deep[-1] + "/x")
    for path in reversed(deep[1:]):  # deeper than what pytest removes by itself
        os.rmdir(path)


def test_path_that_is_too_long(tmp_path: Path) -> None:
    """A folder whose path is too long for the operating system is reported where it lies."""
    fd = os.open(tmp_path, os.O_RDONLY)
    for _ in range(25):
        os.mkdir("d" * 200, dir_fd=fd)
        below = os.open("d" * 200, os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = below
    os.close(fd)
    [left] = walk(str(tmp_path))
    assert isinstance(left, Refused)
    assert left.reason == "the path is too long for the operating system"


def test_memory_holds_one_folder(tmp_path: Path) -> None:
    """What is open and known does not grow with the number of folders that were listed."""
    for number in range(300):
        make(tmp_path, f"{number:03}/x")
    held = len(os.listdir("/proc/self/fd"))
    listing = walk(str(tmp_path))
    for number, one in enumerate(listing):
        assert isinstance(one, LocalFile)
        assert one.relative == f"{number:03}/x"
        assert len(os.listdir("/proc/self/fd")) == held
