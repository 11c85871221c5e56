"""Decides which endpoint the environment names, and by the name of an endpoint what it is asked for.

amazonaws.com, api.aws …      CRC64NVME, required: a refusal is an error
googleapis.com, backblazeb2   none: documented not to take ``x-amz-checksum-*``
every other host              CRC32, not required: uploads go without once the endpoint refuses it
"""

from __future__ import annotations

import functools
from collections.abc import Mapping

import msgspec

from bulkhaul.model.errors import ErrorInfo

AWS_DOMAINS = ("amazonaws.com", "amazonaws.com.cn", "amazonaws.eu", "api.aws")
"""Domains that only AWS serves. Source: the partitions in botocore's ``data/endpoints.json``."""

_UNCHECKED = {
    "googleapis.com": "Google Cloud Storage",
    "backblazeb2.com": "Backblaze B2",
}
"""Services whose S3 interface takes no checksum headers, by domain; ``profile_for`` cites why."""


_REFUSALS = frozenset({"", "InvalidArgument", "InvalidRequest", "NotImplemented", "ExcessHeaderValues"})
"""Codes with which endpoints refuse a header that they do not know. Any other one is about something else, and the
request would only be refused once more. Source: xen-orchestra issue 8358 (Backblaze B2, ``x-amz-checksum-mode``:
InvalidArgument, "Unsupported header"); a HEAD tells no code."""


class EndpointProfile(msgspec.Struct, frozen=True):
    """What uploads to an endpoint send unless they are told otherwise.

    Attributes:
        name: the service, or ``S3-compatible`` for one that is not known.
        checksum: algorithm of the checksum that is sent with every upload, None for none.
        required: an endpoint that refuses the checksum fails the upload; else it is sent again without.
        even_parts: all parts of an upload but the last must have the same length.
    """

    name: str
    checksum: str | None
    required: bool
    even_parts: bool = False


AWS = EndpointProfile("AWS", "CRC64NVME", True)
COMMON_CHECKSUM = "CRC32"
"""The checksum that other services know best, and check most cheaply: docs/decisions/0008-upload-bodies.md.
Source: the SDK sends it unasked (botocore.httpchecksum, DEFAULT_CHECKSUM_ALGORITHM)."""

COMPATIBLE = EndpointProfile("S3-compatible", COMMON_CHECKSUM, False)

R2_DOMAIN = "r2.cloudflarestorage.com"
R2 = EndpointProfile("Cloudflare R2", COMMON_CHECKSUM, False, even_parts=True)
"""Source: Cloudflare R2 documentation, "Multipart objects": all parts except the last one have the same size."""


DEFAULT_REGION = "us-east-1"
"""Region that requests to a service beyond AWS are signed for where none was chosen (C66)."""

S5CMD_ENDPOINT = "S3_ENDPOINT_URL"
"""The variable in which s5cmd looks for the endpoint; the SDK does not know it."""

_SDK_ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")


def environment_endpoint(environment: Mapping[str, str]) -> tuple[str, str]:
    """Return the endpoint that the environment names, and the variable; both empty where it names none.

    >>> environment_endpoint({"AWS_ENDPOINT_URL": "http://a", "S3_ENDPOINT_URL": "http://b"})
    ('http://a', 'AWS_ENDPOINT_URL')

    Source: AWS SDKs and Tools Reference Guide, "Service-specific endpoints": the order of the SDK's two, and
    ``AWS_IGNORE_CONFIGURED_ENDPOINT_URLS``, which the SDK compares with ``true`` alone.
    """
    ignored = environment.get("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "").strip().lower() == "true"
    for name in (*(() if ignored else _SDK_ENDPOINTS), S5CMD_ENDPOINT):
        if url := environment.get(name, "").strip():
            return url, name
    return "", ""


def is_within(host: str, domain: str) -> bool:
    """Return whether ``host`` is ``domain`` or lies below it, whole labels compared, case ignored.

    >>> is_within("b.s3.amazonaws.com", "amazonaws.com"), is_within("notamazonaws.com", "amazonaws.com")
    (True, False)
    """
    host = host.lower()
    return host == domain or host.endswith(f".{domain}")


def aws_domain(host: str) -> str | None:
    """Return the domain of AWS that ``host`` lies in, None for any other host.

    >>> aws_domain("s3.cn-north-1.amazonaws.com.cn"), aws_domain("amazonaws.com.evil.example")
    ('amazonaws.com.cn', None)
    """
    return next((domain for domain in AWS_DOMAINS if is_within(host, domain)), None)


@functools.lru_cache(maxsize=64)
def profile_for(endpoint_host: str) -> EndpointProfile:
    """Return which checksum uploads to ``endpoint_host`` send by default.

    Args:
        endpoint_host: without a port; empty where no endpoint is set, which means AWS.

    >>> profile_for("s3.us-west-004.backblazeb2.com")
    EndpointProfile(name='Backblaze B2', checksum=None, required=False, even_parts=False)
    >>> profile_for("minio.example.com").required
    False

    Source: AWS takes CRC64NVME everywhere: S3 User Guide, "Checking object integrity".
    Google Cloud Storage: NVIDIA multi-storage-client, "Checksum Support Reference" (no S3-style checksum headers);
    milvus-io/milvus-storage pull request 480 (PutObject with them: ExcessHeaderValues).
    Backblaze B2: its "S3-Compatible API" page, "Unsupported Features"; boto/s3transfer issue 327
    (``x-amz-checksum-crc64nvme``: InvalidArgument, "Unsupported header").
    """
    host = endpoint_host.rstrip(".")
    if not host or aws_domain(host):
        return AWS
    if is_within(host, R2_DOMAIN):
        return R2
    for domain, name in _UNCHECKED.items():
        if is_within(host, domain):
            return EndpointProfile(name, None, False)
    return COMPATIBLE


def may_go_without(endpoint_host: str, error: ErrorInfo) -> bool:
    """Return whether a request may have been refused for a header that it had and did not need.

    Args:
        endpoint_host: as for ``profile_for``; what a profile requires is never left out.
    """
    refused = error.status in (400, 501) and error.code in ("OtherError", "Unsupported")
    return refused and error.service_code in _REFUSALS and not profile_for(endpoint_host).required
