"""Small operations, by the SDK and by the lane: what they send, and what they make of replies, friendly or not."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable

import pytest

from bulkhaul.errors import (
    AccessDenied,
    CredentialsError,
    NotFound,
    OtherError,
    PreconditionFailed,
    ServerError,
    TransferError,
    UnexpectedReply,
    Unsupported,
)
from bulkhaul.model.objects import TOKEN_KEY, Checksum, Content
from bulkhaul.model.writing import (
    CopySource,
    Doomed,
    NotDeleted,
    ObjectOptions,
    PendingUpload,
    Stored,
    UploadBegun,
    UploadedPart,
)
from bulkhaul.wire.sdk.client import SdkClient
from tests.unit.both_ways import (
    Canned,
    Client,
    abort_upload,
    bucket_region,
    complete_upload,
    copy_object,
    copy_part,
    create_upload,
    delete_object,
    delete_objects,
    head_object,
    list_folder,
    list_page,
    list_parts,
    list_uploads,
    list_versions,
    presign,
)

KEY = "dir/a b+c/ü%41"
PATH = "/bucket/dir/a%20b%2Bc/%C3%BC%2541"
SSE_C_KEY = b"0123456789abcdef0123456789abcdef"
PARTS = (UploadedPart(1, 5, '"a"', "AAAAAA=="), UploadedPart(2, 2, '"b"', "BBBBBB=="))


def create(sdk: Client) -> object:
    """Begin an upload."""
    return create_upload(sdk, "bucket", KEY, ObjectOptions(), algorithm="CRC32", token="nonce")


def complete(sdk: Client, algorithm: str = "CRC32") -> object:
    """Complete an upload of PARTS."""
    return complete_upload(
        sdk, "bucket", KEY, "id", PARTS, size_bytes=7, algorithm=algorithm, checksum="CCCCCC=="
    )  # fmt: skip


def copy_a_part(sdk: Client) -> object:
    """Copy a part from a version of an object with an ETag."""
    return copy_part(
        sdk, "bucket", "k", "id", 3, CopySource("from", KEY, '"e"', "v1"),
        start=10, end=20,
    )  # fmt: skip


def copy(sdk: Client, options: ObjectOptions | None = None) -> object:
    """Copy an object."""
    return copy_object(sdk, "bucket", "k", CopySource("from", KEY, '"e"'), options=options)


def delete(sdk: Client) -> object:
    """Delete two keys at once."""
    return delete_objects(sdk, "bucket", [Doomed("a"), Doomed("b", "v2")])


pytestmark = pytest.mark.usefixtures("way")

Operation = Callable[[Client], object]


# Uploads

BEGUN = "<InitiateMultipartUploadResult><UploadId>id</UploadId></InitiateMultipartUploadResult>"


def test_an_upload_carries_its_token_and_its_algorithm() -> None:
    """The token goes beside the user's metadata; the algorithm is that which the service said it keeps."""
    told = {"x-amz-checksum-algorithm": "CRC32", "x-amz-checksum-type": "FULL_OBJECT"}
    canned = Canned((200, BEGUN), headers=told)
    options = ObjectOptions(content=Content(metadata={"a": "1"}), storage_class="GLACIER_IR")
    begun = create_upload(canned.sdk, "bucket", KEY, options, algorithm="CRC32", token="nonce")
    assert begun == UploadBegun("id", "CRC32")
    (sent,) = canned.sent
    assert (sent.method, sent.path, sent.query) == ("POST", PATH, {"uploads": ""})
    named = {name: value for name, value in sent.headers.items() if name.startswith(("x-amz-meta", "x-amz-checksum"))}
    assert named == {
        "x-amz-meta-a": "1",
        f"x-amz-meta-{TOKEN_KEY}": "nonce",
        "x-amz-checksum-algorithm": "CRC32",
        "x-amz-checksum-type": "FULL_OBJECT",
    }
    assert sent.headers["x-amz-storage-class"] == "GLACIER_IR"


def test_a_service_that_keeps_checksums_of_parts_is_told_none_of_the_whole() -> None:
    """Some make a checksum of the parts' checksums, whatever they were asked for: one of the whole would not match."""
    canned = Canned((200, BEGUN), headers={"x-amz-checksum-algorithm": "CRC32", "x-amz-checksum-type": "COMPOSITE"})
    begun = create_upload(canned.sdk, "bucket", KEY, ObjectOptions(), algorithm="CRC32", token="")
    assert begun == UploadBegun("id", "")


