"""Has the limits of S3, and the units of bytes; a caller can replace those of objects and parts."""

from __future__ import annotations

import msgspec

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB
TIB = 1024 * GIB

MAX_KEY_BYTES = 1024
"""Longest key, in UTF-8. Source: S3 User Guide, "Naming Amazon S3 objects"."""

MAX_DELETE_BATCH = 1000
"""Keys of one DeleteObjects. Source: S3 API, DeleteObjects."""

MAX_PRESIGN_S = 7 * 24 * 3600
"""How long a presigned URL may live. Source: S3 API, "Authenticating requests: query parameters", X-Amz-Expires."""

DEFAULT_PRESIGN_S = 3600
"""How long one lives if nothing is said, as with aws-cli. Source: its reference, s3 presign, ``--expires-in``."""

MAX_OFFSET = 2**63 - 1
"""Largest size of an object, or offset in one: both are signed 64-bit numbers everywhere.
Source: XML Schema, xs:long, which the S3 API has sizes in."""

MAX_SKEW_S = 15 * 60
"""A signature whose time differs by so much is refused. Source: S3 API, "Error responses", RequestTimeTooSkewed."""


class S3Limits(msgspec.Struct, frozen=True):
    """The limits of one S3 endpoint, in parts and bytes.

    Source: S3 User Guide, "Amazon S3 multipart upload limits". AWS has raised the object limit to 48.8 TiB since;
    the 5 TiB that every compatible store keeps is the default here.

    Attributes:
        max_parts: most parts of one object.
        max_object_bytes: largest object.
        min_part_bytes: smallest part of an upload, the last one excepted.
        max_part_bytes: largest part.
    """

    max_parts: int = 10_000
    max_object_bytes: int = 5 * TIB
    min_part_bytes: int = 5 * MIB
    max_part_bytes: int = 5 * GIB


DEFAULT_LIMITS = S3Limits()
