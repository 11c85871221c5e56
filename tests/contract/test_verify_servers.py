"""Comparisons on real servers: ETags of uploads in parts as SeaweedFS makes them, checksums as moto stores them."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from boto3.s3.transfer import TransferConfig

from bulkhaul import Engine
from bulkhaul.jobs.verify_against import verify_against
from bulkhaul.jobs.verify_options import VerifyOptions
from bulkhaul.jobs.verifying import verify
from bulkhaul.model.verdicts import Evidence, Verdict
from tests.engines import await_workers, running_engine
from tests.faultserver import MIB
from tests.servers import RunningServer, moto, weed

CONTENT = random.Random(23).randbytes(21 * MIB + 5)
FLIPPED = CONTENT[:-9] + bytes([CONTENT[-9] ^ 1]) + CONTENT[-8:]
EQUAL, DIFFERENT, UNDECIDABLE = Verdict.EQUAL, Verdict.DIFFERENT, Verdict.UNDECIDABLE


@pytest.fixture(scope="module")
def servers() -> Iterator[dict[str, tuple[RunningServer, Engine]]]:
    """SeaweedFS and moto, with an engine before each."""
    with ExitStack() as stack:
        found = {}
        for name, server in (("weed", stack.enter_context(weed())), ("moto", stack.enter_context(moto()))):
            server.client().create_bucket(Bucket="bucket")
            engine = stack.enter_context(running_engine(server.endpoint_url, server.keys()))
            found[name] = (server, await_workers(engine))
        yield found


def upload(client: Any, key: str, body: bytes, part_bytes: int, **fields: Any) -> None:
    """Upload in parts, with a checksum if one is named."""
    names = {"Bucket": "bucket", "Key": key}
    begun = client.create_multipart_upload(**names, **fields)
    algorithm = fields.get("ChecksumAlgorithm")
    parts = []
    for number, start in enumerate(range(0, len(body), part_bytes), start=1):
        more = {"ChecksumAlgorithm": algorithm} if algorithm else {}
        piece = body[start : start + part_bytes]
        sent = client.upload_part(**names, UploadId=begun["UploadId"], PartNumber=number, Body=piece, **more)
        told = {f"Checksum{algorithm}": sent[f"Checksum{algorithm}"]} if algorithm else {}
        parts.append({"PartNumber": number, "ETag": sent["ETag"], **told})
    client.complete_multipart_upload(**names, UploadId=begun["UploadId"], MultipartUpload={"Parts": parts})


def verdict(
    engine: Engine, one: str | Path, other: str | Path, options: VerifyOptions | None = None
) -> tuple[Verdict, Evidence | None]:
    """Compare one object or file of each."""
    (result,) = verify(engine, one, other, options)
    return result.verdict, result.evidence


@pytest.mark.parametrize("name", ["weed", "moto"])
@pytest.mark.parametrize("part_mib", [5, 8, 15, 16])
def test_etags_of_parts(
    servers: dict[str, tuple[RunningServer, Engine]], tmp_path: Path, name: str, part_mib: int
) -> None:
    """The usual lengths of parts are found; a flipped bit is never equal, and reading tells that it is different."""
    server, engine = servers[name]
    upload(server.client(request_checksum_calculation="when_required"), f"etag/{part_mib}", CONTENT, part_mib * MIB)
    url, file = f"s3://bucket/etag/{part_mib}", tmp_path / "file"
    file.write_bytes(CONTENT)
    levels = VerifyOptions(compare="etag")
    assert verdict(engine, file, url, levels) == (EQUAL, Evidence.MULTIPART_ETAG)
    file.write_bytes(FLIPPED)
    assert verdict(engine, file, url, levels)[0] is not EQUAL
    found = verdict(engine, file, url, VerifyOptions(compare="etag", read=True))
    assert found in ((DIFFERENT, Evidence.BYTES), (DIFFERENT, Evidence.MULTIPART_ETAG))


def test_an_odd_length_of_parts(servers: dict[str, tuple[RunningServer, Engine]], tmp_path: Path) -> None:
    """Parts of a length that nobody uses are found if it is named."""
    server, engine = servers["weed"]
    odd = 7 * MIB + 77
    upload(server.client(request_checksum_calculation="when_required"), "odd", CONTENT, odd)
    file = tmp_path / "file"
    file.write_bytes(CONTENT)
    named = VerifyOptions(compare="etag", part_size_bytes=odd)
    assert verdict(engine, file, "s3://bucket/odd", named) == (EQUAL, Evidence.MULTIPART_ETAG)


def test_boto3_and_our_own_uploads(servers: dict[str, tuple[RunningServer, Engine]], tmp_path: Path) -> None:
    """What boto3 and this engine upload, as file and as stream, is equal to the file without --read."""
    file = tmp_path / "file"
    file.write_bytes(CONTENT)
    for name, (server, engine) in servers.items():
        server.client().upload_file(str(file), "bucket", "boto3", Config=TransferConfig())
        engine.upload(file, "s3://bucket/ours")
        with file.open("rb") as stream:
            engine.upload_stream(stream.fileno(), "s3://bucket/stream")
        for key in ("boto3", "ours", "stream"):
            for level in ("checksum", "etag"):
                found = verdict(engine, file, f"s3://bucket/{key}", VerifyOptions(compare=level))
                assert found[0] is EQUAL, (name, key, level, found)


@pytest.mark.parametrize("algorithm", ["CRC32", "CRC32C"])
def test_composite_checksums_of_moto(
    servers: dict[str, tuple[RunningServer, Engine]], tmp_path: Path, algorithm: str
) -> None:
    """Against a file by the parts that the service tells; against other parts by folding them; a flipped bit shows."""
    server, engine = servers["moto"]
    client = server.client()
    for key, body, part_mib in (("a", CONTENT, 5), ("b", CONTENT, 8), ("flipped", FLIPPED, 8)):
        fields = {"ChecksumAlgorithm": algorithm, "ChecksumType": "COMPOSITE"}
        upload(client, f"{algorithm}/{key}", body, part_mib * MIB, **fields)
    base, file = f"s3://bucket/{algorithm}/", tmp_path / "file"
    file.write_bytes(CONTENT)
    for key in ("a", "b"):
        assert verdict(engine, file, f"{base}{key}")[0] is EQUAL
    assert verdict(engine, file, f"{base}flipped")[0] is not EQUAL
    assert verdict(engine, f"{base}a", f"{base}b", VerifyOptions(read=True))[0] is EQUAL
    assert verdict(engine, f"{base}a", f"{base}flipped", VerifyOptions(read=True))[0] is DIFFERENT


def test_folders_and_prefixes(servers: dict[str, tuple[RunningServer, Engine]], tmp_path: Path) -> None:
    """Two services, a folder, and a certificate of them."""
    folder = tmp_path / "files"
    for name in ("a", "b/c", "b/d", "empty"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode() * 1000 if name != "empty" else b"")
    (_, seaweed), (_, mock) = servers["weed"], servers["moto"]
    for engine in (seaweed, mock):
        assert all(result.ok for result in engine.upload_many(folder, "s3://bucket/tree/"))
        assert {result.verdict for result in verify(engine, folder, "s3://bucket/tree/")} == {EQUAL}
    certificate = tmp_path / "certificate"
    options = VerifyOptions(certificate=str(certificate), compare="checksum,tags", read=True)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in servers["weed"][0].keys().items():
            patch.setenv(name, value)
        origin = mock.beside(seaweed.settings)
        results = list(verify(mock, "s3://bucket/tree/", "s3://bucket/tree/", options, origin=origin))
    assert [(result.name, result.verdict) for result in results] == [
        (name, EQUAL) for name in ("a", "b/c", "b/d", "empty")
    ]
    for place in (folder, "s3://bucket/tree/"):
        assert {result.verdict for result in verify_against(mock, certificate, place)} == {EQUAL}