@pytest.mark.parametrize(("algorithm", "believed"), [("CRC32", ""), ("CRC32C", ""), ("CRC64NVME", "CRC64NVME")])
def test_a_service_that_says_no_type_knows_none(algorithm: str, believed: str) -> None:
    """Before S3 had types a checksum of an upload was one of checksums; CRC64NVME has never been that."""
    canned = Canned((200, BEGUN), headers={"x-amz-checksum-algorithm": algorithm})
    begun = create_upload(canned.sdk, "bucket", KEY, ObjectOptions(), algorithm=algorithm, token="")
    assert begun == UploadBegun("id", believed)


def test_an_upload_without_checksum_or_token_names_neither() -> None:
    """A store that knows neither gets a plain request, and nothing is believed that it did not say."""
    canned = Canned((200, BEGUN))
    begun = create_upload(canned.sdk, "bucket", KEY, ObjectOptions(), algorithm="", token="")
    assert begun == UploadBegun("id", "")
    assert not [name for name in canned.sent[0].headers if "checksum" in name or "meta" in name]


def test_completion_proves_the_whole_object() -> None:
    """Every part's checksum, the whole object's, its kind and its size are in the request."""
    reply = "<CompleteMultipartUploadResult><ETag>&quot;e-2&quot;</ETag><ChecksumCRC32>CCCCCC==</ChecksumCRC32>"
    reply += "<ChecksumType>FULL_OBJECT</ChecksumType></CompleteMultipartUploadResult>"
    canned = Canned((200, reply), headers={"x-amz-version-id": "v7"})
    assert complete(canned.sdk) == Stored('"e-2"', "v7", Checksum("CRC32", "CCCCCC=="))
    (sent,) = canned.sent
    assert sent.query == {"uploadId": "id"}
    assert sent.headers["x-amz-checksum-crc32"] == "CCCCCC=="
    assert sent.headers["x-amz-checksum-type"] == "FULL_OBJECT"
    assert sent.headers["x-amz-mp-object-size"] == "7"
    assert "if-none-match" not in sent.headers
    assert sent.body.count(b"<Part>") == 2
    for part in PARTS:
        assert f"<ChecksumCRC32>{part.checksum}</ChecksumCRC32>".encode() in sent.body
        assert f"<PartNumber>{part.number}</PartNumber>".encode() in sent.body


def test_completion_without_a_checksum_names_none() -> None:
    """Where the upload has no algorithm, a checksum that is known all the same is not sent: it would be refused."""
    canned = Canned((200, "<CompleteMultipartUploadResult><ETag>e</ETag></CompleteMultipartUploadResult>"))
    assert complete(canned.sdk, algorithm="") == Stored('"e"')
    (sent,) = canned.sent
    assert not [name for name in sent.headers if "checksum" in name or name == "if-none-match"]
    assert b"Checksum" not in sent.body


@pytest.mark.parametrize("operation", [complete, copy], ids=["complete", "copy"])
@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ("<Error><Code>InternalError</Code></Error>", ServerError),
        ("<Error><Code>PreconditionFailed</Code></Error>", PreconditionFailed),
        ("  \n ", ServerError),
        ("", ServerError),
        ("<html><body>welcome</body></html>", UnexpectedReply),
        ("<CompleteMultipartUploadResult><ETag>", ServerError),
    ],
    ids=["error", "another error", "spaces", "nothing", "foreign", "broken off"],
)
def test_a_friendly_status_is_no_success(operation: Operation, body: str, kind: type[TransferError]) -> None:
    """A 200 that carries an error, or no result, never says that the object was stored."""
    with pytest.raises(TransferError) as raised:
        operation(Canned((200, body)).sdk)
    assert type(raised.value) is kind


