"""Moves between two names of one object, at a real SeaweedFS: the object stays, and the move says so."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from bulkhaul import Engine
from bulkhaul.engine.aio import AsyncEngine
from bulkhaul.errors import TransferError, UsageError
from tests.engines import running_engine
from tests.faultserver import MIB
from tests.servers import RunningServer, weed

BODIES = {"whole": b"precious", "parts": random.Random(9).randbytes(6 * MIB)}
SHAPES = pytest.mark.parametrize("shape", BODIES)


class Shop:
    """A SeaweedFS, an engine at it, and one at the same by another name of its host."""

    def __init__(self, server: RunningServer, engine: Engine, beside: AsyncEngine) -> None:
        self.client = server.client()
        self.engine = engine
        self.beside = beside
        self.keys = 0

    def put(self, shape: str, bucket: str, key: str = "") -> str:
        """Store an object and return its key."""
        self.keys += 1
        key = key or f"key-{self.keys}"
        self.client.put_object(Bucket=bucket, Key=key, Body=BODIES[shape], Metadata={"colour": "red"})
        return key

    def stored(self, bucket: str, key: str) -> Any:
        """Return the bytes and the metadata of an object, None if there is none."""
        try:
            reply = self.client.get_object(Bucket=bucket, Key=key)
        except self.client.exceptions.NoSuchKey:
            return None
        return reply["Body"].read(), reply["Metadata"].get("colour")


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """A bucket without versions and one with."""
    with weed() as server:
        client = server.client()
        for bucket in ("plain", "versioned"):
            client.create_bucket(Bucket=bucket)
        client.put_bucket_versioning(Bucket="versioned", VersioningConfiguration={"Status": "Enabled"})
        variables = {"AWS_ACCESS_KEY_ID": server.access_key, "AWS_SECRET_ACCESS_KEY": server.secret_key}
        state = str(tmp_path_factory.mktemp("state"))
        settings = {"part_size_bytes": 5 * MIB, "multipart_threshold_bytes": 5 * MIB, "state_dir": state}
        with running_engine(server.endpoint_url, variables, **settings) as engine:
            other = server.endpoint_url.replace("127.0.0.1", "localhost")
            shop = Shop(server, engine, engine.beside(msgspec.structs.replace(engine.settings, endpoint_url=other)))
            yield shop
            shop.client.close()


@SHAPES
@pytest.mark.parametrize("bucket", ["plain", "versioned"])
def test_two_names_of_a_host(shop: Shop, shape: str, bucket: str) -> None:
    """By localhost and by its address: whether it is older than its copy or of the same second, the object stays."""
    key = shop.put(shape, bucket)
    url = f"s3://{bucket}/{key}"
    for _ in range(2):  # the second time it is a second old at the most, and was written by a move
        with pytest.raises(UsageError, match="one object under two names"):
            shop.engine.copy(url, url, origin=shop.beside, move=True)
        assert shop.stored(bucket, key) == (BODIES[shape], "red")


def test_two_names_of_many_objects(shop: Shop) -> None:
    """Each object of a prefix stays, and each is reported."""
    for name in "abc":
        shop.put("whole", "plain", f"many/{name}")
    results = list(shop.engine.copy_many("s3://plain/many/", "s3://plain/many/", origin=shop.beside, move=True))
    assert [result.failure is not None and "two names" in result.failure.message for result in results] == [True] * 3
    assert all(shop.stored("plain", f"many/{name}") == (BODIES["whole"], "red") for name in "abc")


@SHAPES
def test_two_spellings_of_a_key(shop: Shop, shape: str) -> None:
    """What the server takes for one key is one object: it stays, whoever notices."""
    key = shop.put(shape, "plain", f"spelt/{shape}")
    with pytest.raises(TransferError):
        shop.engine.copy(f"s3://plain/spelt//{shape}", f"s3://plain/{key}", move=True)
    assert shop.stored("plain", key) == (BODIES[shape], "red")


@SHAPES
@pytest.mark.parametrize("bucket", ["plain", "versioned"])
@pytest.mark.parametrize("way", ["copy", "relay"])
def test_two_objects(shop: Shop, shape: str, bucket: str, way: str) -> None:
    """An object that was written a moment ago is told from its copy, and is moved."""
    key = shop.put(shape, bucket)
    origin = shop.beside if way == "relay" else None
    shop.engine.copy(f"s3://{bucket}/{key}", f"s3://{bucket}/moved/{key}", origin=origin, move=True)
    assert shop.stored(bucket, key) is None
    assert shop.stored(bucket, f"moved/{key}") == (BODIES[shape], "red")
