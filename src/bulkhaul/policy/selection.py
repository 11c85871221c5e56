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

_WILDCARD = re.compile(r"[*?]")

_ACCESS_POINT = re.compile(r"(arn:[^:/]+:s3[a-z-]*:[^:/]*:[^:/]*:accesspoint[:/][^/]+)(?:/(.*))?", re.DOTALL)
"""Source: S3 User Guide, "Access point ARNs"; the ARN holds a slash itself."""


LISTED = "what is to be listed"
"""How an error calls the URL of a listing."""


class Source(msgspec.Struct, frozen=True):
    """What to restore.

    Attributes:
        key: the one object, empty if ``many``.
        prefix: what to list.
        base: what is cut off a key to get its path below the destination: up to the last slash before a wildcard.
        pattern: the keys must match it, empty for all.
    """

    bucket: str
    key: str = ""
    prefix: str = ""
    base: str = ""
    pattern: str = ""
    many: bool = False

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
        raise UsageError("this names a prefix, not an object; add --recursive for everything below it", url)
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
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,254}", bucket):
        raise InvalidUrl(f"{bucket!r} cannot be a bucket name", url)
    return bucket, key


def wildcard_regex(pattern: str) -> str:
    """Return the regular expression of a pattern: ``*`` any characters, ``?`` one; everything else is literal."""
    return "".join(".*" if c == "*" else "." if c == "?" else re.escape(c) for c in pattern)


def selector(source: Source, include: Sequence[str] = (), exclude: Sequence[str] = ()) -> Callable[[str], bool]:
    """Return the test that a key must pass.

    A key is taken if it matches the source's own pattern, at least one ``include`` (if there are any) and no
    ``exclude``. Both are matched against the path below the destination, in any order (as in s5cmd, unlike aws-cli).
    """
    if not (source.pattern or include or exclude):
        return _everything
    own = re.compile(wildcard_regex(source.pattern), re.DOTALL) if source.pattern else None
    wanted = [re.compile(wildcard_regex(pattern), re.DOTALL) for pattern in include]
    unwanted = [re.compile(wildcard_regex(pattern), re.DOTALL) for pattern in exclude]

    def takes(key: str) -> bool:
        if own and not own.fullmatch(key):
            return False
        path = key.removeprefix(source.base)
        if wanted and not any(pattern.fullmatch(path) for pattern in wanted):
            return False
        return not any(pattern.fullmatch(path) for pattern in unwanted)

    return takes


def listing_selector(source: Source, exclude: Sequence[str] = ()) -> Callable[[str], bool] | None:
    """Return the test that a listed key must pass, None where all do.

    Patterns are matched against the path below the last slash before the end of the prefix, as for a transfer.

    >>> listing_selector(parse_listing("s3://b/logs/a*"), ["*.o"])("logs/a.o")
    False
    """
    if not (source.pattern or exclude):
        return None
    base = source.prefix[: source.prefix.rfind("/") + 1]
    return selector(msgspec.structs.replace(source, base=base), exclude=exclude)


def _everything(_key: str) -> bool:
    return True


def below(source: Source) -> Source:
    """Return the source with its pattern for paths below its base, as another side has them.

    >>> below(Source("b", prefix="logs/a", base="logs/", pattern="logs/a*", many=True)).pattern
    'a*'
    """
    return Source(source.bucket, pattern=source.pattern.removeprefix(source.base), many=True)


def excludes_below(exclude: Sequence[str]) -> Callable[[str], bool]:
    """Return the test whether patterns surely exclude everything below a folder, whatever is there.

    >>> excludes_below(["tmp*"])("tmp/"), excludes_below(["*.o"])("tmp/")
    (True, False)
    """
    unwanted = [re.compile(wildcard_regex(pattern), re.DOTALL) for pattern in exclude if pattern.endswith("*")]

    def excluded(folder: str) -> bool:
        return any(pattern.fullmatch(folder) for pattern in unwanted)

    return excluded


def left_out_by(source: Source, include: Sequence[str], exclude: Sequence[str], name: str) -> str:
    """Return which filter leaves out a path below a source, for people; empty if it is taken.

    Args:
        source: with its pattern for such paths; see ``below``.

    >>> left_out_by(Source("b", many=True), [], ["*.o", "*.tmp"], "a.tmp")
    "--exclude '*.tmp' matches it"
    """
    if not selector(source)(name):
        return "the pattern of the source does not match it"
    for pattern in exclude:
        if not selector(source, exclude=[pattern])(name):
            return f"--exclude {pattern!r} matches it"
    return "" if selector(source, include)(name) else "no --include matches it"


def nothing_matches(source: Source) -> NotFound:
    """Return the error of a source that no object matches."""
    return NotFound("no object matches", source.url)