@pytest.mark.parametrize(
    ("operation", "body"),
    [(create, "<InitiateMultipartUploadResult/>"), (copy_a_part, "<CopyPartResult/>")],
    ids=["no upload id", "no ETag of a part"],
)
def test_what_an_upload_cannot_go_on_without(operation: Operation, body: str) -> None:
    """A reply without the id of the upload or the ETag of a part is an error (C44)."""
    with pytest.raises(OtherError) as raised:
        operation(Canned((200, body)).sdk)
    assert type(raised.value) is OtherError


def test_a_copied_part_names_its_source() -> None:
    """The source is encoded once (C34), held to its ETag (C32), and its range is inclusive on the wire."""
    canned = Canned((200, "<CopyPartResult><ETag>e</ETag><ChecksumCRC32C>AAAAAA==</ChecksumCRC32C></CopyPartResult>"))
    assert copy_a_part(canned.sdk) == UploadedPart(3, 10, '"e"', "AAAAAA==")
    (sent,) = canned.sent
    assert sent.query == {"partNumber": "3", "uploadId": "id"}
    assert sent.headers["x-amz-copy-source"] == "from/dir/a%20b%2Bc/%C3%BC%2541?versionId=v1"
    assert sent.headers["x-amz-copy-source-if-match"] == '"e"'
    assert sent.headers["x-amz-copy-source-range"] == "bytes=10-19"


def test_errors_of_a_copy_name_the_source() -> None:
    """Whoever copies learns that it is the source that is missing or has changed (C35)."""
    for operation in (copy, copy_a_part):
        with pytest.raises(NotFound, match=r"s3://from/dir"):
            operation(Canned((404, "<Error><Code>NoSuchKey</Code></Error>")).sdk)


@pytest.mark.parametrize(
    ("code", "gone"), [("NoSuchUpload", True), ("", True), ("NoSuchBucket", False)], ids=lambda value: str(value)
)
def test_abort_of_what_is_gone(code: str, gone: bool) -> None:
    """An upload that is not there (any more) is aborted; a bucket that is not there is an error."""
    canned = Canned((404, f"<Error><Code>{code}</Code></Error>" if code else ""))
    if gone:
        abort_upload(canned.sdk, "bucket", KEY, "id")
    else:
        with pytest.raises(NotFound):
            abort_upload(canned.sdk, "bucket", KEY, "id")
    assert [(one.method, one.query) for one in canned.sent] == [("DELETE", {"uploadId": "id"})]


# Listings

PLAIN = """<ListMultipartUploadsResult><IsTruncated>true</IsTruncated><NextKeyMarker>a+b%41</NextKeyMarker>
<NextUploadIdMarker>2</NextUploadIdMarker><Upload><Key>a+b%41</Key><UploadId>1</UploadId></Upload>
</ListMultipartUploadsResult>"""
ENCODED = """<ListMultipartUploadsResult><EncodingType>url</EncodingType><IsTruncated>false</IsTruncated>
<Upload><Key>a+b%2B%01</Key><UploadId>1</UploadId></Upload></ListMultipartUploadsResult>"""


def test_keys_of_uploads_are_not_decoded_unasked() -> None:
    """A key is taken as it stands unless it was asked for encoded: stores lie about what they encode."""
    canned = Canned((200, PLAIN))
    page = list_uploads(canned.sdk, "bucket", "a", "from", "0")
    assert page.uploads == (PendingUpload("a+b%41", "1"),)
    assert (page.next_key_marker, page.next_id_marker) == ("a+b%41", "2")
    (sent,) = canned.sent
    assert sent.query == {"uploads": "", "prefix": "a", "key-marker": "from", "upload-id-marker": "0"}


@pytest.mark.parametrize(
    "first",
    [PLAIN.replace("a+b", "a\x01b"), PLAIN.replace("a+b", "a&#1;b"), PLAIN.replace("a+b", "a\ufffdb")],
    ids=["raw", "as a reference", "replaced"],
)
def test_keys_of_uploads_that_xml_cannot_carry(first: str) -> None:
    """A listing that holds a control character is asked for again, percent-encoded, and decoded."""
    canned = Canned((200, first), (200, ENCODED))
    page = list_uploads(canned.sdk, "bucket", "", "", "")
    assert page.uploads == (PendingUpload("a b+\x01", "1"),)
    assert [one.query.get("encoding-type") for one in canned.sent] == [None, "url"]


