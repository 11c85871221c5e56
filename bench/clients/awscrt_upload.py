"""The AWS Common Runtime's S3 client reading files by itself, as a whole program.

Part size, throughput target and memory limit are the client's own defaults, or what is set.
"""

import os
import sys
from pathlib import Path
from threading import BoundedSemaphore
from typing import Any
from urllib.parse import urlsplit

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


def main() -> None:
    """Upload PATH to BUCKET/KEY at ENDPOINT; the files of a folder to KEY/NAME."""
    endpoint, bucket, key, source = sys.argv[1:5]
    settings = {name: int(number) for name, _, number in (pair.partition("=") for pair in sys.argv[5:])}
    client = make_client(endpoint, settings)
    path, prefix = Path(source), key.removesuffix("/")
    files = {f"{prefix}/{each.name}": each for each in path.iterdir()} if path.is_dir() else {key: path}
    free = BoundedSemaphore(MOST_AT_ONCE)
    uploads = []
    for name, file in files.items():
        headers = HttpHeaders(
            [
                ("host", urlsplit(endpoint).netloc),
                ("content-length", str(file.stat().st_size)),
                ("content-type", "application/octet-stream"),
            ]
        )
        free.acquire()
        request = HttpRequest("PUT", f"/{bucket}/{name}", headers)
        upload = client.make_request(type=S3RequestType.PUT_OBJECT, request=request, send_filepath=str(file))
        upload.finished_future.add_done_callback(lambda _done: free.release())
        uploads.append(upload.finished_future)
    for finished in uploads:
        finished.result()


if __name__ == "__main__":
    main()
