"""What the fault server stores, copies and deletes, with boto3 as the independent judge."""

from __future__ import annotations

import http.client
import random
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import replace
from hashlib import md5, sha256
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.faultserver import Credentials, FaultServer, RefuseDelete, make_object
from tests.s3_client import ACCESS_KEY, MIN_PART_SIZE_BYTES, SECRET_KEY, client_for, crc, refused
from tests.wire_client import Wire

BODY = random.Random(3).randbytes(200_000)


@pytest.fixture
def server() -> Iterator[FaultServer]:
    """A server that asks for signatures, with one bucket and an object to copy."""
    credentials = Credentials(ACCESS_KEY, SECRET_KEY)
    source = make_object(BODY, algorithm="CRC32C", metadata={"a": "b"})
    with FaultServer(
        {"bucket/source/a b+c": source}, credentials=credentials, min_part_size_bytes=MIN_PART_SIZE_BYTES
    ) as running:
        yield running
        assert running.protocol_errors == []


def send(method: str, url: str, body: bytes = b"", headers: dict[str, str] | None = None) -> tuple[int, bytes]:
    """Return status and body of what a client without credentials gets."""
    address = urlsplit(url)
    connection = http.client.HTTPConnection(address.netloc)
    connection.request(method, f"{address.path}?{address.query}", body, headers or {})
    with connection.getresponse() as reply:
        got = reply.status, reply.read()
    connection.close()
    return got


@pytest.mark.parametrize("algorithm", ["CRC32", "CRC32C", "CRC64NVME", "SHA256"])
def test_put_with_checksum(server: FaultServer, algorithm: str) -> None:
    """A right checksum is echoed and kept, a wrong one is BadDigest, and one that cannot be one is refused."""
    client = client_for(server)
    name = f"Checksum{algorithm}"
    reply = client.put_object(Bucket="bucket", Key="key", Body=BODY, **{name: crc(algorithm, BODY)})
    assert (reply[name], reply["ChecksumType"]) == (crc(algorithm, BODY), "FULL_OBJECT")
    head = client.head_object(Bucket="bucket", Key="key", ChecksumMode="ENABLED")
    assert (head[name], head["ContentLength"], head["ETag"]) == (reply[name], len(BODY), f'"{md5(BODY).hexdigest()}"')
    with refused("BadDigest", 400):
        client.put_object(Bucket="bucket", Key="key", Body=b"other", **{name: crc(algorithm, BODY)})
    with refused("InvalidRequest", 400):
        client.put_object(Bucket="bucket", Key="key", Body=BODY, **{name: "AAAA"})
    assert server.store.get("bucket", "key").body == BODY  # type: ignore[union-attr]


def test_put_with_other_digests(server: FaultServer) -> None:
    """Content-MD5 and x-amz-content-sha256 are checked where they are sent; UNSIGNED-PAYLOAD passes."""
    client = client_for(server)
    client.put_object(Bucket="bucket", Key="key", Body=BODY, ContentMD5=b64encode(md5(BODY).digest()).decode())
    with refused("BadDigest", 400):
        client.put_object(Bucket="bucket", Key="key", Body=b"x", ContentMD5=b64encode(md5(BODY).digest()).decode())
    with refused("InvalidDigest", 400):
        client.put_object(Bucket="bucket", Key="key", Body=b"x", ContentMD5="AAAA")
    client.put_object(Bucket="bucket", Key="plain", Body=BODY)
    assert server.requests[-1].headers["x-amz-content-sha256"] == sha256(BODY).hexdigest()
    put = {"Bucket": "bucket", "Key": "signed"}
    url = client.generate_presigned_url("put_object", Params=put)
    status, document = send("PUT", url, BODY, {"x-amz-content-sha256": "0" * 64})
    assert (status, b"<Code>XAmzContentSHA256Mismatch</Code>" in document) == (400, True)
    assert send("PUT", url, BODY)[0] == 200
    assert server.store.get("bucket", "signed").body == BODY  # type: ignore[union-attr]