def test_keys_of_uploads_that_are_no_text() -> None:
    """What is encoded and not UTF-8 is refused: by another name an upload would pass for one that is gone."""
    broken = ENCODED.replace("a+b%2B%01", "a%FFb")
    with pytest.raises(UnexpectedReply, match=r"s3://bucket/: .*not valid UTF-8"):
        list_uploads(Canned((200, PLAIN.replace("a+b", "a\x01b")), (200, broken)).sdk, "bucket", "", "", "")


TRUNCATED = "<{0}><IsTruncated>true</IsTruncated></{0}>"


@pytest.mark.parametrize("body", [TRUNCATED, "<html>{}</html>"], ids=["goes on, but not where", "no listing"])
@pytest.mark.parametrize(
    ("root", "operation"),
    [
        ("ListMultipartUploadsResult", lambda sdk: list_uploads(sdk, "bucket", "", "", "")),
        ("ListPartsResult", lambda sdk: list_parts(sdk, "bucket", KEY, "id", 0)),
        ("ListVersionsResult", lambda sdk: list_versions(sdk, "bucket", "", "", "")),
        ("ListBucketResult", lambda sdk: list_folder(sdk, "bucket", "", "")),
    ],
    ids=["uploads", "parts", "versions", "folder"],
)
def test_a_listing_that_may_leave_something_out(root: str, operation: Operation, body: str) -> None:
    """A listing that breaks off, and a reply that is none, are errors: neither passes for a short list."""
    kind = OtherError if body is TRUNCATED else UnexpectedReply
    with pytest.raises(kind):
        operation(Canned((200, body.format(root))).sdk)


def test_parts_go_on_behind_the_marker() -> None:
    """Parts come with size, ETag and whichever checksum they have; the last page has no marker."""
    body = """<ListPartsResult><IsTruncated>true</IsTruncated><NextPartNumberMarker>9</NextPartNumberMarker>
    <Part><PartNumber>9</PartNumber><Size>5</Size><ETag>"e"</ETag><ChecksumCRC64NVME>AA==</ChecksumCRC64NVME></Part>
    </ListPartsResult>"""
    canned = Canned((200, body), (200, body.replace("true", "false")))
    first = list_parts(canned.sdk, "bucket", KEY, "id", 8)
    last = list_parts(canned.sdk, "bucket", KEY, "id", 8)
    assert first.parts == last.parts == (UploadedPart(9, 5, '"e"', "AA=="),)
    assert (first.next_marker, last.next_marker) == (9, 0)
    assert canned.sent[0].query == {"uploadId": "id", "part-number-marker": "8"}


# Deleting


def test_a_batch_says_what_was_not_deleted() -> None:
    """Only failures come back, each with the service's words; what is gone already counts as deleted."""
    body = """<DeleteResult><Error><Key>b</Key><VersionId>v2</VersionId><Code>AccessDenied</Code><Message>no</Message>
    </Error><Error><Key>a</Key><Code>NoSuchKey</Code></Error></DeleteResult>"""
    canned = Canned((200, body))
    assert delete(canned.sdk) == (NotDeleted("b", "v2", "AccessDenied", "no"),)
    (sent,) = canned.sent
    assert sent.query == {"delete": ""}
    assert b"<Quiet>false</Quiet>" in sent.body
    assert b"<Object><Key>b</Key><VersionId>v2</VersionId></Object>" in sent.body
    assert sent.headers["content-md5"] == base64.b64encode(hashlib.md5(sent.body).digest()).decode()


def test_a_batch_that_is_silent_on_a_key_has_not_deleted_it() -> None:
    """A result with nothing in it confirms nothing."""
    told = delete_objects(Canned((200, "<DeleteResult/>")).sdk, "bucket", [Doomed("a"), Doomed("b", "v2")])
    assert told == (NotDeleted("a", unconfirmed=True), NotDeleted("b", "v2", unconfirmed=True))


@pytest.mark.parametrize("body", ["", "<html>welcome</html>", "  "], ids=["nothing", "foreign", "spaces"])
def test_a_batch_without_a_result_deleted_nothing_for_sure(body: str) -> None:
    """A 200 that is no result is an error: silence would mean that everything was deleted."""
    with pytest.raises(TransferError):
        delete(Canned((200, body)).sdk)


