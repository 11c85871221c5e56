"""Guesses the content type of an object that is stored from the name of its file or its key."""

from __future__ import annotations

import os

import msgspec

from bulkhaul.model.objects import Content
from bulkhaul.model.writing import ObjectOptions

_COMPRESSED = {"gzip": "application/gzip", "bzip2": "application/x-bzip2", "xz": "application/x-xz"}
"""Content types of files that are archives as they are: Content-Encoding would have clients unpack them."""


def with_content_type(options: ObjectOptions, *names: str) -> ObjectOptions:
    """Return options with a content type, guessed from the first name that tells one, if they have none."""
    if options.content.content_type:
        return options
    import mimetypes

    for name in names:
        kind, encoding = mimetypes.guess_type(os.path.basename(name))
        kind = _COMPRESSED.get(encoding, "application/octet-stream") if encoding else kind
        if kind:
            content: Content = msgspec.structs.replace(options.content, content_type=kind)
            return msgspec.structs.replace(options, content=content)
    return options