def test_one_checksum_alone(server: FaultServer) -> None:
    """Two checksums in one request, or one that is announced and missing, are InvalidRequest."""
    client = client_for(server)
    with refused("InvalidRequest", 400):
        client.put_object(Bucket="bucket", Key="k", Body=b"x", ChecksumCRC32=crc("CRC32", b"x"),
                          ChecksumCRC32C=crc("CRC32C", b"x"))  # fmt: skip

    def forget(request: Any, **_: object) -> None:
        del request.headers["x-amz-checksum-crc32"]

    server.credentials = None
    client.meta.events.register("before-send.s3.PutObject", forget)
    with refused("InvalidRequest", 400):
        client.put_object(Bucket="bucket", Key="k", Body=b"x", ChecksumAlgorithm="CRC32")
    assert server.requests[-1].headers["x-amz-sdk-checksum-algorithm"] == "CRC32"


def test_what_is_said_about_an_object_comes_back(server: FaultServer) -> None:
    """Content headers, metadata, storage class and tags are as they were put, in HEAD, GET, listings."""
    said = {
        "ContentType": "text/x",
        "ContentEncoding": "gzip",
        "ContentLanguage": "de",
        "ContentDisposition": 'attachment; filename="x y"',
        "CacheControl": "no-store",
        "StorageClass": "STANDARD_IA",
        "ServerSideEncryption": "AES256",
        "Metadata": {"one": "1", "two": "zwei"},
    }
    client = client_for(server)
    client.put_object(Bucket="bucket", Key="key", Body=BODY, Tagging="a=b&c%20d=e%2Bf", **said)
    got = client.get_object(Bucket="bucket", Key="key")
    assert got["Body"].read() == BODY
    for reply in (client.head_object(Bucket="bucket", Key="key"), got):
        assert {name: reply[name] for name in said} == said
        assert reply.get("TagCount") == 2
    tags = client.get_object_tagging(Bucket="bucket", Key="key")["TagSet"]
    assert tags == [{"Key": "a", "Value": "b"}, {"Key": "c d", "Value": "e+f"}]
    (entry,) = client.list_objects_v2(Bucket="bucket", Prefix="key")["Contents"]
    assert (entry["StorageClass"], entry["Size"]) == ("STANDARD_IA", len(BODY))
    with refused("MetadataTooLarge", 400):
        client.put_object(Bucket="bucket", Key="key", Body=b"", Metadata={"a": "b" * 2048})
    with refused("InvalidStorageClass", 400):
        client.put_object(Bucket="bucket", Key="key", Body=b"", StorageClass="COLD")
    with refused("KeyTooLongError", 400):
        client.put_object(Bucket="bucket", Key="k" * 1025, Body=b"")


def test_conditional_put(server: FaultServer) -> None:
    """If-None-Match creates only, If-Match replaces only what it names, and neither leaves a trace otherwise."""
    client = client_for(server)
    first = client.put_object(Bucket="bucket", Key="lock", Body=b"", IfNoneMatch="*")["ETag"]
    with refused("PreconditionFailed", 412):
        client.put_object(Bucket="bucket", Key="lock", Body=b"2", IfNoneMatch="*")
    with refused("NotImplemented", 501):
        client.put_object(Bucket="bucket", Key="lock", Body=b"2", IfNoneMatch=first)
    with refused("PreconditionFailed", 412):
        client.put_object(Bucket="bucket", Key="lock", Body=b"2", IfMatch='"other"')
    with refused("NoSuchKey", 404):
        client.put_object(Bucket="bucket", Key="none", Body=b"2", IfMatch=first)
    assert client.get_object(Bucket="bucket", Key="lock")["Body"].read() == b""
    client.put_object(Bucket="bucket", Key="lock", Body=b"3", IfMatch=first)
    assert client.get_object(Bucket="bucket", Key="lock")["Body"].read() == b"3"