def test_a_batch_that_is_refused_within_a_success() -> None:
    """The error in a 200 is told as such: it is no reply that may be asked for once more."""
    body = "<Error><Code>AccessDenied</Code><Message>no</Message></Error>"
    with pytest.raises(AccessDenied):
        delete(Canned((200, body)).sdk)


@pytest.mark.parametrize("status", [405, 501])
def test_a_store_without_batches(status: int) -> None:
    """Where there is no DeleteObjects, every key is deleted by itself."""
    canned = Canned((status, ""), (204, ""))
    assert delete(canned.sdk) == ()
    assert [(one.method, one.path, one.query) for one in canned.sent] == [
        ("POST", "/bucket", {"delete": ""}),
        ("DELETE", "/bucket/a", {}),
        ("DELETE", "/bucket/b", {"versionId": "v2"}),
    ]


def test_keys_that_xml_cannot_carry_are_deleted_singly() -> None:
    """A control character never reaches the document; tabs and line breaks do, escaped where a parser needs it."""
    canned = Canned((200, "<DeleteResult><Deleted><Key>c\t\n</Key></Deleted></DeleteResult>"), (204, ""))
    odd = ["a\x01", "b\ufffe", "c\t\r\n"]
    assert delete_objects(canned.sdk, "bucket", [Doomed(key) for key in odd]) == ()
    assert [(one.method, one.path) for one in canned.sent] == [
        ("POST", "/bucket"),
        ("DELETE", "/bucket/a%01"),
        ("DELETE", "/bucket/b%EF%BF%BE"),
    ]
    assert canned.sent[0].body.count(b"<Object>") == 1
    assert b"c\t&#xD;&#xA;" in canned.sent[0].body


def test_a_key_that_cannot_be_deleted_singly_is_told() -> None:
    """One key that is refused, or that is no text at all, does not keep the others from being deleted."""
    canned = Canned((403, "<Error><Code>AccessDenied</Code></Error>"), (204, ""))
    told = delete_objects(canned.sdk, "bucket", [Doomed("a\x01"), Doomed("\ud800"), Doomed("b\x01")])
    assert [(one.key, one.service_code) for one in told] == [("a\x01", "AccessDenied"), ("\ud800", "UsageError")]
    assert [one.path for one in canned.sent] == ["/bucket/a%01", "/bucket/b%01"]


def test_deleting_what_is_gone_is_success() -> None:
    """A key that is not there is deleted, also where a store says so with 404; a missing bucket is an error."""
    delete_object(Canned((404, "<Error><Code>NoSuchKey</Code></Error>")).sdk, "bucket", "k", "")
    with pytest.raises(NotFound):
        delete_object(Canned((404, "<Error><Code>NoSuchBucket</Code></Error>")).sdk, "bucket", "k", "")


# Copying and asking

COPIED = '<CopyObjectResult><ETag>"e"</ETag></CopyObjectResult>'


def test_a_copy_keeps_or_replaces() -> None:
    """Without options headers, metadata and tags are copied; with options all of them are replaced."""
    canned = Canned((200, COPIED))
    assert copy(canned.sdk) == Stored('"e"')
    assert copy(canned.sdk, ObjectOptions(content=Content(metadata={"a": "1"}), tags={"t": "2"})) == Stored('"e"')
    kept, replaced = (one.headers for one in canned.sent)
    for directive in ("x-amz-metadata-directive", "x-amz-tagging-directive"):
        assert (kept.get(directive), replaced[directive]) == (None, "REPLACE")
    assert "x-amz-tagging" not in kept
    assert (replaced["x-amz-meta-a"], replaced["x-amz-tagging"]) == ("1", "t=2")


def test_head_tells_how_an_object_is_stored() -> None:
    """Every stored header, the user's metadata without the token, the class and the number of tags."""
    stored = {
        "content-length": "3", "content-type": "text/plain", "content-disposition": "attachment",
        "content-encoding": "gzip", "content-language": "de", "cache-control": "no-store", "expires": "never",
        "x-amz-meta-Colour": "blue", f"x-amz-meta-{TOKEN_KEY}": "nonce", "x-amz-storage-class": "GLACIER",
        "x-amz-tagging-count": "2", "x-amz-version-id": "v1", "etag": '"e"',
    }  # fmt: skip
    canned = Canned((200, ""), headers=stored)
    told = head_object(canned.sdk, "bucket", KEY, "v1")
    assert told.content == Content(
        content_type="text/plain", content_disposition="attachment", content_encoding="gzip", content_language="de",
        cache_control="no-store", expires="never", metadata={"colour": "blue"},
    )  # fmt: skip
    assert (told.token, told.storage_class, told.tags, told.version_id) == ("nonce", "GLACIER", 2, "v1")
    assert canned.sent[0].query == {"versionId": "v1"}


