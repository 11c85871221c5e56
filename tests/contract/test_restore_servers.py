"""Objects restored from real servers over HTTP and TLS, by each transport and into each landing."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from bulkhaul import Engine, errors
from bulkhaul.model.settings import Timeouts
from tests.engines import assert_nothing_held, running_engine
from tests.faultserver import MIB
from tests.faultserver.objects import Algorithm, ChecksumType
from tests.servers import RunningServer, make_certificates, moto, nginx_proxy, weed

CONTENT = random.Random(11).randbytes(12 * MIB + 3)
UPLOAD_PART_BYTES = 5 * MIB
SIZES = {"empty": 0, "one": 1, "small": 70_001, "one-part": 2 * MIB, "odd": 2 * MIB + 1, "large": len(CONTENT)}
ODD_KEYS = ["a b", "plus+plus", "100%", "%41", "ü/é", "tilde~", "q?a=b&c#d", "it's (odd) !*", "日本", "semi;colon,=@:$"]
MULTIPART: list[tuple[Algorithm, ChecksumType]] = [
    ("CRC32", "FULL_OBJECT"),
    ("CRC32", "COMPOSITE"),
    ("CRC32C", "FULL_OBJECT"),
    ("CRC32C", "COMPOSITE"),
    ("CRC64NVME", "FULL_OBJECT"),
]
SMALL_COUNT = 20


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, RunningServer]]:
    """SeaweedFS, the same behind nginx with TLS, and moto; each holds the same objects."""
    certificates = make_certificates(tmp_path_factory.mktemp("certificates"))
    with ExitStack() as stack:
        seaweed, mock = stack.enter_context(weed()), stack.enter_context(moto())
        for server in (seaweed, mock):
            fill(server)
        yield {
            "weed": seaweed,
            "weed-tls": stack.enter_context(nginx_proxy(seaweed, certificates=certificates)),
            "moto": mock,
        }


def fill(server: RunningServer) -> None:
    """Store what the tests restore."""
    client = server.client()
    client.create_bucket(Bucket="bucket")
    for name, size in SIZES.items():
        client.put_object(Bucket="bucket", Key=f"sizes/{name}", Body=CONTENT[:size])
    for number, key in enumerate(ODD_KEYS):
        client.put_object(Bucket="bucket", Key=f"odd/{key}", Body=b"odd %d" % number)
    for number in range(SMALL_COUNT):
        client.put_object(Bucket="bucket", Key=f"many/{number % 3}/{number:03}.bin", Body=b"small %d" % number)
    for algorithm, kind in MULTIPART:
        upload(client, f"multipart/{algorithm}-{kind}", algorithm, kind)


def upload(client: Any, key: str, algorithm: Algorithm, kind: ChecksumType) -> None:
    """Upload CONTENT in parts with a checksum."""
    names = {"Bucket": "bucket", "Key": key}
    begun = client.create_multipart_upload(**names, ChecksumAlgorithm=algorithm, ChecksumType=kind)
    parts = []
    for number, start in enumerate(range(0, len(CONTENT), UPLOAD_PART_BYTES), start=1):
        sent = client.upload_part(
            **names,
            UploadId=begun["UploadId"],
            PartNumber=number,
            Body=CONTENT[start : start + UPLOAD_PART_BYTES],
            ChecksumAlgorithm=algorithm,
        )
        field = f"Checksum{algorithm}"
        parts.append({"PartNumber": number, "ETag": sent["ETag"], field: sent[field]})
    client.complete_multipart_upload(
        **names, UploadId=begun["UploadId"], ChecksumType=kind, MultipartUpload={"Parts": parts}
    )


def settings(server: RunningServer) -> dict[str, Any]:
    """Return an engine's settings for a server."""
    bundle = None if server.ca_bundle is None else str(server.ca_bundle)
    return {"ca_bundle": bundle, "part_size_bytes": 2 * MIB, "timeouts": Timeouts()}


def keys_of(server: RunningServer) -> dict[str, str]:
    """Return a server's credentials as environment variables."""
    return {"AWS_ACCESS_KEY_ID": server.access_key, "AWS_SECRET_ACCESS_KEY": server.secret_key}


