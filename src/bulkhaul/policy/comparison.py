"""Decides whether the two sides of a key differ, and says why in words for people.

    sizes ─▶ times ─▶ ETags ─▶ checksums        the first that differs, or cannot be told, is the reason
                        ╰─ of a file: its bytes are read, so these two are decided last, from what was looked up

What is unknown is never equal: a time that nobody tells, an ETag that is no MD5, checksums of two kinds.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from functools import lru_cache

import msgspec

from bulkhaul.model.errors import UsageError
from bulkhaul.model.objects import Checksum, ChecksumKind
from bulkhaul.model.rows import Action
from bulkhaul.policy.filetimes import mtime_of
from bulkhaul.policy.links import link_path

COMPARATORS = ("size", "mtime", "etag", "checksum")
"""In the order in which they are applied: what costs nothing first."""

MISSING = "it is not at the destination"
EXTRA = "it is not at the source"
BLOCKED = "it is not at the destination, where a file that is not at the source has the place of its folder"
TAKEN = "it is not at the destination, where a file that is not at the source has the place of the link"

_Time = tuple[int | None, datetime | None]
"""``mtime_ns`` and ``last_modified`` of an entry."""

_FILE_TIME_UNITS_NS = (1, 100, 1_000, 1_000_000, 10_000_000, 1_000_000_000)
"""In which file systems, and tools that write files, keep times: 10 ms is that of exFAT.

