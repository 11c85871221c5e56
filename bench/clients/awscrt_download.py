"""The AWS Common Runtime's S3 client writing to files by itself, as a whole program.

Part size, throughput target and memory limit are the client's own defaults, or what is set.
"""

import os
import sys
import xml.etree.ElementTree as ElementTree
from threading import BoundedSemaphore
from typing import Any
from urllib.parse import quote, urlsplit

from awscrt.auth import AwsCredentialsProvider
from awscrt.http import HttpHeaders, HttpRequest
from awscrt.io import ClientTlsContext, TlsContextOptions
from awscrt.s3 import (
    S3Client,
    S3RequestTlsMode,
    S3RequestType,
    create_default_s3_signing_config,
)

MOST_AT_ONCE = 500  # of many: the client opens their files at once


def tls_settings(endpoint: str) -> dict[str, Any]:
    """Return how the client speaks to ENDPOINT: over TLS it trusts what ``AWS_CA_BUNDLE`` names."""
    if not endpoint.startswith("https:"):
        return {"tls_mode": S3RequestTlsMode.DISABLED}
    options = TlsContextOptions()
    if "AWS_CA_BUNDLE" in os.environ:
        options.override_default_trust_store_from_path(None, os.environ["AWS_CA_BUNDLE"])
    connection = ClientTlsContext(options).new_connection_options()
    connection.set_server_name(urlsplit(endpoint).hostname)
    return {"tls_mode": S3RequestTlsMode.ENABLED, "tls_connection_options": connection}


def make_client(endpoint: str, settings: dict[str, int]) -> S3Client:
    """Return the client; settings: gbps, connections, part_mib."""
    region = os.environ["AWS_REGION"]
    credentials = AwsCredentialsProvider.new_static(
        os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"]
    )
    return S3Client(
        region=region,
        signing_config=create_default_s3_signing_config(region=region, credential_provider=credentials),
        throughput_target_gbps=settings.get("gbps"),
        max_active_connections_override=settings.get("connections"),
        part_size=settings["part_mib"] << 20 if "part_mib" in settings else None,
        **tls_settings(endpoint),
    )


def list_keys(client: S3Client, host: str, bucket: str, prefix: str) -> list[str]:
    """Return the keys below a prefix: the client signs and sends the requests, but has no listing of its own."""
    keys: list[str] = []
    token = ""
    while True:
        more = f"continuation-token={quote(token, safe='')}&" if token else ""
        path = f"/{bucket}?{more}list-type=2&prefix={quote(prefix, safe='')}"
        pieces: list[bytes] = []
        client.make_request(
            type=S3RequestType.DEFAULT,
            operation_name="ListObjectsV2",
            request=HttpRequest("GET", path, HttpHeaders([("host", host)])),
            on_body=lambda chunk, **_rest: pieces.append(bytes(chunk)),  # noqa: B023 - used before the next
        ).finished_future.result()
        page = ElementTree.fromstring(b"".join(pieces))  # noqa: S314 - from the benchmark's own server
        space = page.tag.partition("}")[0] + "}"
        keys += [str(row.findtext(f"{space}Key")) for row in page.iter(f"{space}Contents")]
        token = page.findtext(f"{space}NextContinuationToken") or ""
        if not token:
            return keys


def main() -> None:
    """Download BUCKET/KEY from ENDPOINT to PATH; a failed request raises out of the program."""
    endpoint, bucket, key, destination = sys.argv[1:5]
    settings = {name: int(number) for name, _, number in (pair.partition("=") for pair in sys.argv[5:])}
    client = make_client(endpoint, settings)
    host = urlsplit(endpoint).netloc
    files = {key: destination}
    if key.endswith("/"):
        os.makedirs(destination, exist_ok=True)
        keys = list_keys(client, host, bucket, key)
        files = {name: f"{destination}/{name.removeprefix(key)}" for name in keys}
    free = BoundedSemaphore(MOST_AT_ONCE)
    downloads = []
    for name, path in files.items():
        free.acquire()
        request = HttpRequest("GET", f"/{bucket}/{name}", HttpHeaders([("host", host)]))
        download = client.make_request(type=S3RequestType.GET_OBJECT, request=request, recv_filepath=path)
        download.finished_future.add_done_callback(lambda _done: free.release())
        downloads.append(download.finished_future)
    for finished in downloads:
        finished.result()


if __name__ == "__main__":
    main()
