"""Checks the arguments of a store's methods before any request: keys, metadata, ranges, sizes, times.

Every store applies the same rules, so that a real bucket accepts what a test in memory accepts:

    key        1 to 1024 bytes of UTF-8
    metadata   sum of bytes of all names and values ≤ 2048
    range      0 ≤ start ≤ end; start = end asks nothing
    ttl_s      1 ≤ ttl_s ≤ 604800
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from bulkhaul.model.errors import OtherError, PayloadTooLarge, RangeNotSatisfiable, Unsupported, UsageError
from bulkhaul.model.limits import DEFAULT_LIMITS, GIB, KIB, MAX_KEY_BYTES, MAX_OFFSET, MAX_PRESIGN_S, MIB, TIB, S3Limits
from bulkhaul.model.objects import TOKEN_KEY, Content, ObjectRef
from bulkhaul.model.presigning import METHODS
from bulkhaul.model.writing import ObjectOptions
from bulkhaul.policy.described import check_text, metadata_of

MAX_METADATA_BYTES = 2048
"""Source: S3 User Guide, "User-defined object metadata": the sum over each name and value, without ``x-amz-meta-``."""

RESERVED_METADATA_BYTES = len(TOKEN_KEY) + 32
"""What a store itself may add to the metadata of any object: a token of 16 bytes, in hexadecimal, and its name."""

_UNITS = ((TIB, "TiB"), (GIB, "GiB"), (MIB, "MiB"), (KIB, "KiB"))


def check_key(key: str) -> None:
    """Make sure that ``key`` can name one object: an empty one would address the bucket itself.

    Raises:
        UsageError: it is empty, too long, or no valid Unicode.
    """
    size_bytes = _utf8_bytes("key", key)
    if not size_bytes:
        raise UsageError("the key is empty; name an object")
    if size_bytes > MAX_KEY_BYTES:
        raise UsageError(f"the key has {size_bytes} bytes, S3 allows {MAX_KEY_BYTES}; shorten it", key)


def check_prefix(prefix: str) -> None:
    """Make sure that keys can begin with ``prefix``.

    Raises:
        UsageError: it is no text, or no valid Unicode.
    """
    _utf8_bytes("prefix", prefix)


def _utf8_bytes(what: str, text: str) -> int:
    """Return the length of a text in UTF-8, which is how it is sent."""
    if not isinstance(text, str):
        raise UsageError(f"a {what} is text, not {type(text).__name__}", repr(text))
    try:
        return len(text.encode())
    except UnicodeEncodeError as error:
        raise UsageError(f"the {what} is not valid Unicode", repr(text)) from error


def content_of(
    content_disposition: str = "", metadata: Mapping[str, str] | None = None, *, reserved_bytes: int = 0
) -> Content:
    """Return the headers to store an object with; names of metadata in lower case, as S3 keeps them (C5).

    Args:
        reserved_bytes: what the store itself adds to the metadata, counted against the same 2 KB.

    Raises:
        UsageError: a name or value that no header can carry unchanged, or too much metadata.
    """
    check_text("content_disposition", content_disposition)
    kept = metadata_of((metadata or {}).items())
    if TOKEN_KEY in kept:
        raise UsageError(f"the metadata name {TOKEN_KEY!r} is reserved; choose another one")
    size_bytes = sum(len(name) + len(value) for name, value in kept.items()) + reserved_bytes
    if size_bytes > MAX_METADATA_BYTES:
        raise UsageError(f"the metadata has {size_bytes} bytes, S3 allows {MAX_METADATA_BYTES}; shorten it")
    return Content(content_disposition=content_disposition, metadata=kept)


def flat(data: bytes | bytearray | memoryview) -> memoryview:
    """Return a body as a view of single bytes, without copying it.

    Raises:
        UsageError: its bytes do not lie one after another in memory, as those of a slice with a step.
    """
    view = memoryview(data)
    if not view.c_contiguous:
        raise UsageError("the bytes do not lie one after another in memory; pass a copy, made by bytes(...)")
    return view.cast("B")


def copies_nothing(
    source: ObjectRef, destination: ObjectRef, options: ObjectOptions | None, version_id: str, *, move: bool
) -> bool:
    """Whether a copy within a service would leave the object as it is, or a move would delete it.

    Args:
        options: what is changed about it, None for nothing.
        version_id: the older version that is copied, empty for the current one.
    """
    return source == destination and (move or (options is None and not version_id))


def same_object(subject: str) -> UsageError:
    """Return the error for a copy of an object onto itself that would change nothing; S3 refuses it as well (C30)."""
    return UsageError("source and destination are the same object", subject)


def require_current(source: ObjectRef, version_id: str, *, move: bool) -> None:
    """Make sure that what is moved is the current version of an object.

    Raises:
        UsageError: it is an older one.
    """
    if move and version_id:
        raise UsageError("an older version is not moved: copy it, and delete it by its id", source.url)


def require_no_version(version_id: str, subject: str) -> None:
    """Make sure that no version is named, for a store that keeps the current one alone.

    Raises:
        Unsupported: one is.
    """
    if version_id:
        raise Unsupported("this store keeps no versions; leave the version id out, or use a bucket", subject)


def check_mode(mode: str, *, has_options: bool, version_id: str, subject: str) -> None:
    """Make sure that an object can be opened so.

    Args:
        has_options: whether the caller says how the object is stored.

    Raises:
        UsageError: another mode than ``rb`` and ``wb``, or what does not go with it.
    """
    if mode not in ("rb", "wb"):
        advice = "encode text before you write it" if "w" in mode else "read text by io.TextIOWrapper around it"
        text = f"an object is opened with mode 'rb' or 'wb', not {mode!r}; {advice}"
        raise UsageError(text, subject)
    if mode == "rb" and has_options:
        raise UsageError("options are of an object that is written; this one is read", subject)
    if mode == "wb" and version_id:
        raise UsageError("a version that is there cannot be written; leave the version id out", subject)


def keys_of(keys: Iterable[str]) -> Iterable[str]:
    """Return what is to be several keys.

    Raises:
        UsageError: it is one text.
    """
    if isinstance(keys, str):
        raise UsageError("keys are given as a list, also a single one", keys)
    return keys


def check_ttl(ttl_s: int) -> None:
    """Make sure that a presigned URL may live so long (C37).

    Raises:
        OtherError: it is no whole number of seconds from 1 to 604800.
    """
    if type(ttl_s) is not int or not 1 <= ttl_s <= MAX_PRESIGN_S:
        raise OtherError(f"a presigned URL cannot live {ttl_s!r} s; give whole seconds from 1 to {MAX_PRESIGN_S}")


def check_presigned(method: str, content_type: str, version_id: str, subject: str = "") -> None:
    """Make sure that a presigned URL can be made for this.

    Raises:
        UsageError: no such method; a version that is to be stored, or a content type that is to be read.
    """
    if method not in METHODS:
        raise UsageError(f"a presigned URL is for {', '.join(METHODS)}, not {method!r}", subject)
    if content_type and method != "PUT":
        raise UsageError("a content type goes with PUT alone", subject)
    if version_id and method == "PUT":
        raise UsageError("a PUT makes a new version, so none can be named", subject)
    check_text("content_type", content_type)


def asks_for_bytes(start: int, end: int, subject: str = "") -> bool:
    """Tell whether ``[start, end)`` needs a request at all; an empty range never does (C21).

    Raises:
        UsageError: an end that is no whole number.
        RangeNotSatisfiable: it ends before it starts, starts before the object, or ends after any object.
    """
    if type(start) is not int or type(end) is not int:
        raise UsageError(f"a range is two whole numbers, not {start!r} and {end!r}", subject)
    if start < 0 or start > end or end > MAX_OFFSET:
        raise outside(start, end, subject)
    return start < end


def outside(start: int, end: int, subject: str = "") -> RangeNotSatisfiable:
    """Return the error for a range that the object cannot fill to its last byte (C21, C22, C23)."""
    return RangeNotSatisfiable(f"the object has no bytes [{start}, {end}); ask head() for its size", subject)


def check_object_size(size_bytes: int, subject: str = "", *, limits: S3Limits = DEFAULT_LIMITS) -> None:
    """Make sure that an object may be so large (C42, C54).

    Raises:
        PayloadTooLarge: it may not; pass other limits if the endpoint really stores such objects.
    """
    if size_bytes > limits.max_object_bytes:
        allowed = exact_size(limits.max_object_bytes)
        raise PayloadTooLarge(
            f"the object has {size_bytes} bytes, more than the {allowed} that an object may have;"
            " raise the object limit if this endpoint stores larger ones",
            subject,
        )


def exact_size(size_bytes: int) -> str:
    """Return a size in the largest unit that states it exactly (C54).

    >>> exact_size(5 * 1024**4), exact_size(1536), exact_size(1537), exact_size(0)
    ('5 TiB', '1536 B', '1537 B', '0 B')
    """
    for unit_bytes, unit in _UNITS:
        if size_bytes and size_bytes % unit_bytes == 0:
            return f"{size_bytes // unit_bytes} {unit}"
    return f"{size_bytes} B"
