"""The small operations of an engine, blocking and async, on real servers: what is asked by URL, and what comes back."""

from __future__ import annotations

import asyncio
import inspect
import os
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, aclosing, contextmanager
from typing import Any

import msgspec
import pytest

from bulkhaul import AsyncEngine, Engine
from bulkhaul.errors import InvalidUrl, NotFound, OtherError, RangeNotSatisfiable, TransferError, UsageError
from bulkhaul.model.objects import ObjectRef
from bulkhaul.model.writing import ObjectOptions
from tests.servers import RunningServer, moto, weed

Ask = Callable[..., Any]
SERVERS: dict[str, Callable[[], AbstractContextManager[RunningServer]]] = {"moto": moto, "weed": weed}
KEYS = ["run/a.txt", "run/deep/b.txt", "run/deep/c.json", "running"]


@contextmanager
def blocking(server: RunningServer) -> Iterator[Ask]:
    """Yield what calls a method of an ``Engine``."""
    with Engine(endpoint_url=server.endpoint_url, workers=2) as engine:

        def ask(method: str, *args: Any, **more: Any) -> Any:
            answer = getattr(engine, method)(*args, **more)
            return list(answer) if inspect.isgenerator(answer) else answer

        yield ask


@contextmanager
def awaiting(server: RunningServer) -> Iterator[Ask]:
    """Yield what calls a method of an ``AsyncEngine`` on a loop of its own."""
    with asyncio.Runner() as runner:
        engine = AsyncEngine(endpoint_url=server.endpoint_url, workers=2)

        async def call(method: str, args: Any, more: Any) -> Any:
            answer = getattr(engine, method)(*args, **more)
            if not inspect.isasyncgen(answer):
                return await answer
            async with aclosing(answer) as items:
                return [item async for item in items]

        runner.run(engine.__aenter__())
        try:
            yield lambda method, *args, **more: runner.run(call(method, args, more))
        finally:
            runner.run(engine.close())


@pytest.fixture(scope="module", params=list(SERVERS))
def server(request: pytest.FixtureRequest) -> Iterator[RunningServer]:
    """A server with a bucket that keeps versions."""
    with SERVERS[request.param]() as running:
        client = running.client()
        client.create_bucket(Bucket="bucket")
        client.put_bucket_versioning(Bucket="bucket", VersioningConfiguration={"Status": "Enabled"})
        yield running


@pytest.fixture(scope="module", params=[blocking, awaiting])
def ask(server: RunningServer, request: pytest.FixtureRequest) -> Iterator[Ask]:
    """What calls a method of an engine, and returns what it returns, or a list of what it yields."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            patch.delenv(name)
        for name, value in server.keys().items():
            patch.setenv(name, value)
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        with request.param(server) as asking:
            yield asking


@pytest.fixture
def prefix(server: RunningServer) -> str:
    """The URL of a prefix of its own, with a few objects."""
    client, own = server.client(), os.urandom(4).hex()
    for key in KEYS:
        client.put_object(Bucket="bucket", Key=f"{own}/{key}", Body=key.encode())
    return f"s3://bucket/{own}"


def below(prefix: str, answers: list[Any]) -> list[str]:
    """Return the keys of some answers, below the prefix."""
    own = prefix.removeprefix("s3://bucket/")
    return [getattr(one, "key", one).removeprefix(f"{own}/") for one in answers]


def test_one_object(ask: Ask, prefix: str) -> None:
    """It is looked at, read, in part, and by a URL for anybody, named by its URL or by bucket and key."""
    url = f"{prefix}/run/a.txt"
    ref = ObjectRef("bucket", url.removeprefix("s3://bucket/"))
    for name in (url, ref):
        head = ask("head", name)
        assert (head.key, head.size) == (ref.key, 9)
        assert ask("get_bytes", name) == b"run/a.txt"
        assert ask("get_bytes_range", name, 4, 9) == b"a.txt"
        with urllib.request.urlopen(ask("presigned_get_url", name, 60)) as reply:  # noqa: S310 - the URL is the server's
            assert reply.read() == b"run/a.txt"
    assert ask("get_bytes_range", url, 4, 4) == b""
    with pytest.raises(RangeNotSatisfiable, match=r"ask head\(\)"):
        ask("get_bytes_range", url, 4, 10)
    with pytest.raises(OtherError, match="cannot live 0 s"):
        ask("presigned_get_url", url, 0)
    for method in ("head", "get_bytes"):
        with pytest.raises(NotFound):
            ask(method, f"{prefix}/none")
        with pytest.raises(UsageError, match="names a prefix"):
            ask(method, f"{prefix}/")
        with pytest.raises(InvalidUrl):
            ask(method, "bucket/key")


def test_tags(ask: Ask, prefix: str) -> None:
    """Those that it was stored with; none where there are none."""
    ask("upload_bytes", b"x", f"{prefix}/tagged", ObjectOptions(tags={"a": "1", "b": "2"}))
    assert ask("get_tags", f"{prefix}/tagged") == {"a": "1", "b": "2"}
    assert ask("get_tags", f"{prefix}/running") == {}


def test_listings(ask: Ask, prefix: str) -> None:
    """A prefix is taken as it is; wildcards select, but in an ``ObjectRef``; a folder shows its folders."""
    own = prefix.removeprefix("s3://bucket/")
    assert below(prefix, ask("list", f"{prefix}/")) == KEYS
    assert below(prefix, ask("list", f"{prefix}/run/")) == KEYS[:3]
    assert below(prefix, ask("list", f"{prefix}/run/*.txt")) == KEYS[:2]
    assert below(prefix, ask("list", ObjectRef("bucket", f"{own}/run/d"))) == KEYS[1:3]
    assert ask("list", ObjectRef("bucket", f"{own}/*")) == []
    assert below(prefix, ask("list_with_delimiter", f"{prefix}/run/")) == ["run/deep/", "run/a.txt"]
    assert below(prefix, ask("list_with_delimiter", f"{prefix}/")) == ["run/", "running"]
    with pytest.raises(NotFound):
        ask("list", "s3://no-such-bucket/")


def test_buckets(ask: Ask, server: RunningServer) -> None:
    """Their names, a bucket's region where the server tells it, and whether one can be listed."""
    assert "bucket" in [one.name for one in ask("buckets")]
    assert ask("region", "bucket") in (server.region, "")
    ask("probe", "s3://bucket")
    with pytest.raises(TransferError):
        ask("probe", "s3://no-such-bucket")


