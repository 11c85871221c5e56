"""Small operations by URL or ObjectRef, blocking and async: what exists, and bytes of a part, of an end, of several."""

from __future__ import annotations

import asyncio
import io
from pathlib import Path

import pytest

from bulkhaul import AsyncEngine, Engine, ObjectRef, errors
from tests.engines import aws_environment, keys, serving
from tests.faultserver import MIB, FaultServer, make_object
from tests.patience import PATIENCE_S

BODY = bytes(range(100))
URL, REF = "s3://bucket/a/key", ObjectRef("bucket", "a/key")


def told() -> FaultServer:
    """Return a server with one object."""
    server = serving()
    server.store.put("bucket", "a/key", make_object(BODY))
    return server


def test_blocking() -> None:
    """Each by URL and by reference; ranges are half-open and exact."""
    with told() as server, aws_environment(keys()), Engine(endpoint_url=server.endpoint_url, workers=1) as engine:
        assert (engine.exists(URL), engine.exists(REF), engine.exists("s3://bucket/none")) == (True, True, False)
        assert engine.get_bytes(REF) == BODY
        assert engine.get_bytes_range(URL, 10, 20) == BODY[10:20]
        assert engine.get_bytes_range(URL, 90) == BODY[90:]
        assert engine.get_bytes_range(URL, 100) == b""
        with pytest.raises(errors.RangeNotSatisfiable):
            engine.get_bytes_range(URL, 90, 101)
        assert engine.get_bytes_suffix(URL, 7) == BODY[-7:]
        assert engine.get_bytes_suffix(URL, 0) == b""
        assert engine.get_bytes_suffix(REF, 1000) == BODY
        with pytest.raises(errors.UsageError):
            engine.get_bytes_suffix(URL, -1)
        assert engine.get_ranges(URL, [(50, 60), (0, 1), (5, 5)]) == [BODY[50:60], BODY[:1], b""]
        with pytest.raises(errors.RangeNotSatisfiable):
            engine.get_ranges(URL, [(0, 1), (0, 101)])
        assert engine.put_bytes("s3://bucket/new", b"body").size == 4
        assert engine.get_bytes("s3://bucket/new") == b"body"
        with pytest.raises(errors.PreconditionFailed):
            engine.put_bytes("s3://bucket/new", b"again", only_if_absent=True)
        assert "a/" in list(engine.list_with_delimiter("s3://bucket"))
        assert "X-Amz-Signature" in engine.presigned_get_url(URL, 60)


def test_async() -> None:
    """The same names."""

    async def story() -> None:
        async with AsyncEngine(endpoint_url=server.endpoint_url, workers=1) as engine:
            assert await engine.exists(URL)
            assert await engine.get_bytes_suffix(URL, 7) == BODY[-7:]
            assert await engine.get_ranges(REF, [(50, 60), (0, 1)]) == [BODY[50:60], BODY[:1]]
            await engine.put_bytes("s3://bucket/new", b"body")
            assert sorted([one.key async for one in engine.list("s3://bucket/")]) == ["a/key", "new"]

    with told() as server, aws_environment(keys()):
        asyncio.run(story())


def test_a_refusal_is_no_absence() -> None:
    """Who may not look does not know: that is an error, not False."""
    wrong = keys() | {"AWS_SECRET_ACCESS_KEY": "wrong"}
    with told() as server, aws_environment(wrong), Engine(endpoint_url=server.endpoint_url, workers=1) as engine:
        with pytest.raises(errors.AccessDenied):
            engine.exists(URL)


@pytest.mark.parametrize("name", ["", "a/b", "s3://x"])
def test_what_is_no_name_of_a_bucket_is_not_sent(name: str) -> None:
    """An empty one would ask the service itself, and be told a success."""
    with told() as server, aws_environment(keys()), Engine(endpoint_url=server.endpoint_url, workers=1) as engine:
        for call in (engine.create_bucket, engine.delete_bucket):
            with pytest.raises(errors.UsageError, match="no name of a bucket"):
                call(name)
        assert server.requests == ()


def test_every_transfer_of_one_object_tells_its_progress(tmp_path: Path) -> None:
    """The differences come to the size, and a large object comes in several; what the callback raises fails it."""
    body = bytes(20 * MIB)
    with told() as server, aws_environment(keys()), Engine(endpoint_url=server.endpoint_url, workers=1) as engine:
        server.store.put("bucket", "large", make_object(body))
        counts: list[list[int]] = [[], [], []]
        engine.put_bytes("s3://bucket/put", body, progress=counts[0].append)
        sink = io.BytesIO()
        engine.download_stream("s3://bucket/large", sink, progress=counts[1].append)
        engine.submit("s3://bucket/large", tmp_path / "file", progress=counts[2].append).result(PATIENCE_S)
        assert [sum(some) for some in counts] == [len(body)] * 3
        assert len(counts[1]) > 1
        assert min(counts[1]) > 0
        assert sink.getvalue() == body

        def failing(_: int) -> None:
            raise LookupError("mine")

        with pytest.raises(errors.OtherError, match="LookupError"):
            engine.download_stream("s3://bucket/large", io.BytesIO(), progress=failing)
        assert engine.exists(URL)