def test_copy_object(server: FaultServer) -> None:
    """A copy has the bytes and checksum of its source, and what is said about it by choice of directive."""
    client = client_for(server)
    source = {"Bucket": "bucket", "Key": "source/a b+c"}
    tagged = server.store.get("bucket", "source/a b+c")
    assert tagged is not None
    server.store.put("bucket", "source/a b+c", replace(tagged, tags={"t": "1"}))
    etag = client.head_object(**source)["ETag"]
    copied = client.copy_object(Bucket="bucket", Key="copy", CopySource=source, CopySourceIfMatch=etag)
    assert copied["CopyObjectResult"]["ETag"] == etag
    assert copied["CopyObjectResult"]["ChecksumCRC32C"] == crc("CRC32C", BODY)
    reply = client.get_object(Bucket="bucket", Key="copy")
    assert (reply["Body"].read(), reply["Metadata"], reply["TagCount"]) == (BODY, {"a": "b"}, 1)
    client.copy_object(Bucket="bucket", Key="new", CopySource=source, MetadataDirective="REPLACE", ContentType="x/y",
                       StorageClass="GLACIER_IR", ChecksumAlgorithm="SHA256", TaggingDirective="REPLACE")  # fmt: skip
    head = client.head_object(Bucket="bucket", Key="new", ChecksumMode="ENABLED")
    assert (head["Metadata"], head["ContentType"], head["StorageClass"]) == ({}, "x/y", "GLACIER_IR")
    got = client.get_object(Bucket="bucket", Key="new")
    assert (got["Body"].read(), "TagCount" in got) == (BODY, False)
    assert head["ChecksumSHA256"] == crc("SHA256", BODY)
    with refused("PreconditionFailed", 412):
        client.copy_object(Bucket="bucket", Key="copy", CopySource=source, CopySourceIfMatch='"other"')
    with refused("NoSuchKey", 404):
        client.copy_object(Bucket="bucket", Key="copy", CopySource="bucket/none")
    with refused("InvalidRequest", 400):
        client.copy_object(**source, CopySource=source)
    client.copy_object(**source, CopySource=source, WebsiteRedirectLocation="/new.html")
    redirected = client.head_object(**source)
    assert (redirected["WebsiteRedirectLocation"], redirected["Metadata"]) == ("/new.html", {"a": "b"})


def test_deletes(server: FaultServer) -> None:
    """Deleting succeeds whether or not there is an object; a batch tells each key that it refused."""
    client = client_for(server)
    for key in ("a", "b", "c/1", "&<ü"):
        client.put_object(Bucket="bucket", Key=key, Body=b"1")
    with refused("PreconditionFailed", 412):
        client.delete_object(Bucket="bucket", Key="a", IfMatch='"other"')
    assert client.delete_object(Bucket="bucket", Key="none")["ResponseMetadata"]["HTTPStatusCode"] == 204
    keys = [{"Key": key} for key in ("a", "none", "&<ü")]
    refusing = RefuseDelete(pattern="c/*")
    server.add_fault(refusing)
    reply = client.delete_objects(Bucket="bucket", Delete={"Objects": [*keys, {"Key": "c/1"}]})
    assert [one["Key"] for one in reply["Deleted"]] == ["a", "none", "&<ü"]
    assert [(one["Key"], one["Code"]) for one in reply["Errors"]] == [("c/1", "AccessDenied")]
    assert server.fired(refusing) == 1
    assert sorted(server.store.in_bucket("bucket")) == ["b", "c/1", "source/a b+c"]
    quiet = client.delete_objects(Bucket="bucket", Delete={"Objects": [{"Key": "b"}], "Quiet": True})
    assert "Deleted" not in quiet
    with refused("MalformedXML", 400):
        client.delete_objects(Bucket="bucket", Delete={"Objects": [{"Key": str(n)} for n in range(1001)]})


def test_versions_of_an_unversioned_bucket(server: FaultServer) -> None:
    """Every object is its own latest version, named null, over pages of any size."""
    client = client_for(server)
    keys = ["a", "b/1", "b/2", "c +"]
    for key in keys:
        client.put_object(Bucket="bucket", Key=key, Body=b"12")
    server.store.delete("bucket", "source/a b+c")
    pages = client.get_paginator("list_object_versions")
    for size in (1, 3, 1000):
        got = list(pages.paginate(Bucket="bucket", PaginationConfig={"PageSize": size}))
        versions = [one for page in got for one in page["Versions"]]
        assert [one["Key"] for one in versions] == keys
        assert {(one["VersionId"], one["IsLatest"], one["Size"]) for one in versions} == {("null", True, 2)}
    first = client.list_object_versions(Bucket="bucket", MaxKeys=1)
    assert (first["NextKeyMarker"], first["NextVersionIdMarker"]) == ("a", "null")
    folded = client.list_object_versions(Bucket="bucket", Delimiter="/", KeyMarker="a")
    assert ([one["Key"] for one in folded["Versions"]], folded["CommonPrefixes"]) == (["c +"], [{"Prefix": "b/"}])