def test_versions(ask: Ask, prefix: str) -> None:
    """What was overwritten and deleted is listed, looked at, and deleted for good."""
    url = f"{prefix}/running"
    old = ask("head", url).version_id
    ask("upload_bytes", b"new", url)
    ask("delete", url)
    with pytest.raises(NotFound):
        ask("head", url)
    marker, new, first = ask("list_versions", url)
    assert (marker.delete_marker, new.size, first.version_id) == (True, 3, old)
    assert ask("head", url, version_id=old).size == 7
    ask("delete", url, version_id=old)
    assert [one.version_id for one in ask("list_versions", url)] == [marker.version_id, new.version_id]
    (gone,) = ask("delete_many", [url], version_id=new.version_id)
    assert (gone.version_id, gone.ok) == (new.version_id, True)
    assert [one.version_id for one in ask("list_versions", f"{prefix}/r*g")] == [marker.version_id]


def test_delete_many(ask: Ask, prefix: str) -> None:
    """Keys, prefixes and patterns, one result each; a dry run deletes nothing."""
    own = prefix.removeprefix("s3://bucket/")
    would = ask("delete_many", [f"{prefix}/run"], recursive=True, exclude=["*.json"], dry_run=True)
    assert below(prefix, would) == KEYS[:2]
    assert len(ask("list", f"{prefix}/")) == 4
    done = ask("delete_many", [f"{prefix}/run/*.json", ObjectRef("bucket", f"{own}/running")])
    assert sorted(below(prefix, done)) == [KEYS[2], KEYS[3]]
    assert all(one.ok for one in done)
    assert below(prefix, ask("list", f"{prefix}/")) == KEYS[:2]
    below_run = ask("delete_many", [ObjectRef("bucket", f"{own}/run")], recursive=True, dry_run=True)
    assert below(prefix, below_run) == KEYS[:2]
    (nothing,) = ask("delete_many", [f"{prefix}/none*"])
    assert isinstance(nothing.error, NotFound)
    assert len(ask("delete_many", [f"{prefix}/"], recursive=True, all_versions=True)) == 6


def test_delete_many_refuses_what_is_ambiguous(ask: Ask, prefix: str) -> None:
    """A prefix has to be meant as one, and a version goes with one object."""
    for urls, more in (
        ([f"{prefix}/run/"], {}),
        ([f"{prefix}/run/a.txt", f"{prefix}/running"], {"version_id": "v"}),
        ([f"{prefix}/run/*"], {"version_id": "v"}),
        ([f"{prefix}/running"], {"version_id": "v", "all_versions": True}),
        (f"{prefix}/running", {}),
        ([ObjectRef("bucket", "")], {}),
    ):
        with pytest.raises(UsageError):
            ask("delete_many", urls, **more)
    assert below(prefix, ask("list", f"{prefix}/")) == KEYS
    (only,) = ask("delete_many", [f"{prefix}/run/*"], literal=True)
    assert msgspec.structs.asdict(only)["key"].endswith("/run/*")
    assert below(prefix, ask("list", f"{prefix}/")) == KEYS


def test_pending_uploads(ask: Ask, server: RunningServer, prefix: str) -> None:
    """An upload that nobody completed is listed, and given up."""
    client, key = server.client(), f"{prefix.removeprefix('s3://bucket/')}/pending"
    upload_id = client.create_multipart_upload(Bucket="bucket", Key=key)["UploadId"]
    (found,) = ask("pending_uploads", f"{prefix}/p")
    assert (found.key, found.upload_id) == (key, upload_id)
    ask("abort_upload", f"{prefix}/pending", upload_id)
    assert ask("pending_uploads", f"{prefix}/p") == []


@pytest.mark.parametrize("name", ["head", "get_bytes", "get_tags", "presigned_get_url", "delete"])
@pytest.mark.parametrize("ref", [ObjectRef("bucket", ""), ObjectRef("", "key")], ids=["no key", "no bucket"])
def test_an_object_has_a_bucket_and_a_key(ask: Ask, name: str, ref: ObjectRef) -> None:
    """Without a key a request would be about the bucket: its listing is not an object's bytes."""
    with pytest.raises(UsageError, match="must not be empty"):
        ask(name, ref)
