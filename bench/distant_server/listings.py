"""ListObjects and ListObjectsV2 of a bucket as XML: prefix, delimiter, start-after, max-keys, tokens."""

from __future__ import annotations

import time
from collections.abc import Mapping
from urllib.parse import quote
from xml.sax.saxutils import escape

from .catalogue import Bucket, Stored

MAX_KEYS = 1000
NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
AFTER_ALL = b"\xff"  # no UTF-8 text begins with it


def list_objects(name: str, bucket: Bucket, query: Mapping[str, str]) -> bytes:
    """Return one page.

    Args:
        name: of the bucket.
        query: of the request; the second version if it says ``list-type=2``.
    """
    second = query.get("list-type") == "2"
    prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
    after = query.get("continuation-token") or query.get("start-after", "") if second else query.get("marker", "")
    most = min(MAX_KEYS, int(query.get("max-keys") or MAX_KEYS))
    encoded = query.get("encoding-type") == "url"
    keys, folders, last, truncated = _page(bucket, prefix, delimiter, after, most)

    def text(value: str) -> str:
        return quote(value, safe="/") if encoded else escape(value)

    rows = [_row(text(key), bucket.objects[key], owner=not second) for key in keys]
    rows += [f"<CommonPrefixes><Prefix>{text(folder)}</Prefix></CommonPrefixes>" for folder in folders]
    head = [f"<Name>{name}</Name><Prefix>{text(prefix)}</Prefix><MaxKeys>{most}</MaxKeys>"]
    if delimiter:
        head.append(f"<Delimiter>{text(delimiter)}</Delimiter>")
    if encoded:
        head.append("<EncodingType>url</EncodingType>")
    head.append(f"<IsTruncated>{'true' if truncated else 'false'}</IsTruncated>")
    if second:
        head.append(f"<KeyCount>{len(keys) + len(folders)}</KeyCount>")
        for element, parameter in (("ContinuationToken", "continuation-token"), ("StartAfter", "start-after")):
            if parameter in query:
                plain = escape(query[parameter]) if parameter == "continuation-token" else text(query[parameter])
                head.append(f"<{element}>{plain}</{element}>")
        if truncated:
            head.append(f"<NextContinuationToken>{escape(last)}</NextContinuationToken>")
    else:
        head.append(f"<Marker>{text(after)}</Marker>")
        if truncated:
            head.append(f"<NextMarker>{text(last)}</NextMarker>")
    return document("ListBucketResult", "".join(head) + "".join(rows))


def _page(bucket: Bucket, prefix: str, delimiter: str, after: str, most: int) -> tuple[list[str], list[str], str, bool]:
    """Return keys and common prefixes of a page, the last of both, and whether more follow."""
    begin = prefix.encode()
    position = max(bucket.first_at(begin), bucket.first_at(after.encode() + b"\0") if after else 0)
    if after and delimiter and after.startswith(prefix) and after.endswith(delimiter):
        position = max(position, bucket.first_at(after.encode() + AFTER_ALL))
    all_keys, end = bucket.keys, len(bucket.keys)
    if begin:
        end = bucket.first_at(begin + AFTER_ALL)
    if not delimiter:
        keys = [key for _, key in all_keys[position : min(end, position + most)]]
        return keys, [], keys[-1] if keys else "", position + most < end
    folders: list[str] = []
    keys, last = [], ""
    while position < end and len(keys) + len(folders) < most:
        key = all_keys[position][1]
        cut = key.find(delimiter, len(prefix))
        if cut < 0:
            keys.append(key)
            last = key
            position += 1
        else:
            last = key[: cut + len(delimiter)]
            folders.append(last)
            position = bucket.first_at(last.encode() + AFTER_ALL)
    return keys, folders, last, position < end


def _row(key: str, stored: Stored, *, owner: bool) -> str:
    by = "<Owner><ID>bench</ID><DisplayName>bench</DisplayName></Owner>" if owner else ""
    return (
        f"<Contents><Key>{key}</Key><LastModified>{iso(stored.modified_s)}</LastModified>"
        f"<ETag>&quot;{stored.etag}&quot;</ETag><Size>{stored.size_bytes}</Size>"
        f"{by}<StorageClass>STANDARD</StorageClass></Contents>"
    )


_iso_of: dict[int, str] = {}


def iso(instant_s: float) -> str:
    """Return an instant as listings write it; kept by second, because a page holds a thousand of them."""
    second = int(instant_s)
    if second not in _iso_of:
        _iso_of[second] = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(second))
    return _iso_of[second]


def document(root: str, inner: str) -> bytes:
    """Return an XML document of S3."""
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<{root} xmlns="{NAMESPACE}">{inner}</{root}>'.encode()
