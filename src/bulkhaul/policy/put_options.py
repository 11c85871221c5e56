"""Decides how a store stores an object, from what its caller says in options and beside them."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from bulkhaul.model.errors import UsageError
from bulkhaul.model.objects import Content
from bulkhaul.model.writing import DEFAULT_OPTIONS, ObjectOptions
from bulkhaul.policy.described import checked, metadata_of
from bulkhaul.policy.storerules import RESERVED_METADATA_BYTES, content_of
from bulkhaul.policy.tags import check_tags


def put_options(
    options: ObjectOptions | None, content_disposition: str = "", metadata: Mapping[str, str] | None = None
) -> ObjectOptions:
    """Return how an object is stored: disposition and metadata may be said beside the options, but not differently.

    >>> put_options(ObjectOptions(storage_class="STANDARD_IA"), metadata={"Owner": "Ann"}).content.metadata
    {'owner': 'Ann'}

    Raises:
        UsageError: both are said and differ; a value that no request can carry; too many tags, or too much metadata.
    """
    if options is not None and not isinstance(options, ObjectOptions):
        raise UsageError(f"options are an ObjectOptions, not {type(options).__name__}")
    given = checked(options or DEFAULT_OPTIONS)
    check_tags(given.tags)
    said = given.content
    if said.content_disposition and content_disposition not in ("", said.content_disposition):
        raise UsageError("content_disposition is another one than in options; say it once")
    if metadata and said.metadata and metadata_of(metadata.items()) != said.metadata:
        raise UsageError("metadata is another one than in options; say it once")
    kept = content_of(
        content_disposition or said.content_disposition,
        metadata or said.metadata,
        reserved_bytes=RESERVED_METADATA_BYTES,  # a bucket may add its token
    )
    content = msgspec.structs.replace(said, content_disposition=kept.content_disposition, metadata=kept.metadata)
    return msgspec.structs.replace(given, content=content)


def only_headers(options: ObjectOptions) -> bool:
    """Whether nothing is said but the headers and metadata that an object is given back with."""
    return msgspec.structs.replace(options, content=Content()) == DEFAULT_OPTIONS


__all__ = ["only_headers", "put_options"]
