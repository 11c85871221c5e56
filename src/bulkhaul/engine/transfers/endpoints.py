"""Resolves URLs and paths that a caller names to objects and files, also where one ends in a slash or is a folder."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

import msgspec

from bulkhaul.disk.folder import FolderHandle, open_folder
from bulkhaul.disk.landing import NO_FILE, require_replaceable
from bulkhaul.disk.mounts import is_mounted
from bulkhaul.disk.oserrors import MOUNTED
from bulkhaul.disk.streams import stands_for_stream
from bulkhaul.model.errors import LocalError, UsageError
from bulkhaul.model.objects import ObjectRef
from bulkhaul.policy.naming import base_name
from bulkhaul.policy.selection import LISTED, Source, folder_prefix, parse_destination, parse_listing, parse_source


class Destination(msgspec.Struct, frozen=True):
    """The file that one object is restored to: a name in an open folder. ``path`` is for people.

    Attributes:
        depth: how many folders below the one that the caller named.
    """

    folder: FolderHandle
    name: str
    path: str
    depth: int = 0


def object_ref(url: str | ObjectRef) -> ObjectRef:
    """Return the object that a URL names; an ``ObjectRef`` is returned as it is.

    Raises:
        InvalidUrl: it is no ``s3://bucket/key``.
        UsageError: bucket or key is empty, or not valid UTF-8; or it is neither a URL nor an ``ObjectRef``.
    """
    if isinstance(url, ObjectRef):
        return _named(url)
    if not isinstance(url, str):
        kind = type(url).__name__  # not what it is: that may be the bytes of an object
        raise UsageError(f"an object is named by its URL, s3://bucket/key, or by an ObjectRef, not by {kind}")
    source = parse_source(url, literal=True)
    return ObjectRef(source.bucket, source.key)


def destination_ref(url: str | ObjectRef, name: str) -> ObjectRef:
    """Return the object that a source called ``name`` is stored as; see ``key_for`` for a URL that ends in a slash.

    Raises:
        InvalidUrl: it names no bucket.
        LocalError: the name cannot be a key.
        UsageError: the key would be empty, or is not valid UTF-8.
    """
    if isinstance(url, ObjectRef):
        return _named(url)
    bucket, key = parse_destination(url)
    if not (key := key_for(key, name)):
        raise UsageError("the destination names no key", url)
    return ObjectRef(bucket, key)


def key_for(url_key: str, name: str) -> str:
    """Return the key of a destination; one that is empty or ends in a slash takes the last segment of ``name``.

    Raises:
        LocalError: that segment is not valid UTF-8, so it is a file's name that cannot be a key.
    """
    if url_key and not url_key.endswith("/"):
        return url_key
    last = os.path.basename(name.rstrip("/"))
    try:
        last.encode()
    except UnicodeEncodeError as error:
        text = "its name is not valid UTF-8, so it cannot be a key; name the key in the destination"
        raise LocalError(text, name) from error
    return url_key + last


def _named(ref: ObjectRef) -> ObjectRef:
    """Return an ``ObjectRef`` of the caller's, checked: without a key a request would be about the bucket."""
    if not ref.bucket or not ref.key:
        raise UsageError("bucket and key must not be empty; name an object", ref.url)
    return _sound(ref)


def _sound(ref: ObjectRef) -> ObjectRef:
    """Return an ``ObjectRef`` of the caller's, checked; a URL is checked where it is parsed."""
    try:
        ref.url.encode()
    except UnicodeEncodeError as error:
        raise UsageError("a key or bucket must be valid UTF-8", ref.url, str(error)) from error
    return ref


def destination_prefix(url: str) -> tuple[str, str]:
    """Return the bucket and the prefix that many objects are stored below; the prefix is empty or ends in a slash.

    Raises:
        InvalidUrl: it names no bucket.
    """
    bucket, key = parse_destination(url)
    return bucket, folder_prefix(key)


def listed(url: str | ObjectRef, *, literal: bool = False) -> Source:
    """Return what a URL lists: the keys that begin with its key, or that match it if it is a pattern.

    Args:
        literal: ``*`` and ``?`` stand for themselves, as they always do in an ``ObjectRef``.

    Raises:
        InvalidUrl: it names no bucket.
        UsageError: the name is not valid UTF-8.
    """
    if isinstance(url, ObjectRef):
        ref = _sound(url)
        return Source(ref.bucket, prefix=ref.key, many=True)
    if literal:
        bucket, prefix = parse_destination(url, LISTED)
        return Source(bucket, prefix=prefix, many=True)
    return parse_listing(url)


def many_source(source: str, *, recursive: bool) -> Source:
    """Return the prefix or the pattern that a URL names as the source of many objects.

    Raises:
        UsageError: it names one object.
    """
    parsed = parse_source(source, recursive=recursive)
    if not parsed.many:
        raise UsageError("this names one object; use download or copy, or recursive=True for a prefix", source)
    return parsed


def files_below(folder: str) -> Source:
    """Return the files below a local folder as a source, for filters."""
    return Source("", many=True, root=os.path.abspath(folder))


def length_of(path: str) -> int:
    """Return the length of a file, 0 if it cannot be looked at."""
    try:
        return os.stat(path).st_size
    except OSError:
        return 0  # opening it will tell why


def file_path(ref: ObjectRef, path: str) -> str:
    """Return the path of the file that an object is restored to; in a folder it takes the key's last segment.

    Raises:
        LocalError: the key gives no file name, or the path leads to something that is no file and must stay.
        UsageError: the path names no file.
    """
    if path.endswith("/") or os.path.isdir(path):
        name = base_name(ref.key)
        if not name.components:
            raise LocalError(f"the key gives no file name: {name.refused}; name the destination file", ref.url)
        return os.path.join(path, name.components[0])
    if os.path.basename(path) in ("", ".", ".."):
        raise UsageError("the destination names no file", path)
    if stands_for_stream(path):
        raise LocalError(NO_FILE, path)
    if require_replaceable(path, path) is not None and is_mounted(path):
        raise LocalError(MOUNTED, path)
    return path


@contextlib.contextmanager
def opened(path: str) -> Iterator[Destination]:
    """Open the folder of a path, and yield the path as a destination.

    Raises:
        LocalError: there is no such folder.
    """
    folder, name = os.path.split(path)
    handle = open_folder(folder)
    try:
        yield Destination(handle, name, path)
    finally:
        handle.release()
