"""Reads how a profile wants transfers to be made: ``max_attempts``, and the keys below ``s3 =`` that the AWS CLI obeys.

max_concurrent_requests  concurrency                  multipart_threshold  multipart_threshold_bytes
multipart_chunksize      part_size_bytes              max_bandwidth        bandwidth_bytes_per_s

Sizes are of 1,024: 8MB is 8 MiB. Source: AWS CLI, "AWS CLI S3 Configuration". It ignores ``max_queue_size`` of others,
and so do we: our queues follow the memory.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from bulkhaul.model.errors import UsageError
from bulkhaul.model.limits import DEFAULT_LIMITS, KIB
from bulkhaul.model.settings import MAX_CONCURRENCY, MAX_RETRIES, MIN_BANDWIDTH_BYTES_PER_S
from bulkhaul.policy.pacing import retries_in

_UNITS = {"": 1, **{f"{letter}{i}b": KIB**power for power, letter in enumerate("kmgt", 1) for i in ("", "i")}}

_SIZE = re.compile(r"([0-9]+) *([a-z]*)", re.IGNORECASE)

KEYS = {
    "max_concurrent_requests": "concurrency",
    "multipart_chunksize": "part_size_bytes",
    "multipart_threshold": "multipart_threshold_bytes",
    "max_bandwidth": "bandwidth_bytes_per_s",
}
"""The fields of ``Settings`` by the keys that say them."""

_PART_BYTES = DEFAULT_LIMITS.max_part_bytes
_BOUNDS = {
    "concurrency": (1, MAX_CONCURRENCY),
    "part_size_bytes": (DEFAULT_LIMITS.min_part_bytes, _PART_BYTES),
    "multipart_threshold_bytes": (1, _PART_BYTES),
    "bandwidth_bytes_per_s": (MIN_BANDWIDTH_BYTES_PER_S, 1 << 62),
}
"""The least and the most of each: what is beyond them is made as much as can be, as the AWS CLI does with parts."""


def transfer_settings(section: Mapping[str, str], place: str) -> dict[str, int]:
    """Return the fields of ``Settings`` that a profile's ``s3`` section says.

    Args:
        place: of the section, for messages.

    Raises:
        UsageError: a value is none; the message names place and key.

    >>> transfer_settings({"multipart_chunksize": "16MB", "max_bandwidth": "50MB/s"}, "profile p")
    {'part_size_bytes': 16777216, 'bandwidth_bytes_per_s': 52428800}
    """
    found: dict[str, int] = {}
    for key, field in KEYS.items():
        if (value := section.get(key)) is None:
            continue
        number = _number(key, value)
        if number is None:
            kinds = {"max_concurrent_requests": "a number", "max_bandwidth": "a rate such as 50MB/s"}
            text = f"{key} = {value!r} is not {kinds.get(key, 'a size such as 16MB')}, or not above 0"
            raise UsageError(f"{text}; mend it in {place}")
        if field == "bandwidth_bytes_per_s" and number < MIN_BANDWIDTH_BYTES_PER_S:
            allowed = f"{MIN_BANDWIDTH_BYTES_PER_S // KIB}KB/s"
            raise UsageError(f"{key} = {value!r} is less than {allowed}, the least that is kept; mend it in {place}")
        least, most = _BOUNDS[field]
        found[field] = min(max(number, least), most)
    return found


def retry_settings(profile: Mapping[str, object], place: str) -> dict[str, int]:
    """Return the field of ``Settings`` that a profile's ``max_attempts`` says: all tries but the first.

    Raises:
        UsageError: it is no number from 1.

    Source: AWS SDKs reference guide, "Retry behavior".

    >>> retry_settings({"max_attempts": "3"}, "profile p")
    {'retries': 2}
    """
    if (attempts := profile.get("max_attempts")) is None:
        return {}
    retries = retries_in(str(attempts))
    if retries is None:
        raise UsageError(f"max_attempts = {attempts!r} is no number from 1; mend it in {place}")
    return {"retries": min(retries, MAX_RETRIES)}


def _number(key: str, value: str) -> int | None:
    if key == "max_bandwidth" and value.endswith("B/s"):
        value = value.removesuffix("/s")
    elif key == "max_bandwidth" and not value.isdecimal():
        return None
    match = _SIZE.fullmatch(value)
    unit = _UNITS.get(match[2].lower()) if match is not None else None
    if match is None or unit is None or (key == "max_concurrent_requests" and match[2]):
        return None
    return int(match[1]) * unit or None
