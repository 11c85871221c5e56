"""Decides whether a transfer leaves what its destination already has, by the rules of s5cmd's cp.

-n  it exists                ─▶ left
-s  it has the source's size ─▶ left, else replaced    each of them that is given decides anew,
-u  the source is not newer  ─▶ left, else replaced    so that of several the last one of this order decides
--if-etag-differ  its ETag is the source's ─▶ left, else replaced
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from bulkhaul.policy.filetimes import mtime_of

_SECOND_NS = 1_000_000_000

IS_THERE = "it is at the destination already"
"""Why ``-n`` leaves something."""


class Known(msgspec.Struct, frozen=True, gc=False):
    """What is known of one side.

    Attributes:
        size_bytes: -1 of what is no file and no object.
        modified_ns: since the epoch; None where nobody tells it.
        etag: without quotes; of a file the MD5 that it would have as an object in one piece. Empty if not known.
    """

    size_bytes: int
    modified_ns: int | None = None
    etag: str = ""


class Overwrite(msgspec.Struct, frozen=True, kw_only=True):
    """Which destinations are replaced that exist; all of them where nothing is set.

    Attributes:
        no_clobber: none.
        if_size_differs: those of another size than their source.
        if_source_newer: those that are older than their source.
        if_etag_differs: those whose ETag is not surely that of their source.
        if_differs: those of which either is true, as ``s5cmd sync`` has it; then the others do not count.
    """

    no_clobber: bool = False
    if_size_differs: bool = False
    if_source_newer: bool = False
    if_etag_differs: bool = False
    if_differs: bool = False

    @property
    def always(self) -> bool:
        """Whether nothing has to be looked at."""
        return not (self.no_clobber or self.needs_source)

    @property
    def option(self) -> str:
        """The option of cp that decides; empty where none does, or a line of ``run``.

        >>> Overwrite(no_clobber=True, if_size_differs=True).option
        '--if-size-differ'
        """
        last_first = {
            "--if-etag-differ": self.if_etag_differs,
            "--if-source-newer": self.if_source_newer,
            "--if-size-differ": self.if_size_differs,
            "--no-clobber": self.no_clobber,
        }
        return next((name for name, given in last_first.items() if given and not self.if_differs), "")

    @property
    def needs_source(self) -> bool:
        """Whether the source has to be known."""
        return self.if_size_differs or self.if_source_newer or self.if_etag_differs or self.if_differs


def of_object(size_bytes: int, last_modified: datetime | None, etag: str = "") -> Known:
    """Return what is known of an object; its time in whole seconds, as some replies tell it so and some finer.

    >>> from datetime import UTC
    >>> of_object(3, datetime(2024, 5, 17, 12, 34, 56, 789, UTC)) == of_object(3, datetime(2024, 5, 17, 12, 34, 56))
    True
    """
    modified_ns = mtime_of(last_modified)
    return Known(size_bytes, None if modified_ns is None else modified_ns // _SECOND_NS * _SECOND_NS, etag.strip('"'))


def left_because(rule: Overwrite, source: Known, destination: Known) -> str:
    """Return why a destination that exists stays as it is, for people; empty if it is replaced; see ``judged``."""
    replaced, reason = judged(rule, source, destination)
    return "" if replaced else reason


def judged(rule: Overwrite, source: Known, destination: Known) -> tuple[bool, str]:
    """Return whether a destination that exists is replaced, and why, for people.

    >>> old, new = Known(3, 1), Known(3, 2)
    >>> judged(Overwrite(no_clobber=True), new, old)
    (False, 'it is at the destination already')
    >>> judged(Overwrite(no_clobber=True, if_size_differs=True, if_source_newer=True), new, old)
    (True, 'the destination is older')
    """
    same_size = source.size_bytes == destination.size_bytes
    newer = None not in (source.modified_ns, destination.modified_ns) and source.modified_ns > destination.modified_ns  # type: ignore[operator]
    if rule.if_differs:
        if newer or not same_size:
            return True, "the destination has another size, or is older"
        return False, "the destination has its size, and is not older"
    if rule.if_etag_differs:
        if same_size and source.etag and source.etag == destination.etag:
            return False, "the destination has its ETag"
        return True, "the destination has another ETag, or none that tells"
    if rule.if_source_newer:
        return newer, "the destination is older" if newer else "the destination is not older"
    if rule.if_size_differs:
        return not same_size, "the destination has its size" if same_size else "the destination has another size"
    if rule.no_clobber:
        return False, IS_THERE
    return True, "what is at the destination is replaced"
