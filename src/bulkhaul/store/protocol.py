"""Defines what every store promises its callers: the store contract as a Protocol.

    list ─┐             ┌─ put_bytes, put_path, put_if_absent
    head ─┤   one       ├─ copy
    get  ─┤   bucket    ├─ delete
    probe ┘             └─ presigned_get_url

``Cn`` are the rows of the store contract (docs/store.md). Ranges are half-open: ``[start, end)``. A store may be used
by many threads at once.
"""

from __future__ import annotations

import builtins
import io
import os
from collections.abc import Iterable, Iterator, Mapping
from types import TracebackType
from typing import Literal, Protocol, Self, runtime_checkable

from bulkhaul.model.limits import DEFAULT_PRESIGN_S
from bulkhaul.model.objects import FolderListing, ObjectInfo, VersionInfo
from bulkhaul.model.results import ProgressCallback, TransferResult
from bulkhaul.model.writing import ObjectOptions

CLOSED = "the store is closed; make a new one"
"""What a closed store says to every call."""


@runtime_checkable
class ObjectStore(Protocol):
    """The objects of one bucket (C1): keys are used as they are, no prefix is put before them.

    Every method that sends a request may raise, besides what it names itself:
        NotFound: the bucket does not exist (C50).
        AccessDenied: the credentials do not allow it (C51).
        NetworkError: no complete reply came; the cause is kept (C56).
        OtherError: any failure without a type of its own (C57).

    An error about an object names it as ``s3://bucket/key`` in ``subject``, or by its path. A key that is
    empty, longer than 1024 bytes of UTF-8 or no valid Unicode is a UsageError, before any request.

    A ``version_id`` names one version of the object, empty for the current one; a store that keeps no versions is
    Unsupported where one is named.
    """

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def close(self) -> None:
        """Let go of everything; every later call is a UsageError. Safe to call twice."""
        ...

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """Return every object whose key begins with ``prefix``, in no certain order (C7).

        The prefix is compared character by character: ``a`` finds ``a``, ``a/1`` and ``aaa``; an empty one finds all.
        All pages are followed (C8). Listings tell key, size and last_modified; the ETag is always None (C9). Nothing
        is asked, and no error raised, before the first object is taken.

        Raises:
            NotFound: the bucket does not exist; names the prefix (C9).
        """
        ...

    def list_with_delimiter(self, prefix: str = "") -> FolderListing:
        """Return what begins with ``prefix`` up to the next slash: objects, and the common prefixes of what is below.

        To look into a folder, end its name with a slash.

        Raises:
            NotFound: the bucket does not exist; names the prefix.
        """
        ...

    def head(self, key: str, *, version_id: str = "") -> ObjectInfo:
        """Return what is known of one object: size, last_modified, ETag, metadata, content headers (C3, C10).

        Raises:
            NotFound: there is no such object.
        """
        ...

    def get_to_file(
        self, key: str, path: str | os.PathLike[str], *, progress: ProgressCallback | None = None, version_id: str = ""
    ) -> TransferResult:
        """Download one object to ``path``, which is absent, old, or wholly the new object at any time (C12).

        The file is filled beside its destination and then renamed; it gets the mode of a new file. An empty object
        needs no GET (C13). An object that is overwritten meanwhile is fetched anew, once (C17, C18).

        Raises:
            NotFound: there is no such object.
            PreconditionFailed: the object was overwritten a second time (C18).
            LocalError: the parent folder does not exist or refuses; an OtherError (C11).
            IntegrityError: the bytes are not those of the object (C16).
        """
        ...

    def get_bytes(self, key: str, *, version_id: str = "") -> bytes:
        """Return a whole object by one GET (C20).

        Raises:
            NotFound: there is no such object.
        """
        ...

    def exists(self, key: str, *, version_id: str = "") -> bool:
        """Return whether there is an object of exactly this key; where the bucket is missing there is none."""
        ...

    def get_bytes_suffix(self, key: str, length: int, *, version_id: str = "") -> bytes:
        """Return the last ``length`` bytes, all of a shorter object; none without a request for a length of 0.

        Raises:
            NotFound: there is no such object.
            PreconditionFailed: it was overwritten meanwhile.
        """
        ...

    def get_ranges(self, key: str, spans: Iterable[tuple[int, int]], *, version_id: str = "") -> builtins.list[bytes]:
        """Return the bytes of each range ``[start, end)``, in the order of the ranges, all of one version.

        Raises:
            RangeNotSatisfiable: the object cannot fill one of them, or one is none.
            NotFound: there is no such object.
            PreconditionFailed: it was overwritten meanwhile.
        """
        ...

    def get_bytes_range(self, key: str, start: int, end: int | None = None, *, version_id: str = "") -> bytes:
        """Return exactly the bytes ``[start, end)``; an empty range is empty without a request (C21).

        Without an end it is all from ``start`` on; at the end of the object, that is nothing.

        Raises:
            RangeNotSatisfiable: ``start`` is negative or after ``end`` (no request, C21), or the object is too
                short to fill the range (C22, C23).
            NotFound: there is no such object.
        """
        ...

    def put_bytes(
        self,
        key: str,
        body: bytes,
        *,
        options: ObjectOptions | None = None,
        content_disposition: str = "",
        metadata: Mapping[str, str] | None = None,
        progress: ProgressCallback | None = None,
    ) -> TransferResult:
        """Store ``body`` in place of what the key had; in parts from the store's threshold on (C24).

        Metadata and disposition are given back by ``head``, names in lower case, however large the body is (C5, C26).
        In the result, ``source`` is ``-``.

        Args:
            options: content headers, storage class, tags, encryption and what else S3 takes; what is said of
                disposition and metadata beside them must not differ.

        Raises:
            Unsupported: the store cannot do what the options ask for.
            UsageError: metadata or a disposition that no header can carry, or more than 2 KB of it (C5); no request.
            PayloadTooLarge: the object would be larger than S3 allows (C42, C54).
        """
        ...

    def put_path(
        self,
        key: str,
        path: str | os.PathLike[str],
        *,
        options: ObjectOptions | None = None,
        content_disposition: str = "",
        metadata: Mapping[str, str] | None = None,
        progress: ProgressCallback | None = None,
    ) -> TransferResult:
        """Store a regular file as ``put_bytes`` does; it is opened once and never found again by its name (C25).

        Raises:
            LocalError: the file cannot be read, or it changed meanwhile: then nothing was stored (C27); an OtherError.
            UsageError: see ``put_bytes``.
            PayloadTooLarge: see ``put_bytes``.
        """
        ...

    def put_if_absent(self, key: str, body: bytes, *, options: ObjectOptions | None = None) -> bool:
        """Create an object unless it exists; of many at once exactly one gets True (C28, C29).

        False is an answer, no failure: another one was there, or was just being written. The body may be empty.
        """
        ...

    def copy(self, source_key: str, destination_key: str) -> TransferResult:
        """Copy an object inside the bucket, on the server; overwrites the destination (C30, C31).

        Metadata and content headers come along (better than C33). The result's key is the destination's.

        Raises:
            NotFound: there is no such object; names the source (C30, C35).
            PreconditionFailed: the source was overwritten meanwhile (C32).
        """
        ...

    def copy_from(self, source: ObjectStore | str, source_key: str, destination_key: str) -> TransferResult:
        """Copy an object of another store into this one; overwrites the destination.

        Between stores of S3 of one endpoint and account the service copies, as ``copy`` does. Else the object passes
        through memory, block by block, with its metadata and content headers, and without its tags.

        Args:
            source: any store of this library, or ``s3://bucket`` for a bucket that this store's endpoint and account
                reach.

        Raises:
            NotFound: there is no such object; names the source.
            PreconditionFailed: the source was overwritten meanwhile; nothing was stored.
            UsageError: the URL names no bucket, or this store has no way to it.
        """
        ...

    def open(
        self,
        key: str,
        mode: Literal["rb", "wb"] = "rb",
        *,
        options: ObjectOptions | None = None,
        version_id: str = "",
    ) -> io.BufferedIOBase:
        """Open one object as a file, for reading (``rb``) or writing (``wb``).

        A reader can be sought, and reads one version. A writer stores the object when it is closed, and nothing if
        its ``with`` block raises, a write has failed, after ``abort()``, or if it is forgotten; its ``result`` is that
        of a put. For text, write it encoded, or detach an ``io.TextIOWrapper`` before that block ends: closing one
        stores, whatever was raised.

        Args:
            options: how an object is stored that is written.
            version_id: which version is read.

        Raises:
            NotFound: there is no such object to read.
            UsageError: another mode, or what does not go with it.
        """
        ...

    def delete(self, key: str, *, version_id: str = "") -> None:
        """Remove one object (C36), or one version of it for good; that the version is not there is no error.

        Raises:
            NotFound: there is no such object. One that vanishes between this question and the removal is no error.
        """
        ...

    def delete_many(self, keys: Iterable[str]) -> Iterator[TransferResult]:
        """Remove objects, 1,000 by a request, and yield one outcome a key, in the order of the keys.

        A key that has no object is removed: unlike ``delete``, this can be repeated, as it asks for no key whether it
        is there. Nothing is removed before the first outcome is taken, nor after the last one that is taken, except
        what belongs to the same request. What one key is refused for is in its outcome.

        Raises:
            UsageError: a key is none; what came before its request is removed.
            TransferError: a request was refused as a whole.
        """
        ...

    def get_tags(self, key: str, *, version_id: str = "") -> dict[str, str]:
        """Return the tags of one object.

        Raises:
            NotFound: there is no such object.
            Unsupported: the store keeps none.
        """
        ...

    def set_tags(self, key: str, tags: Mapping[str, str], *, version_id: str = "") -> None:
        """Give one object these tags instead of all that it has.

        Raises:
            UsageError: S3 has no such tags: more than 10, or too long; no request.
            NotFound: there is no such object.
            Unsupported: the store keeps none.
        """
        ...

    def delete_tags(self, key: str, *, version_id: str = "") -> None:
        """Take all tags from one object; that it has none is no error.

        Raises:
            NotFound: there is no such object.
            Unsupported: the store keeps none.
        """
        ...

    def list_versions(self, prefix: str = "") -> Iterator[VersionInfo]:
        """Return every version and delete marker of the objects whose keys begin with ``prefix``, newest first a key.

        Raises:
            NotFound: the bucket does not exist.
            Unsupported: the store keeps none.
        """
        ...

    def presigned_get_url(self, key: str, ttl_s: int = DEFAULT_PRESIGN_S, *, version_id: str = "") -> str:
        """Return a URL that anyone can fetch the object with, for ``ttl_s`` seconds, an hour by default (C37).

        No request is made, and nothing checked.

        Raises:
            OtherError: the time is not 1 to 604800 whole seconds, or there are no credentials.
        """
        ...

    def presigned_put_url(self, key: str, ttl_s: int = DEFAULT_PRESIGN_S, *, content_type: str = "") -> str:
        """Return a URL that anyone can store the object with by one PUT, for ``ttl_s`` seconds: a secret; no request.

        Args:
            content_type: that the PUT must come with; empty for any.

        Raises:
            OtherError: the time is not 1 to 604800 whole seconds, or there are no credentials.
        """
        ...

    def probe(self, prefix: str = "") -> None:
        """Ask once for at most one key below ``prefix``, to learn whether the bucket can be listed (C38)."""
        ...
