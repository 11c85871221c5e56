"""What a copy is asked to keep, on real servers: by the service whole and in parts, and from one service to another."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import msgspec
import pytest

from bulkhaul import AsyncEngine, Engine, errors
from bulkhaul.model.limits import MIB
from bulkhaul.model.objects import Content
from bulkhaul.model.preserving import Kept, ObjectLock
from bulkhaul.model.rows import Action, Row
from bulkhaul.model.writing import ObjectOptions
from bulkhaul.testing.faultserver.faults import Exchange
from tests.engines import aws_environment
from tests.faultserver import Fault, Status, make_object
from tests.faultserver.store import store_of
from tests.servers import RunningServer, moto, weed
from tests.writing import WriteRig, engine_at, serving_site

Way = Literal["whole", "parts", "relay", "relay-parts"]
BODY = random.Random(5).randbytes(5 * MIB + 99)
EVERYBODY = "http://acs.amazonaws.com/groups/global/AllUsers"
UNTIL = (datetime.now(UTC) + timedelta(days=3)).replace(microsecond=0)
ALL = frozenset(Kept)
WAYS = pytest.mark.parametrize("way", ["whole", "parts", "relay", "relay-parts"])


@dataclass
class Services:
    """Two services, and engines of the second that copy whole, or in parts."""

    first: RunningServer
    second: RunningServer
    whole: Engine
    parts: Engine

    def copy(self, way: Way, key: str, **more: Any) -> Any:
        """Copy an object from the bucket ``from`` to ``copies``; relays come from the first service."""
        engine = self.parts if way.endswith("parts") else self.whole
        origin: AsyncEngine | None = None
        if way.startswith("relay"):
            settings = msgspec.structs.replace(engine.settings, endpoint_url=self.first.endpoint_url)
            origin = engine.beside(settings)
        return engine.copy(f"s3://from/{key}", f"s3://copies/{key}", origin=origin, **more)

    def source_of(self, way: Way) -> Any:
        """A client of the service of the source."""
        return (self.first if way.startswith("relay") else self.second).client()


@contextmanager
def two_engines(first: RunningServer, second: RunningServer) -> Iterator[Services]:
    """Run an engine that copies in one request, and one that copies in parts."""
    keys = {"AWS_ACCESS_KEY_ID": first.access_key, "AWS_SECRET_ACCESS_KEY": first.secret_key}
    settings: dict[str, Any] = {"endpoint_url": second.endpoint_url, "workers": 1, "part_size_bytes": 5 * MIB}
    with (
        aws_environment(keys),
        Engine(**settings) as whole,
        Engine(**settings, multipart_threshold_bytes=5 * MIB) as parts,
    ):
        yield Services(first, second, whole, parts)


@pytest.fixture(scope="module")
def services() -> Iterator[Services]:
    """Two motos, which keep all but locks."""
    with moto() as first, moto() as second, two_engines(first, second) as found:
        for server in (first, second):
            for name in ("from", "copies"):
                server.client().create_bucket(Bucket=name)
        yield found


def put(client: Any, key: str, **more: Any) -> None:
    """Store the object that is copied."""
    client.put_object(Bucket="from", Key=key, Body=BODY, Metadata={"colour": "red"}, ContentLanguage="de", **more)


def grants(client: Any, bucket: str, key: str) -> set[tuple[str, str]]:
    """What the ACL of an object gives, and to whom."""
    told = client.get_object_acl(Bucket=bucket, Key=key)["Grants"]
    return {(one["Permission"], one["Grantee"].get("ID") or one["Grantee"]["URI"]) for one in told}


@WAYS
def test_grants_are_kept(services: Services, way: Way) -> None:
    """Each grant goes along, also those that no canned ACL makes."""
    client = services.source_of(way)
    put(
        client, f"grants-{way}", GrantRead=f'uri="{EVERYBODY}"', GrantReadACP='id="someone"', GrantFullControl='id="me"'
    )
    services.copy(way, f"grants-{way}", preserve={Kept.ACL})
    wanted = {("READ", EVERYBODY), ("READ_ACP", "someone"), ("FULL_CONTROL", "me")}
    assert grants(client, "from", f"grants-{way}") == wanted
    assert grants(services.second.client(), "copies", f"grants-{way}") == wanted


@WAYS
@pytest.mark.parametrize("name", ["public-read", "authenticated-read"])
def test_canned_acl_is_kept(services: Services, way: Way, name: str) -> None:
    """What is exactly a canned ACL arrives as that."""
    key = f"{name}-{way}"
    put(services.source_of(way), key, ACL=name)
    services.copy(way, key, preserve={Kept.ACL})
    assert grants(services.second.client(), "copies", key) == grants(services.source_of(way), "from", key)


@pytest.mark.parametrize("way", ["whole", "relay"])
def test_private_is_kept(services: Services, way: Way) -> None:
    """An object that nobody else may read needs no grant: buckets refuse them where owners are enforced."""
    put(services.source_of(way), f"private-{way}")
    services.copy(way, f"private-{way}", preserve={Kept.ACL})
    assert len(grants(services.second.client(), "copies", f"private-{way}")) == 1


@WAYS
def test_all_that_moto_keeps(services: Services, way: Way) -> None:
    """Tags, metadata, content headers and storage class, by every way at once, for a row, and moved."""
    client, key = services.source_of(way), f"all-{way}"
    put(client, key, Tagging="team=blue&x=1", StorageClass="STANDARD_IA", ACL="public-read")
    engine = services.parts if way.endswith("parts") else services.whole
    settings = msgspec.structs.replace(engine.settings, endpoint_url=services.first.endpoint_url)
    row = Row(n=0, action=Action.COPY, source=f"s3://from/{key}", destination=f"s3://copies/{key}")
    origin = engine.beside(settings) if way.startswith("relay") else None
    kept = ALL - {Kept.LOCK}
    (result,) = engine.copy_rows([[row]], origin=origin, preserve=kept, move=True)
    assert result.failure is None
    here = services.second.client()
    head = here.head_object(Bucket="copies", Key=key)
    metadata = {name: text for name, text in head["Metadata"].items() if not name.startswith("bulkhaul-")}
    assert (metadata, head["ContentLanguage"], head["StorageClass"]) == ({"colour": "red"}, "de", "STANDARD_IA")
    tags = here.get_object_tagging(Bucket="copies", Key=key)["TagSet"]
    assert {one["Key"]: one["Value"] for one in tags} == {"team": "blue", "x": "1"}
    assert ("READ", EVERYBODY) in grants(here, "copies", key)
    assert "Contents" not in client.list_objects_v2(Bucket="from", Prefix=key)


@WAYS
@pytest.mark.parametrize("kept", [frozenset(), frozenset({Kept.METADATA})])
def test_website_redirect_is_kept(services: Services, way: Way, kept: frozenset[Kept]) -> None:
    """No directive of a copy takes it along (S3 API, CopyObject), so it is sent with every request that copies."""
    key = f"redirect-{way}-{len(kept)}"
    put(services.source_of(way), key, WebsiteRedirectLocation="/elsewhere.html", Tagging="x=1")
    services.copy(way, key, preserve=kept)
    head = services.second.client().head_object(Bucket="copies", Key=key)
    assert (head["WebsiteRedirectLocation"], head["ContentLanguage"]) == ("/elsewhere.html", "de")
    assert head["Metadata"]["colour"] == "red"
    tags = services.second.client().get_object_tagging(Bucket="copies", Key=key)["TagSet"]
    assert tags == [{"Key": "x", "Value": "1"}]


@WAYS
@pytest.mark.parametrize("kept", [frozenset(), frozenset({Kept.MODE, Kept.TAGS})])
def test_a_new_website_redirect(services: Services, way: Way, kept: frozenset[Kept]) -> None:
    """A redirect replaces that of the source alone: headers, metadata, tags and class stay (S3 API, CopyObject)."""
    key = f"redirected-{way}-{len(kept)}"
    put(services.source_of(way), key, WebsiteRedirectLocation="/old.html", Tagging="x=1", StorageClass="STANDARD_IA")
    services.copy(way, key, options=ObjectOptions(content=Content(website_redirect="/new.html")), preserve=kept)
    head = services.second.client().head_object(Bucket="copies", Key=key)
    assert (head["WebsiteRedirectLocation"], head["ContentLanguage"]) == ("/new.html", "de")
    assert head["Metadata"]["colour"] == "red"
    assert head.get("StorageClass") == (None if way.startswith("relay") else "STANDARD_IA")
    tags = services.second.client().get_object_tagging(Bucket="copies", Key=key)["TagSet"]
    assert tags == [{"Key": "x", "Value": "1"}]


@pytest.mark.parametrize("kept", list(Kept))
def test_nothing_is_kept_and_replaced(services: Services, kept: Kept) -> None:
    """What is both to be kept and to be replaced is refused before anything is asked for."""
    options = {
        Kept.TAGS: ObjectOptions(tags={"a": "b"}),
        Kept.ACL: ObjectOptions(acl="private"),
        Kept.METADATA: ObjectOptions(content=Content(content_type="a/b")),
        Kept.STORAGE_CLASS: ObjectOptions(storage_class="STANDARD_IA"),
        Kept.TIMESTAMPS: ObjectOptions(content=Content(metadata={"x": "y"})),
        Kept.MODE: ObjectOptions(content=Content(metadata={"x": "y"})),
        Kept.LOCK: ObjectOptions(lock=ObjectLock(legal_hold=True)),
    }[kept]
    put(services.second.client(), "both")
    with pytest.raises(errors.UsageError, match=f"{kept} cannot be both"):
        services.copy("whole", "both", options=options, preserve={kept})


# On SeaweedFS, which holds objects by their locks


@pytest.fixture(scope="module")
def locking() -> Iterator[Services]:
    """SeaweedFS with two buckets that have Object Lock, and one that has none."""
    with weed() as server, two_engines(server, server) as found:
        client = server.client()
        for name in ("from", "copies"):
            client.create_bucket(Bucket=name, ObjectLockEnabledForBucket=True)
        client.create_bucket(Bucket="unlocked")
        yield found


def put_locked(client: Any, key: str, **more: Any) -> None:
    """Store an object under locks."""
    client.put_object(Bucket="from", Key=key, Body=BODY, ChecksumAlgorithm="CRC32", **more)


@WAYS
def test_lock_is_kept(locking: Services, way: Way) -> None:
    """Retention and legal hold of the source hold for its copy, too."""
    client, key = locking.source_of(way), f"lock-{way}"
    put_locked(
        client, key, ObjectLockMode="GOVERNANCE", ObjectLockRetainUntilDate=UNTIL, ObjectLockLegalHoldStatus="ON"
    )
    locking.copy(way, key, preserve={Kept.LOCK})
    copy = client.get_object_retention(Bucket="copies", Key=key)["Retention"]
    assert (copy["Mode"], copy["RetainUntilDate"].replace(microsecond=0)) == ("GOVERNANCE", UNTIL)
    assert client.get_object_legal_hold(Bucket="copies", Key=key)["LegalHold"]["Status"] == "ON"


def test_bucket_without_lock(locking: Services) -> None:
    """A lock that the destination does not keep is a failure, and the source of a move stays."""
    client = locking.second.client()
    put_locked(client, "refused", ObjectLockLegalHoldStatus="ON")
    with pytest.raises(errors.TransferError):
        locking.whole.copy("s3://from/refused", "s3://unlocked/refused", preserve={Kept.LOCK}, move=True)
    assert client.head_object(Bucket="from", Key="refused")["ContentLength"] == len(BODY)


@pytest.mark.parametrize("bucket", ["from", "unlocked"])
def test_no_lock_is_nothing_to_keep(locking: Services, bucket: str) -> None:
    """An object without a lock, in a bucket with Object Lock or without, is copied."""
    locking.second.client().put_object(Bucket=bucket, Key="free", Body=b"1")
    locking.whole.copy(f"s3://{bucket}/free", "s3://unlocked/free-copy", preserve={Kept.LOCK})


# On the fault server: what may not be read is never taken for nothing


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WriteRig]:
    """An engine before a fault server."""
    with serving_site(tmp_path_factory.mktemp("kept")) as site, engine_at(site) as running:
        yield running


@pytest.mark.parametrize(
    ("kept", "operation"), [(Kept.TAGS, "GetObjectTagging"), (Kept.ACL, "GET acl"), (Kept.LOCK, "GET retention")]
)
def test_what_may_not_be_read_fails(rig: WriteRig, kept: Kept, operation: str) -> None:
    """Without the permission to read what is to be kept, no copy is begun; HEAD alone would show no tags."""
    rig.server.store.put("bucket", "source", make_object(b"bytes"))
    rig.server.add_fault(Status(code="AccessDenied", operation=operation, key="source", attempt="every"))
    with pytest.raises(errors.AccessDenied, match=rf"to be preserved \({kept}\)"):
        rig.engine.copy("s3://bucket/source", "s3://bucket/denied", preserve={kept})
    assert rig.server.store.get("bucket", "denied") is None


class Forget(Fault):
    """Loses what an object is described with, before it is told of it."""

    def before(self, exchange: Exchange) -> bool:
        """Change the store."""
        key, store = exchange.request.key, store_of(exchange)
        stored = store.get("bucket", key)
        assert stored is not None
        lost = replace(stored, tags={}, metadata={}, headers={}, storage_class="STANDARD")
        store.put("bucket", key, lost)
        return True


@pytest.mark.parametrize(
    ("kept", "operation"),
    [(Kept.TAGS, "GetObjectTagging"), (Kept.METADATA, "HeadObject"), (Kept.STORAGE_CLASS, "HeadObject")],
)
def test_what_is_lost_in_silence(rig: WriteRig, kept: Kept, operation: str) -> None:
    """A service that takes the request and forgets what it asked for is found out; the source of a move stays."""
    source = replace(make_object(b"bytes", metadata={"a": "b"}), tags={"x": "y"}, storage_class="STANDARD_IA")
    rig.server.store.put("bucket", "described", source)
    rig.server.add_fault(Forget(operation=operation, key=f"forgotten-{kept}"))

    def copy(name: str) -> None:
        rig.engine.copy("s3://bucket/described", f"s3://bucket/{name}", preserve={kept}, move=True)

    with pytest.raises(errors.Unsupported, match=f"without its {kept}: .*the copy stays"):
        copy(f"forgotten-{kept}")
    assert rig.server.store.get("bucket", "described") is not None
    copy(f"kept-{kept}")
    assert rig.server.store.get("bucket", "described") is None


def test_redirect_that_is_lost_in_silence(rig: WriteRig) -> None:
    """It is part of the metadata."""
    redirected = replace(make_object(b"bytes"), headers={"x-amz-website-redirect-location": "/elsewhere.html"})
    rig.server.store.put("bucket", "redirected", redirected)
    rig.server.add_fault(Forget(operation="HeadObject", key="straight"))
    with pytest.raises(errors.Unsupported, match="without its metadata"):
        rig.engine.copy("s3://bucket/redirected", "s3://bucket/straight", preserve={Kept.METADATA})


def test_metadata_that_no_header_tells(rig: WriteRig) -> None:
    """A service that keeps more than it can tell says how much (x-amz-missing-meta): that would be lost."""
    rig.server.store.put("bucket", "untold", replace(make_object(b"bytes"), headers={"x-amz-missing-meta": "2"}))
    with pytest.raises(errors.Unsupported, match="2 entries of its metadata"):
        rig.engine.copy("s3://bucket/untold", "s3://bucket/less", preserve={Kept.METADATA})
    assert rig.server.store.get("bucket", "less") is None
