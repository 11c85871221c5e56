"""What is pending, in pages: ListMultipartUploads and ListParts.

Job: one page as XML. Must not know how uploads are kept.
"""

from __future__ import annotations

from bulkhaul.testing.faultserver.calls import Call
from bulkhaul.testing.faultserver.http1 import Reply
from bulkhaul.testing.faultserver.replies import element, escape, xml_reply

from .listing import limit_of, page_of, shown_in
from .store import Store
from .uploads import Part, Upload

_INSTANT = "%Y-%m-%dT%H:%M:%S.000Z"
_SOMEBODY = (
    element("Initiator", element("ID", "faultserver"), element("DisplayName", "faultserver")),
    element("Owner", element("ID", "faultserver"), element("DisplayName", "faultserver")),
)


def list_uploads(call: Call, store: Store) -> Reply:
    """Return the page of pending uploads that the query asks for, by key and then by age.

    Raises:
        S3Error: max-uploads or encoding-type is not valid.
    """
    query = call.query
    limit = limit_of(query, "max-uploads")
    shown = shown_in(query)
    prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
    key_marker, id_marker = query.get("key-marker", ""), query.get("upload-id-marker", "")
    after = (key_marker.encode(), id_marker if key_marker else "")

    def is_after(upload: Upload) -> bool:
        if upload.key == key_marker and not id_marker:
            return False  # The key alone: everything of it was listed.
        return (upload.key.encode(), upload.upload_id) > after

    entries: list[tuple[str, Upload | None]] = []
    for upload in store.uploads.pending(call.bucket):
        if not upload.key.startswith(prefix):
            continue
        rest = upload.key[len(prefix) :]
        if delimiter and delimiter in rest:
            folder = prefix + rest[: rest.index(delimiter) + len(delimiter)]
            if folder.encode() > after[0] and (folder, None) not in entries:
                entries.append((folder, None))
        elif is_after(upload):
            entries.append((upload.key, upload))
    page, truncated = page_of(iter(entries), limit)
    fields = [
        element("Bucket", escape(call.bucket)),
        element("KeyMarker", shown(key_marker)),
        element("UploadIdMarker", escape(id_marker)),
        element("Prefix", shown(prefix)),
        element("MaxUploads", limit),
        element("IsTruncated", truncated),
    ]
    if truncated:
        name, last = page[-1]
        fields.append(element("NextKeyMarker", shown(name)))
        fields.append(element("NextUploadIdMarker", "" if last is None else escape(last.upload_id)))
    if delimiter:
        fields.append(element("Delimiter", shown(delimiter)))
    if query.get("encoding-type"):
        fields.append(element("EncodingType", "url"))
    fields += [_upload(shown(name), upload) for name, upload in page if upload is not None]
    folders = [element("Prefix", shown(name)) for name, upload in page if upload is None]
    fields += [element("CommonPrefixes", folder) for folder in folders]
    return xml_reply(200, element("ListMultipartUploadsResult", *fields))


def list_parts(call: Call, store: Store) -> Reply:
    """Return the page of landed parts that the query asks for, by number.

    Raises:
        S3Error: there is no such upload, or max-parts is not valid.
    """
    upload = store.uploads.get(call.bucket, call.key, call.upload_id or "")
    limit = limit_of(call.query, "max-parts")
    marker = limit_of(call.query, "part-number-marker", default=0, most=10_000)
    entries = ((number, upload.parts[number]) for number in sorted(upload.parts) if number > marker)
    page, truncated = page_of(entries, limit)
    fields = [
        element("Bucket", escape(call.bucket)),
        element("Key", escape(call.key)),
        element("UploadId", escape(upload.upload_id)),
        *_SOMEBODY,
        element("StorageClass", upload.description.storage_class),
        element("PartNumberMarker", marker),
        element("NextPartNumberMarker", page[-1][0] if page else 0),
        element("MaxParts", limit),
        element("IsTruncated", truncated),
        *_checksum_fields(upload),
        *(_part(number, part) for number, part in page),
    ]
    return xml_reply(200, element("ListPartsResult", *fields))


def _upload(name: str, upload: Upload) -> str:
    return element(
        "Upload",
        element("Key", name),
        element("UploadId", escape(upload.upload_id)),
        *_SOMEBODY,
        element("StorageClass", upload.description.storage_class),
        element("Initiated", upload.initiated.strftime(_INSTANT)),
        *_checksum_fields(upload),
    )


def _checksum_fields(upload: Upload) -> tuple[str, ...]:
    if upload.algorithm is None:
        return ()
    kind = element("ChecksumType", upload.checksum_type or "")
    return (element("ChecksumAlgorithm", upload.algorithm), kind)


def _part(number: int, part: Part) -> str:
    return element(
        "Part",
        element("PartNumber", number),
        element("LastModified", part.last_modified.strftime(_INSTANT)),
        element("ETag", f"&quot;{part.etag}&quot;"),
        element("Size", part.content.size_bytes),
        *(element(f"Checksum{name}", value) for name, value in part.checksums.items()),
    )