@pytest.fixture(
    scope="module",
    params=[
        ("weed", "fast", "mapped"),
        ("weed", "fast", "written"),
        ("weed", "sdk", "mapped"),
        ("weed", "sdk", "written"),
        ("weed-tls", "fast", "mapped"),
        ("weed-tls", "sdk", "written"),
        ("moto", "fast", "written"),
        ("moto", "sdk", "mapped"),
    ],
    ids="-".join,
)
def restoring(
    request: pytest.FixtureRequest, servers: dict[str, RunningServer]
) -> Iterator[tuple[RunningServer, Engine]]:
    """An engine of one transport and one landing, and the server that it asks."""
    name, transport, landing = request.param
    server = servers[name]
    chosen = {**settings(server), "transport": transport, "landing": landing}
    with running_engine(server.endpoint_url, keys_of(server), **chosen) as engine:
        yield server, engine


@pytest.mark.parametrize("name", SIZES)
def test_sizes(restoring: tuple[RunningServer, Engine], tmp_path: Path, name: str) -> None:
    """Every size arrives exact, from nothing to several parts with an odd rest, with the service's ETag."""
    server, engine = restoring
    result = engine.download(f"s3://bucket/sizes/{name}", tmp_path / "restored")
    assert (tmp_path / "restored").read_bytes() == CONTENT[: SIZES[name]]
    head = server.client().head_object(Bucket="bucket", Key=f"sizes/{name}")
    assert (result.size, result.etag) == (SIZES[name], head["ETag"])
    assert result.parts == -(-SIZES[name] // (2 * MIB))
    assert_nothing_held(engine, tmp_path)


@pytest.mark.parametrize("name", ["empty", "small", "large"])
def test_verify_full(servers: dict[str, RunningServer], tmp_path: Path, name: str) -> None:
    """With `verify="full"` a plain MD5 is checked as well, so that an object without a checksum has one."""
    server = servers["weed"]
    with running_engine(server.endpoint_url, keys_of(server), **settings(server), verify="full") as engine:
        result = engine.download(f"s3://bucket/sizes/{name}", tmp_path / "restored")
    assert result.integrity == "checksum"
    assert result.etag == f'"{hashlib.md5(CONTENT[: SIZES[name]]).hexdigest()}"'


def test_multipart_checksums(restoring: tuple[RunningServer, Engine], tmp_path: Path) -> None:
    """What was uploaded in parts is checked by its stored checksum, of the object or of its parts."""
    server, engine = restoring
    for algorithm, kind in MULTIPART:
        key = f"multipart/{algorithm}-{kind}"
        head = server.client().head_object(Bucket="bucket", Key=key, ChecksumMode="ENABLED")
        assert head["ChecksumType"] == kind
        if server.access_key == "moto" and algorithm == "CRC32C":
            continue  # moto stores a CRC32 under this name where the crc32c module is missing
        result = engine.download(f"s3://bucket/{key}", tmp_path / "restored")
        assert (tmp_path / "restored").read_bytes() == CONTENT
        assert result.integrity == "checksum"


def test_odd_keys(restoring: tuple[RunningServer, Engine], tmp_path: Path) -> None:
    """Keys are used as they are: spaces, plus, percent, Unicode and punctuation neither break nor meet."""
    _, engine = restoring
    for number, key in enumerate(ODD_KEYS):
        if "*" in key or "?" in key:
            continue  # by itself it would be a pattern
        engine.download(f"s3://bucket/odd/{key}", tmp_path / f"{number}")
        assert (tmp_path / f"{number}").read_bytes() == b"odd %d" % number
    results = list(engine.download_many("s3://bucket/odd/", tmp_path / "all"))
    assert {result.key: result.failure for result in results} == {f"odd/{key}": None for key in ODD_KEYS}
    for number, key in enumerate(ODD_KEYS):
        assert (tmp_path / "all" / key).read_bytes() == b"odd %d" % number


def test_prefix_and_patterns(restoring: tuple[RunningServer, Engine], tmp_path: Path) -> None:
    """A prefix brings everything below it, a pattern what matches it, and filters choose among that."""
    _, engine = restoring
    assert {r.error for r in engine.download_many("s3://bucket/many/", tmp_path / "all")} == {None}
    for number in range(SMALL_COUNT):
        path = tmp_path / "all" / f"{number % 3}" / f"{number:03}.bin"
        assert path.read_bytes() == b"small %d" % number
    assert sum(path.is_file() for path in (tmp_path / "all").rglob("*")) == SMALL_COUNT
    found = engine.download_many("s3://bucket/many/?/00*.bin", tmp_path / "some", recursive=False, exclude=["*7.bin"])
    assert sorted(result.key[-7:] for result in found) == [f"00{n}.bin" for n in range(10) if n != 7]
    assert_nothing_held(engine, tmp_path)


def test_nothing_there(restoring: tuple[RunningServer, Engine], tmp_path: Path) -> None:
    """A missing key, bucket or prefix is NotFound, by its name, and makes no file."""
    _, engine = restoring
    with pytest.raises(errors.NotFound, match="s3://bucket/no-such-key"):
        engine.download("s3://bucket/no-such-key", tmp_path / "a")
    with pytest.raises(errors.NotFound, match="s3://no-such-bucket/key"):
        engine.download("s3://no-such-bucket/key", tmp_path / "b")
    with pytest.raises(errors.NotFound):
        list(engine.download_many("s3://bucket/no-such-prefix/", tmp_path / "c"))
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("transport", ["fast", "sdk"])
@pytest.mark.parametrize("server_name", ["weed", "weed-tls"])
def test_wrong_credentials(servers: dict[str, RunningServer], tmp_path: Path, transport: str, server_name: str) -> None:
    """Keys that the server does not accept are AccessDenied at once, and never shown."""
    server = servers[server_name]
    chosen = {**settings(server), "transport": transport}
    for variables in ({"AWS_ACCESS_KEY_ID": "nobody"}, {"AWS_SECRET_ACCESS_KEY": "wrong-canary"}):
        with running_engine(server.endpoint_url, keys_of(server) | variables, **chosen) as engine:
            with pytest.raises(errors.AccessDenied) as caught:
                engine.download("s3://bucket/sizes/small", tmp_path / "restored")
            with pytest.raises(errors.AccessDenied):
                list(engine.download_many("s3://bucket/many/", tmp_path / "many"))
        assert server.secret_key not in repr(caught.value)
        assert "wrong-canary" not in repr(caught.value)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_no_credentials(servers: dict[str, RunningServer], tmp_path: Path) -> None:
    """Without any keys the error says how to give them; unsigned requests must be asked for."""
    server = servers["weed"]
    with running_engine(server.endpoint_url, {}, **settings(server)) as engine:
        with pytest.raises(errors.CredentialsError, match="--no-sign-request"):
            engine.download("s3://bucket/sizes/small", tmp_path / "restored")
    with running_engine(server.endpoint_url, {}, **settings(server), sign_requests=False) as engine:
        with pytest.raises(errors.AccessDenied):
            engine.download("s3://bucket/sizes/small", tmp_path / "restored")


@pytest.mark.parametrize("transport", ["fast", "sdk"])
def test_trust(servers: dict[str, RunningServer], tmp_path: Path, transport: str) -> None:
    """AWS_CA_BUNDLE is trusted, a strange certificate is refused by name, and not verifying must be asked for."""
    server = servers["weed-tls"]
    chosen = {**settings(server), "ca_bundle": None, "transport": transport}
    bundle = keys_of(server) | {"AWS_CA_BUNDLE": str(server.ca_bundle)}
    with running_engine(server.endpoint_url, bundle, **chosen) as engine:
        engine.download("s3://bucket/sizes/large", tmp_path / "trusted")
    with running_engine(server.endpoint_url, keys_of(server), **chosen, verify_tls=False) as engine:
        engine.download("s3://bucket/sizes/large", tmp_path / "unverified")
    assert (tmp_path / "trusted").read_bytes() == (tmp_path / "unverified").read_bytes() == CONTENT
    with running_engine(server.endpoint_url, keys_of(server), **chosen) as engine:
        with pytest.raises(errors.OtherError, match="AWS_CA_BUNDLE"):
            engine.download("s3://bucket/sizes/large", tmp_path / "refused")
    assert not (tmp_path / "refused").exists()


def test_profile(servers: dict[str, RunningServer], tmp_path: Path) -> None:
    """Keys, region and endpoint come from a named profile as the SDK reads it."""
    server = servers["weed"]
    configuration = tmp_path / "config"
    configuration.write_text(
        f"[profile restore]\nregion = eu-central-1\nendpoint_url = {server.endpoint_url}\n"
        f"aws_access_key_id = {server.access_key}\naws_secret_access_key = {server.secret_key}\n"
    )
    variables = {"AWS_CONFIG_FILE": str(configuration)}
    with running_engine(None, variables, profile="restore", **settings(server)) as engine:
        engine.download("s3://bucket/sizes/large", tmp_path / "restored")
    assert (tmp_path / "restored").read_bytes() == CONTENT