def test_presigned_get(server: FaultServer) -> None:
    """A presigned URL needs no other credentials; altered, expired or foreign ones are refused."""
    client = client_for(server)
    params = {"Bucket": "bucket", "Key": "source/a b+c", "ResponseContentType": "text/plain"}
    url = client.generate_presigned_url("get_object", Params=params, ExpiresIn=60)
    assert send("GET", url) == (200, BODY)
    got = client.get_object(**params)
    assert (got["Body"].read(), got["ContentType"]) == (BODY, "text/plain")
    for changed in (url.replace("source/", "Source/"), url.replace("text", "texx"), url[:-1] + "z"):
        status, document = send("GET", changed)
        assert (status, b"<Code>SignatureDoesNotMatch</Code>" in document) == (403, True)
    status, document = send("GET", url.replace("X-Amz-Expires=60", "X-Amz-Expires=604801"))
    assert (status, b"AuthorizationQueryParametersError" in document) == (400, True)
    old = client.generate_presigned_url("get_object", Params=params, ExpiresIn=1)
    server.credentials = Credentials(ACCESS_KEY, "other")
    status, document = send("GET", old)
    assert (status, b"<Code>SignatureDoesNotMatch</Code>" in document) == (403, True)
    with FaultServer(
        {"bucket/key": BODY}, credentials=Credentials(ACCESS_KEY, SECRET_KEY), clock_offset_s=7200
    ) as late:
        url = client_for(late).generate_presigned_url("get_object", Params={"Bucket": "bucket", "Key": "key"})
        status, document = send("GET", url)
    assert (status, b"Request has expired" in document) == (403, True)


@pytest.mark.parametrize(
    ("framing", "status", "code"),
    [("X-None: 1", 411, b"MissingContentLength"), ("Transfer-Encoding: chunked", 501, b"NotImplemented")],
)
def test_length_must_be_known(framing: str, status: int, code: bytes) -> None:
    """A PUT that does not tell its length is refused, and stores nothing."""
    with FaultServer(buckets=["bucket"]) as server, Wire(server) as wire:
        wire.send(f"PUT /bucket/key HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n".encode())
        if status == 501:
            wire.send(b"3\r\n123\r\n0\r\n\r\n")
        got, text = wire.reply()
        assert (got, code in text, server.store.get("bucket", "key")) == (status, True, None)


def test_broken_framing() -> None:
    """An aws-chunked body that is cut, of another length, or without its announced trailer is refused."""
    lines = ("Content-Encoding: gzip,aws-chunked", "x-amz-decoded-content-length: 3")
    trailer = (*lines, "x-amz-trailer: x-amz-checksum-crc32")
    with FaultServer(buckets=["bucket"]) as server, Wire(server) as wire:
        for body, said, code in [
            (b"4\r\n123\r\n0\r\n\r\n", lines, b"IncompleteBody"),
            (b"3\r\n123\r\n", lines, b"InvalidRequest"),
            (b"4\r\n1234\r\n0\r\n\r\n", lines, b"InvalidRequest"),
            (b"3\r\n123\r\n0\r\n\r\n", trailer, b"MalformedTrailerError"),
        ]:
            wire.head("PUT", "/bucket/key", len(body), *said)
            wire.send(body)
            status, text = wire.reply()
            assert (status, b"<Code>%b</Code>" % code in text) == (400, True)
        whole = b"2;chunk-signature=a\r\n12\r\n1\r\n3\r\n0\r\n\r\n"
        wire.head("PUT", "/bucket/key", len(whole), *lines)
        wire.send(whole)
        assert wire.reply()[0] == 200
        stored = server.store.get("bucket", "key")
        assert stored is not None
        assert (stored.body, stored.content_encoding) == (b"123", "gzip")