Not the 2 s of FAT: on every other disk it would hide changes of a second, which many programs make. Source: Microsoft,
"exFAT file system specification" (10msIncrement).
"""

_PLAIN_MD5 = re.compile(r'"?([0-9a-f]{32})"?')


class Entry(msgspec.Struct, frozen=True, gc=False):
    """One name that a side has.

    Attributes:
        name: below the root of its side, with ``/``; one that ends in a slash is a folder, or marks one.
        mtime_ns: of a file, since the epoch; None for an object.
        last_modified: of an object, as the service tells it; None for a file.
        etag, storage_class: of an object, as the listing tells them.
        device, inode: of a file, which it was when it was listed.
        linked: its name is a symbolic link, or lies behind one.
        vacant: of a folder, whether nothing is in it.
        link: it is a symbolic link that stands for its stored link: its name has the suffix of that, and its path not.
    """

    name: str
    size_bytes: int = 0
    mtime_ns: int | None = None
    last_modified: datetime | None = None
    etag: str = ""
    storage_class: str = ""
    device: int = 0
    inode: int = 0
    linked: bool = False
    vacant: bool = False
    link: bool = False

    @property
    def path(self) -> str:
        """Where it lies, below the root of its side."""
        return link_path(self.name) if self.link else self.name


class Unknown(msgspec.Struct, frozen=True, gc=False):
    """A name of which a side cannot tell what it is, nor what lies below it.

    Attributes:
        name: below the root of its side; that of a folder ends in a slash.
        reason: for people.
        unwanted: the caller asked to leave it out, so it is no failure.
        unread: it could not be looked at, so the listing is not sound.
    """

    name: str
    reason: str
    unwanted: bool = False
    unread: bool = False

    @property
    def below(self) -> str:
        """What every name begins with that is unknown because of this one."""
        return self.name if self.name.endswith("/") else self.name + "/"


class Compare(msgspec.Struct, frozen=True):
    """What is compared, beside sizes: they always are, as nothing is cheaper or surer."""

    mtime: bool = True
    etag: bool = False
    checksum: bool = False


def parse_compare(text: str) -> Compare:
    """Return what a comma list of ``COMPARATORS`` names.

    >>> parse_compare("size,mtime")
    Compare(mtime=True, etag=False, checksum=False)

    Raises:
        UsageError: it names something else, or nothing.
    """
    named = [word.strip() for word in text.split(",")]
    for word in named:
        if word not in COMPARATORS:
            raise UsageError(f"{word!r} is no way to compare; choose from {', '.join(COMPARATORS)}")
    return Compare(mtime="mtime" in named, etag="etag" in named, checksum="checksum" in named)


def listed_difference(compare: Compare, action: Action) -> Callable[[Entry, Entry], str]:
    """Return what tells why source and destination differ by what their listings say, empty if they do not.

    Args:
        action: the direction. A download makes the file's time that of the object, so any other time is a difference.
            An upload and a copy have a time of their own, so the source differs if it is newer.
    """
    times = (_other_time if action is Action.DOWNLOAD else _newer_source) if compare.mtime else None
    etags = compare.etag and action is Action.COPY

    def difference(source: Entry, destination: Entry) -> str:
        if source.size_bytes != destination.size_bytes:
            return f"the sizes differ: {source.size_bytes} bytes, and {destination.size_bytes} at the destination"
        if times is not None and (
            reason := times((source.mtime_ns, source.last_modified), (destination.mtime_ns, destination.last_modified))
        ):
            return reason
        return etag_difference(source.etag, destination.etag) if etags else ""

    return difference


def kept_difference(kept_ns: int | None, file_ns: int | None, listed: str) -> str:
    """Return why a file's time is not the one that its object keeps in metadata, empty if it is.

    It is where both are exactly equal, or the file's is the kept one, cut as file systems cut it. A kept time that
    tells less than the file's is another one: what it does not tell is unknown.

    Args:
        kept_ns: None where the object keeps none; then what the listings say decides.
        listed: why the two differ by their listings, in time alone.

    >>> kept_difference(1_700_000_000_123_456_789, 1_700_000_000_123_456_000, "the times differ")
    ''
    >>> kept_difference(1_700_000_000_000_000_000, 1_700_000_000_123_456_000, "the times differ")
    "the file's time is not the one that the object keeps"
    >>> kept_difference(None, 0, "the times differ")
    'the times differ'
    """
    if kept_ns is None or file_ns is None:
        return listed
    same = any(file_ns == kept_ns // unit * unit for unit in _FILE_TIME_UNITS_NS)
    return "" if same else "the file's time is not the one that the object keeps"


def waits_for_deletion(reason: str) -> bool:
    """Whether what a row would store waits for a file to be deleted that has its place."""
    return reason.startswith((BLOCKED, TAKEN))


def etag_difference(source: str, destination: str) -> str:
    """Return why two ETags are not surely of the same bytes, empty if they are: both are plain, and equal.

    >>> etag_difference('"d41d8cd98f00b204e9800998ecf8427e"', "d41d8cd98f00b204e9800998ecf8427e")
    ''
    """
    ours, theirs = plain_md5(source), plain_md5(destination)
    if not ours or not theirs:
        where = "the source's" if not ours else "the destination's"
        return f"{where} ETag is no MD5 of the bytes, so ETags cannot tell whether they differ"
    return "" if ours == theirs else "the ETags differ"


def plain_md5(etag: str) -> str:
    """Return the MD5 that an ETag is if the object was stored in one piece, in hex; empty for any other ETag.

    >>> plain_md5('"d41d8cd98f00b204e9800998ecf8427e-2"')
    ''
    """
    found = _PLAIN_MD5.fullmatch(etag)
    return found[1] if found else ""


def checksum_difference(source: Checksum | None, destination: Checksum | None) -> str:
    """Return why two stored checksums are not surely of the same bytes, empty if they are.

    Checksums of parts are of the same bytes if they are equal; if not, the parts may only have been cut otherwise.
    """
    if source is None or destination is None:
        where = "the source" if source is None else "the destination"
        return f"{where} has no checksum that can be compared, so checksums cannot tell whether they differ"
    if source.algorithm != destination.algorithm or source.kind is not destination.kind:
        return (
            f"{source.algorithm} ({source.kind}) and {destination.algorithm} ({destination.kind}) cannot be compared,"
            " so checksums cannot tell whether they differ"
        )
    if source.value == destination.value:
        return ""
    if source.kind is not ChecksumKind.FULL_OBJECT:
        return f"the {source.algorithm} checksums of the parts differ; the parts may be others, or the bytes"
    return f"the {source.algorithm} checksums differ"


def _time_ms(time: _Time) -> int | None:
    mtime_ns, last_modified = time
    if mtime_ns is None:
        mtime_ns = mtime_of(last_modified)
    return None if mtime_ns is None else mtime_ns // 1_000_000


def _in_common(one_ms: int, other_ms: int) -> tuple[int, int]:
    """Return two instants in the coarser of their units: services and file systems that tell whole seconds cut them."""
    if one_ms % 1000 and other_ms % 1000:
        return one_ms, other_ms
    return one_ms // 1000, other_ms // 1000


_NO_TIME = "nobody tells when {} was modified, so times cannot tell whether they differ"


# What was stored together, or downloaded, shares few times.
@lru_cache(maxsize=1024)
def _other_time(source: _Time, destination: _Time) -> str:
    told_ms, kept_ms = _time_ms(source), _time_ms(destination)
    if told_ms is None or kept_ms is None:
        return _NO_TIME.format("the source" if told_ms is None else "the destination")
    told, kept = _in_common(told_ms, kept_ms)
    return "" if told == kept else "the file's time is not that of the object"


@lru_cache(maxsize=1024)
def _newer_source(source: _Time, destination: _Time) -> str:
    source_ms, stored_ms = _time_ms(source), _time_ms(destination)
    if source_ms is None or stored_ms is None:
        return _NO_TIME.format("the source" if source_ms is None else "the destination")
    ours, stored = _in_common(source_ms, stored_ms)
    return "the source is newer than the destination" if ours > stored else ""
