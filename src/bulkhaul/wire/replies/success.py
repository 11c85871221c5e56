"""Judges the document of a reply that reports success: read, cut off on the way, or of something that is no S3.

    XML that does not end, or is broken   ServerError       may be whole the next time
    HTML, or no XML at all                UnexpectedReply   so the endpoint works: asked once more, and then told

A reply without a document shows by its headers that S3 wrote it, if it does: those of AWS are in nearly every one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from bulkhaul.model.errors import ErrorInfo, TransferError, UnexpectedReply, error_of
from bulkhaul.wire.reply import not_of_s3

_XML = re.compile(rb"(?:\xef\xbb\xbf)?\s*(?:<|\Z)")
_HTML = re.compile(rb"<(?:!doctype\s+)?html[\s>]", re.IGNORECASE)
_LOOKED_AT_BYTES = 512
"""HTML says within these what it is, behind a declaration or a comment."""

_OF_S3 = ("x-amz-", "x-goog-", "x-guploader-")
"""How headers begin that no other service sends. Source: S3 API Reference, "Common Response Headers"; Google Cloud
Storage, "HTTP headers and common query string parameters for XML"."""

CUT_OFF = "the reply of the endpoint is cut off, or is no XML; try again later, or check --endpoint-url"


def is_foreign(document: bytes) -> bool:
    """Return whether a document is none of S3, and not the beginning of one.

    >>> is_foreign(b"<html>Welcome!</html>"), is_foreign(b"Welcome!"), is_foreign(b"<ListBucketResult><Na")
    (True, True, False)
    """
    return not _XML.match(document) or b"\0" in document or bool(_HTML.search(document[:_LOOKED_AT_BYTES]))


def unreadable(document: bytes, subject: str, status: int) -> TransferError:
    """Return the error for a document that is not well-formed."""
    if is_foreign(document):
        return foreign(subject)
    return error_of(ErrorInfo("ServerError", CUT_OFF, subject, f"HTTP {status}", status))


def foreign(subject: str) -> UnexpectedReply:
    """Return the error for a document that is none of S3."""
    return UnexpectedReply(not_of_s3("what came is no document of S3"), subject)


def is_signed_by_s3(headers: Mapping[str, str]) -> bool:
    """Return whether a reply has headers of S3; names in lower case.

    >>> is_signed_by_s3({"x-amz-request-id": "1"}), is_signed_by_s3({"server": "nginx"})
    (True, False)
    """
    return any(name.startswith(_OF_S3) for name in headers)


@contextmanager
def answered_by_s3(subject: str) -> Iterator[None]:
    """In the block ask what only S3 answers, because a success before showed nothing of it; a refusal by S3 will do.

    Raises:
        UnexpectedReply: it is not S3 that answers.
    """
    try:
        yield
    except UnexpectedReply as error:
        text = "nothing that came is of S3, and whether anything was done is unknown"
        raise UnexpectedReply(not_of_s3(text), subject) from error
    except TransferError as error:
        if not error.info.service_code:
            raise


__all__ = ["CUT_OFF", "answered_by_s3", "foreign", "is_foreign", "is_signed_by_s3", "unreadable"]