def test_the_standard_class_has_no_name() -> None:
    """Listings name the standard class and HEAD does not: both mean the same."""
    body = "<ListBucketResult><IsTruncated>false</IsTruncated>"
    body += "<Contents><Key>p/a</Key><Size>1</Size><StorageClass>STANDARD</StorageClass></Contents>"
    body += "<Contents><Key>p/b</Key><Size>2</Size><StorageClass>GLACIER</StorageClass></Contents>"
    body += "<CommonPrefixes><Prefix>p/c/</Prefix></CommonPrefixes></ListBucketResult>"
    canned = Canned((200, body))
    page = list_folder(canned.sdk, "bucket", "p/", "next")
    assert [(entry.key, entry.storage_class) for entry in page.objects] == [("p/a", ""), ("p/b", "GLACIER")]
    assert page.prefixes == ("p/c/",)
    assert {"delimiter": "/", "prefix": "p/", "continuation-token": "next"}.items() <= canned.sent[0].query.items()
    list_page(canned.sdk, "bucket", "p", "", 1)
    assert (canned.sent[1].query["max-keys"], "delimiter" in canned.sent[1].query) == ("1", False)


@pytest.mark.parametrize(("headers", "region"), [({"x-amz-bucket-region": "eu-central-1"}, "eu-central-1"), ({}, "")])
def test_the_region_of_a_bucket(headers: dict[str, str], region: str) -> None:
    """What the service says; where it says nothing, nothing is made up: a client may be set to another region."""
    assert bucket_region(Canned((200, ""), headers=headers).sdk, "bucket") == region


# Presigning


def query_of(url: str) -> str:
    """Return what stands behind the question mark."""
    return url.partition("?")[2]


def test_a_presigned_url_carries_everything() -> None:
    """SigV4 with token, version and life in the URL, nothing but the host in headers, and no request made (C37)."""
    canned = Canned(request_payer=True)
    if isinstance(canned.sdk, SdkClient):
        canned.sdk.register("before-sign.s3.GetObject", lambda request, **_: request.headers.add_header("x-amz-x", "1"))
    url = presign(canned.sdk, "bucket", KEY, "v1", 60)
    assert url.startswith(f"http://127.0.0.1:9{PATH}?")
    pieces = query_of(url).split("&")
    assert {
        "versionId=v1",
        "X-Amz-Algorithm=AWS4-HMAC-SHA256",
        "X-Amz-Expires=60",
        "X-Amz-Security-Token=token-canary",
        "X-Amz-SignedHeaders=host",
        "x-amz-request-payer=requester",
    } < set(pieces)
    assert [piece.partition("=")[0] for piece in pieces].count("X-Amz-Signature") == 1
    assert canned.sent == []


@pytest.mark.parametrize("ttl_s", [0, -5, 604_801, 1.5])
def test_the_life_of_a_presigned_url(ttl_s: int) -> None:
    """A life that the service would refuse is refused here (C37)."""
    with pytest.raises(OtherError, match="604800"):
        presign(Canned().sdk, "bucket", "k", "", ttl_s)
    assert "X-Amz-Expires=604800" in presign(Canned().sdk, "bucket", "k", "", 604_800)


def test_a_presigned_url_needs_credentials() -> None:
    """Without signing, or before credentials came, there is no URL; with SSE-C it would be of no use."""
    for changes in ({"sign_requests": False}, {}):
        with pytest.raises(CredentialsError):
            presign(Canned(credentials=None, **changes).sdk, "bucket", "k", "", 60)
    with pytest.raises(Unsupported, match="SSE-C"):
        presign(Canned(sse_c_key=SSE_C_KEY).sdk, "bucket", "k", "", 60)
