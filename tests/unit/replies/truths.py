"""What a reply says by the S3 API Reference, RFC 9110 and XML Schema; it must not know the code under test.

Only the values that come out are of its classes: each is worked out here anew.
"""

from __future__ import annotations

import re
from datetime import datetime
from urllib.parse import unquote, unquote_to_bytes

from bulkhaul.model.objects import Bucket, Checksum, ChecksumKind, ObjectHead, PartChecksum
from bulkhaul.model.writing import NotDeleted, ObjectVersion, PendingUpload, Stored, UploadBegun, UploadedPart

from .documents import Element, NoTruthError, Reply, strictly_read

BUCKET, PREFIX, KEY = "bucket", "p/", "p/k"


def whole(text: str | None, most: int = 2**63 - 1) -> int:
    """A whole number, not negative."""
    if text is None or not re.fullmatch("[0-9]+", text) or not text.isascii() or len(text) > 19 or int(text) > most:
        raise NoTruthError
    return int(text)


def truth(text: str | None) -> bool:
    """A boolean of XML Schema."""
    if text is None or text.lower() not in ("true", "false", "1", "0"):
        raise NoTruthError
    return text.lower() in ("true", "1")


def tag(text: str | None) -> str:
    """An entity tag; stores leave quotes out."""
    if not text or text == '""':
        return ""
    inner = text.removeprefix("W/").strip('"') if '"' in text else text
    if '"' in inner or len(inner) > 512 or not all(" " <= one <= "~" or "\xa0" <= one <= "\xff" for one in inner):
        raise NoTruthError
    if '"' in text and text.removeprefix("W/") != f'"{inner}"':
        raise NoTruthError
    if '"' not in text and (" " in text or not text.isascii()):
        raise NoTruthError
    return text


def word(text: str | None, most: int = 256) -> str:
    """A text without control characters."""
    text = text or ""
    if len(text) > most or any(ord(one) < 32 or 127 <= ord(one) < 160 for one in text):
        raise NoTruthError
    return text


def marker(text: str | None) -> str:
    """Where a listing goes on: any text, a key of any characters among them."""
    if text and len(text) > 16384:
        raise NoTruthError
    return text or ""


def instant(text: str | None) -> datetime | None:
    """A time of XML Schema."""
    if text is None:
        return None
    if not re.fullmatch(r"[0-9]{4}(-[0-9]{2}){2}T([01][0-9]|2[0-3])(:[0-9]{2}){2}(\.[0-9]+)?Z", text):
        raise NoTruthError
    try:
        return datetime.fromisoformat(text)
    except ValueError as error:
        raise NoTruthError from error


def key(text: str | None, *, encoded: bool = False) -> str:
    """A key, or a folder, that begins with the prefix."""
    if encoded and text:
        try:
            text = unquote_to_bytes(text.replace("+", " ")).decode()
        except UnicodeDecodeError as error:
            raise NoTruthError from error
    if not text or len(text) > 4096 or not text.startswith(PREFIX):
        raise NoTruthError
    return text


def bucket(text: str | None) -> None:
    """The bucket that was asked for, if one is named."""
    if text and text != BUCKET:
        raise NoTruthError


def storage_class(item: Element) -> str:
    """Empty for the standard one."""
    name = word(item.leaf("StorageClass"))
    return "" if name == "STANDARD" else name


def checksum(values: dict[str, str | None], kind: str | None, etag: str | None) -> Checksum | None:
    """The checksum, and what it covers."""
    for algorithm in ("CRC64NVME", "CRC32"):
        if value := values.get(algorithm):
            if not re.fullmatch(r"[A-Za-z0-9+/]{1,128}={0,2}(-[0-9]{1,6})?", value):
                raise NoTruthError
            of_parts = re.search(r'-[0-9]{1,6}"?\Z', etag or "") is not None
            if kind == "COMPOSITE" or "-" in value:
                return Checksum(algorithm, value, ChecksumKind.COMPOSITE)
            known = kind == "FULL_OBJECT" or algorithm == "CRC64NVME" or not (kind or of_parts)
            return Checksum(algorithm, value, ChecksumKind.FULL_OBJECT if known else ChecksumKind.UNKNOWN)
    return None


def item_checksum(item: Element) -> Checksum | None:
    """That of an entry, or of a result."""
    return checksum({"CRC32": item.leaf("ChecksumCRC32")}, item.leaf("ChecksumType"), item.leaf("ETag"))


def entry(item: Element, *, encoded: bool) -> ObjectHead:
    """One object of a listing."""
    return ObjectHead(
        key(item.leaf("Key"), encoded=encoded),
        whole(item.leaf("Size")),
        tag(item.leaf("ETag")),
        instant(item.leaf("LastModified")),
        storage_class=storage_class(item),
    )


Page = tuple[tuple[ObjectHead, ...], tuple[str, ...], str]


