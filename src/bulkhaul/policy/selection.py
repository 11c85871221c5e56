"""Parses ``s3://`` URLs of sources and destinations, and decides which keys a prefix or pattern selects.

s3://bucket/key            one object
s3://bucket/prefix/        everything below it         (recursive)
s3://bucket/logs/*/a?.gz   every key that matches; * and ? match "/" too, as in s5cmd
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import msgspec

from bulkhaul.model.errors import InvalidUrl, NotFound, UsageError
from bulkhaul.policy.filters import Filters
from bulkhaul.policy.links import link_path, names_link

_WILDCARD = re.compile(r"[*?]")

_ACCESS_POINT = re.compile(r"(arn:[^:/]+:s3[a-z-]*:[^:/]*:[^:/]*:accesspoint[:/][^/]+)(?:/(.*))?", re.DOTALL)
"""Source: S3 User Guide, "Access point ARNs"; the ARN holds a slash itself."""


_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
"""Source: S3 User Guide, "General purpose bucket naming rules"."""

_ANY_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,254}")
"""Names that other services have given, and ARNs, too."""

LISTED = "what is to be listed"
"""How an error calls the URL of a listing."""


class Source(msgspec.Struct, frozen=True):
    """What to restore.

    Attributes:
        key: the one object, empty if ``many``.
        prefix: what to list.
        base: what is cut off a key to get its path below the destination: up to the last slash before a wildcard.
        pattern: the keys must match it, empty for all.
        root: of local files, the absolute path of their folder, for filters that begin with a slash.
    """

    bucket: str
    key: str = ""
    prefix: str = ""
    base: str = ""
    pattern: str = ""
    many: bool = False
    root: str = ""

    @property
    def url(self) -> str:
        """The URL that errors name."""
        return f"s3://{self.bucket}/{self.pattern or self.key or self.prefix}"


def parse_source(url: str, *, recursive: bool = False, literal: bool = False, marker: bool = False) -> Source:
    """Return what ``s3://bucket/…`` names.

    Args:
        recursive: take the URL as a prefix: everything below it, cut at a slash.
        literal: ``*`` and ``?`` stand for themselves.
        marker: the key may end in a slash, as those do that consoles mark folders with.

    Raises:
        InvalidUrl: no ``s3://``, or no bucket.
        UsageError: a prefix (or a whole bucket) without ``recursive``.
    """
    bucket, key = _split(url, "a source")
    wildcard = None if literal else _WILDCARD.search(key)
    if wildcard is not None:
        before = key[: wildcard.start()]
        base = before[: before.rfind("/") + 1]
        pattern = key + "*" if recursive else key
        return Source(bucket, prefix=before, base=base, pattern=pattern, many=True)
    if recursive:
        prefix = folder_prefix(key)
        return Source(bucket, prefix=prefix, base=prefix, many=True)
    if not key or (key.endswith("/") and not marker):
        text = "this names a prefix, not an object; for all that is below add --recursive, or call list or a ..._many()"
        raise UsageError(text, url)
    return Source(bucket, key=key)


def parse_listing(url: str) -> Source:
    """Return what a listing of ``s3://bucket[/prefix]`` is to find: the prefix is taken as it is, cut at no slash.

    Raises:
        InvalidUrl: no ``s3://``, or no bucket.
    """
    bucket, key = _split(url, LISTED)
    wildcard = _WILDCARD.search(key)
    if wildcard is None:
        return Source(bucket, prefix=key, many=True)
    return Source(bucket, prefix=key[: wildcard.start()], pattern=key, many=True)


def parse_destination(url: str, what: str = "a destination in S3") -> tuple[str, str]:
    """Return (bucket, key) of ``s3://bucket/…``; the key may be empty or end in a slash, and is taken literally.

    Args:
        what: how an error calls it.

    Raises:
        InvalidUrl: no ``s3://``, or no bucket.
    """
    return _split(url, what)


def with_scheme(place: str) -> str:
    """Return the URL of ``bucket/key``, as aws-cli takes some without ``s3://``.

    Raises:
        InvalidUrl: it begins with no bucket.

    >>> with_scheme("bucket/a"), with_scheme("s3://b/a")
    ('s3://bucket/a', 's3://b/a')
    """
    if place.startswith("s3://"):
        return place
    if not (_ACCESS_POINT.fullmatch(place) or _BUCKET.fullmatch(place.partition("/")[0])):
        raise InvalidUrl("this begins with no bucket; type s3://BUCKET/KEY or BUCKET/KEY", place)
    return f"s3://{place}"


def named_object(place: str) -> tuple[str, str]:
    """Return (bucket, key) as they stand in a URL that was checked before; both are empty for a path.

    >>> named_object("s3://bucket/a/b"), named_object("/a/b")
    (('bucket', 'a/b'), ('', ''))
    """
    if not place.startswith("s3://"):
        return "", ""
    rest = place.removeprefix("s3://")
    point = _ACCESS_POINT.fullmatch(rest)
    if point:
        return point.group(1), point.group(2) or ""
    bucket, _, key = rest.partition("/")
    return bucket, key


def folder_prefix(key: str) -> str:
    """Return what every key below a folder begins with; an empty one is the whole bucket.

    >>> folder_prefix("a/b"), folder_prefix("a/b/"), folder_prefix("")
    ('a/b/', 'a/b/', '')
    """
    return key if not key or key.endswith("/") else key + "/"


def _split(url: str, what: str) -> tuple[str, str]:
    if not url.startswith("s3://"):
        raise InvalidUrl(f"{what} must begin with s3://", url)
    if not url.isascii() and any("\ud800" <= character <= "\udfff" for character in url):
        raise InvalidUrl("it is not valid UTF-8", url)
    bucket, key = named_object(url)
    if not bucket:
        raise InvalidUrl("the bucket name is missing after s3://", url)
    if ":s3-object-lambda:" in bucket or bucket.endswith("--ol-s3"):
        text = (
            "an Object Lambda access point gives other bytes than its listings and HEAD tell of, so nothing can be"
            " checked; name the bucket, or the access point behind it"
        )
        raise InvalidUrl(text, url)
    if not _ANY_BUCKET.fullmatch(bucket):
        raise InvalidUrl(f"{bucket!r} cannot be a bucket name", url)
    return bucket, key


def wildcard_regex(pattern: str) -> str:
    """Return the regular expression of a pattern: ``*`` any characters, ``?`` one; everything else is literal."""
    return "".join(".*" if c == "*" else "." if c == "?" else re.escape(c) for c in pattern)


class Selector:
    """The test that a key must pass: it matches the source's own pattern, and the filters take it.

    Filters are matched against the path below the destination; see ``policy.filters``. That of a stored link is the
    link's own, where links are stored.

    Attributes:
        left_out: keys that the source named and the filters left out, so far.
    """

    def __init__(
        self, source: Source, include: Sequence[str] = (), exclude: Sequence[str] = (), *, stores_links: bool = False
    ) -> None:
        own = re.compile(wildcard_regex(source.pattern), re.DOTALL) if source.pattern else None
        self._own = own.fullmatch if own else None
        self._base = source.base
        self._filters = Filters(include, exclude, root=source.root)
        self._filtered = bool(self._filters)
        self._stores_links = stores_links
        self.left_out = 0

    def __call__(self, key: str) -> bool:
        """Whether a key is taken."""
        if self._own is not None and not self._own(key):
            return False
        if not self._filtered:
            return True
        name = key.removeprefix(self._base)
        if self._filters.takes(filtered_name(name) if self._stores_links else name):
            return True
        self.left_out += 1
        return False


def selector(
    source: Source, include: Sequence[str] = (), exclude: Sequence[str] = (), *, stores_links: bool = False
) -> Selector:
    """Return the test that a key must pass.

    Args:
        stores_links: keys are those of stored links where they are named so; filters take the names of the links.

    >>> selector(Source("b", many=True), [], ["*", "!a"], stores_links=True)("a.rclonelink")
    True
    """
    return Selector(source, include, exclude, stores_links=stores_links)


def filtered_name(name: str) -> str:
    """Return the name that filters take where links are stored: of a stored link that of the link.

    >>> filtered_name("a/b.rclonelink"), filtered_name("a/b")
    ('a/b', 'a/b')
    """
    return link_path(name) if names_link(name) else name


def all_left_out(takes: Callable[[str], bool]) -> bool:
    """Whether filters have left something out: then it is no error that nothing was selected."""
    return isinstance(takes, Selector) and takes.left_out > 0


def listing_selector(
    source: Source, include: Sequence[str] = (), exclude: Sequence[str] = ()
) -> Callable[[str], bool] | None:
    """Return the test that a listed key must pass, None where all do.

    Patterns are matched against the path below the last slash before the end of the prefix, as for a transfer.

    >>> listing_selector(parse_listing("s3://b/logs/a*"), [], ["*.o"])("logs/a.o")
    False
    """
    if not (source.pattern or include or exclude):
        return None
    base = source.prefix[: source.prefix.rfind("/") + 1]
    return selector(msgspec.structs.replace(source, base=base), include, exclude)


def below(source: Source) -> Source:
    """Return the source with its pattern for paths below its base, as another side has them.

    >>> below(Source("b", prefix="logs/a", base="logs/", pattern="logs/a*", many=True)).pattern
    'a*'
    """
    return Source(source.bucket, pattern=source.pattern.removeprefix(source.base), many=True, root=source.root)


def excludes_below(include: Sequence[str], exclude: Sequence[str]) -> Callable[[str], bool]:
    """Return the test whether filters surely leave out everything below a folder, whatever is there."""
    return Filters(include, exclude).leave_out_all


def decided(
    source: Source, include: Sequence[str], exclude: Sequence[str], name: str, *, stores_links: bool = False
) -> tuple[bool, str]:
    """Return whether a path below a source is taken, and which rule decides that, for people.

    Args:
        source: with its pattern for such paths; see ``below``.
        stores_links: see ``selector``.

    >>> decided(Source("b", many=True), [], ["*", "!*.tmp"], "a.tmp")
    (True, "--include '*.tmp', filter 2 of 2, is the last that matches it")
    """
    if not selector(source)(name):
        return False, "the pattern of the source does not match it"
    filters = Filters(include, exclude, root=source.root)
    name = filtered_name(name) if stores_links else name
    return filters.takes(name), filters.reason(name)


def left_out_by(
    source: Source, include: Sequence[str], exclude: Sequence[str], name: str, *, stores_links: bool = False
) -> str:
    """Return which rule leaves out a path below a source, for people; empty if it is taken; see ``decided``.

    >>> left_out_by(Source("b", many=True), [], ["*.tmp"], "a.tmp")
    "--exclude '*.tmp' matches it"
    """
    takes, reason = decided(source, include, exclude, name, stores_links=stores_links)
    return "" if takes else reason


def nothing_matches(source: Source) -> NotFound:
    """Return the error of a source that no object matches."""
    return NotFound("no object matches", source.url)