def page_of(reply: Reply) -> tuple[Element, bool, tuple[ObjectHead, ...], tuple[str, ...]]:
    """What both versions of a listing have."""
    root = strictly_read(reply.body)
    truncated = truth(root.leaf("IsTruncated"))
    bucket(root.leaf("Name"))
    encoded = root.leaf("EncodingType") == "url"
    entries = tuple(entry(item, encoded=encoded) for item in root.all("Contents"))
    folders = tuple(key(item.leaf("Prefix"), encoded=encoded) for item in root.all("CommonPrefixes"))
    return root, truncated, entries, folders


def objects_page(reply: Reply) -> Page:
    """ListObjectsV2; or what an endpoint that ignores list-type says."""
    root, truncated, entries, folders = page_of(reply)
    count, token = root.leaf("KeyCount"), root.leaf("NextContinuationToken")
    if count is not None and whole(count) > len(entries) + len(folders):
        raise NoTruthError
    if truncated and not token:
        if count is not None:
            raise NoTruthError
        return old_page(reply)
    return entries, folders, marker(token) if truncated else ""


def old_page(reply: Reply) -> Page:
    """ListObjects."""
    root, truncated, entries, folders = page_of(reply)
    if not truncated:
        return entries, folders, ""
    encoded = root.leaf("EncodingType") == "url"
    told = root.leaf("NextMarker")
    if told and encoded:
        told = unquote_to_bytes(told.replace("+", " ")).decode(errors="replace")
    last = max([one.key for one in entries[-1:]] + list(folders[-1:]), key=str.encode, default="")
    if not (following := marker(told) or last):
        raise NoTruthError
    return entries, folders, "bulkhaul:after:" + following


def versions_page(reply: Reply) -> tuple[list[ObjectVersion], str, str]:
    """ListObjectVersions."""
    root = strictly_read(reply.body)
    truncated = truth(root.leaf("IsTruncated"))
    bucket(root.leaf("Name"))
    encoded = root.leaf("EncodingType") == "url"
    found = []
    for name in ("Version", "DeleteMarker"):
        for item in root.all(name):
            deleted = name == "DeleteMarker"
            latest = item.leaf("IsLatest")
            found.append(
                ObjectVersion(
                    key(item.leaf("Key"), encoded=encoded),
                    word(item.leaf("VersionId"), 2048),
                    0 if deleted else whole(item.leaf("Size")),
                    "" if deleted else tag(item.leaf("ETag")),
                    instant(item.leaf("LastModified")),
                    latest is not None and truth(latest),
                    deleted,
                )
            )
    if not truncated:
        return found, "", ""
    following = root.leaf("NextKeyMarker") or ""
    if encoded:
        following = unquote_to_bytes(following.replace("+", " ")).decode(errors="replace")
    number = root.leaf("NextVersionIdMarker") or ""
    if not following or max(len(following), len(number)) > 16384:
        raise NoTruthError
    return found, following, number


def parts_page(reply: Reply) -> tuple[tuple[UploadedPart, ...], int]:
    """ListParts."""
    root = strictly_read(reply.body)
    truncated = truth(root.leaf("IsTruncated"))
    bucket(root.leaf("Bucket"))
    if root.leaf("UploadId") not in (None, "id"):
        raise NoTruthError
    parts = []
    for item in root.all("Part"):
        told = item_checksum(item)
        number = whole(item.leaf("PartNumber"), 100_000)
        parts.append(UploadedPart(number, whole(item.leaf("Size")), tag(item.leaf("ETag")), told.value if told else ""))
    if len({part.number for part in parts}) < len(parts):
        raise NoTruthError
    following = whole(root.leaf("NextPartNumberMarker"), 100_000) if truncated else 0
    if truncated and not following:
        raise NoTruthError
    return tuple(parts), following


def uploads_page(reply: Reply) -> tuple[tuple[PendingUpload, ...], str, str]:
    """ListMultipartUploads, its keys as they are."""
    root = strictly_read(reply.body)
    truncated = truth(root.leaf("IsTruncated"))
    bucket(root.leaf("Bucket"))
    uploads = []
    for item in root.all("Upload"):
        if not (number := word(item.leaf("UploadId"), 2048)):
            raise NoTruthError
        uploads.append(PendingUpload(key(item.leaf("Key")), number, instant(item.leaf("Initiated"))))
    following, number = root.leaf("NextKeyMarker") or "", root.leaf("NextUploadIdMarker") or ""
    if not truncated:
        return tuple(uploads), "", ""
    if not following or max(len(following), len(number)) > 16384:
        raise NoTruthError
    return tuple(uploads), following, number


def buckets_page(reply: Reply) -> tuple[tuple[Bucket, ...], str]:
    """ListBuckets."""
    root = strictly_read(reply.body)
    listed = root.only("Buckets")
    if listed is None:
        raise NoTruthError
    found = []
    for item in listed.children:
        if not (name := word(item.leaf("Name"))):
            raise NoTruthError
        found.append(Bucket(name, instant(item.leaf("CreationDate"))))
    return tuple(found), marker(root.leaf("ContinuationToken"))


def quoted(text: str) -> str:
    """An entity tag with its quotes."""
    if not text:
        raise NoTruthError
    return text if '"' in text else f'"{text}"'


def completed(reply: Reply) -> Stored:
    """CompleteMultipartUpload, and CopyObject."""
    root = strictly_read(reply.body)
    number = word(reply.header("x-amz-version-id"), 2048)
    return Stored(quoted(tag(root.leaf("ETag"))), "" if number == "null" else number, item_checksum(root))


def copied_part(reply: Reply) -> UploadedPart:
    """UploadPartCopy of ten bytes."""
    root = strictly_read(reply.body)
    told = item_checksum(root)
    return UploadedPart(3, 10, quoted(tag(root.leaf("ETag"))), told.value if told else "")


def begun(reply: Reply) -> UploadBegun:
    """CreateMultipartUpload with CRC32."""
    root = strictly_read(reply.body)
    bucket(root.leaf("Bucket"))
    if not (number := word(root.leaf("UploadId"), 2048)):
        raise NoTruthError
    kept = word(reply.header("x-amz-checksum-algorithm"))
    kind = reply.header("x-amz-checksum-type")
    full = kind == "FULL_OBJECT" or (kind is None and kept == "CRC64NVME")
    return UploadBegun(number, kept if full else "")


def deleted(reply: Reply) -> tuple[NotDeleted, ...]:
    """DeleteObjects of a, b and c: each needs a word of its own, and no error may belong to nobody."""
    root = strictly_read(reply.body)
    if root.name != "DeleteResult":
        raise NoTruthError
    failed: dict[str, NotDeleted] = {}
    strays: list[str] = []
    gone = {meant(item.leaf("Key") or "") for item in root.all("Deleted")}
    for item in root.all("Error"):
        key, code, message = (item.leaf(name) or "" for name in ("Key", "Code", "Message"))
        item.leaf("VersionId")  # whichever it names, nobody has asked for one
        if code in ("NoSuchKey", "NoSuchVersion"):
            gone.add(meant(key))
        elif (name := meant(key)) is None:
            strays.append(f"{code}: {message}")
        else:
            failed[name] = NotDeleted(name, "", code, message)
    others = [name for name in "abc" if name not in failed]
    silent = [name for name in others if name not in gone] or (others if strays else [])
    why = strays[0] if strays else ""
    return (*failed.values(), *(NotDeleted(name, message=why, unconfirmed=True) for name in silent))


def meant(told: str) -> str | None:
    """Return which of the keys is meant, perhaps percent-encoded."""
    return next((name for name in (told, unquote(told)) if name in ("a", "b", "c")), None)


def attributes(reply: Reply) -> tuple[PartChecksum, ...]:
    """GetObjectAttributes: the parts that it tells of; a service need not tell any."""
    if not reply.body:
        return ()
    root = strictly_read(reply.body)
    listed = root.only("ObjectParts")
    if listed is None:
        return ()
    parts, last = [], 0
    for item in listed.all("Part"):
        number = whole(item.leaf("PartNumber"), 100_000)
        if number <= last:
            raise NoTruthError
        last = number
        parts.append(PartChecksum(whole(item.leaf("Size")), word(item.leaf("ChecksumCRC32"))))
    more = listed.leaf("IsTruncated")
    if more is not None and truth(more):
        raise NoTruthError  # another page, which this reply is not
    return tuple(parts)


def tags(reply: Reply) -> dict[str, str]:
    """GetObjectTagging."""
    listed = strictly_read(reply.body).only("TagSet")
    if listed is None:
        raise NoTruthError
    pairs = [(item.leaf("Key"), item.leaf("Value")) for item in listed.children]
    if any(None in pair for pair in pairs) or len({name for name, _ in pairs}) < len(pairs):
        raise NoTruthError
    return {str(name): str(value) for name, value in pairs}


def head(reply: Reply) -> tuple[int, str, str, str, Checksum | None, str, int]:
    """HeadObject: size, ETag, version, class, checksum, type, number of tags."""
    number, count = word(reply.header("x-amz-version-id"), 2048), reply.header("x-amz-tagging-count")
    name = word(reply.header("x-amz-storage-class"))
    return (
        whole(reply.header("content-length")),
        tag(reply.header("etag")),
        "" if number == "null" else number,
        "" if name == "STANDARD" else name,
        checksum(
            {"CRC32": reply.header("x-amz-checksum-crc32"), "CRC64NVME": reply.header("x-amz-checksum-crc64nvme")},
            reply.header("x-amz-checksum-type"),
            reply.header("etag"),
        ),
        reply.header("content-type") or "",
        0 if count is None else whole(count, 1000),
    )
