"""The AWS Common Runtime's S3 client writing to a file by itself, as a whole program.

Part size, throughput target and memory limit are the client's own defaults.
"""

import os
import sys
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


def main() -> None:
    """Download BUCKET/KEY from ENDPOINT to DEST; a failed request raises out of the program."""
    endpoint, bucket, key, destination = sys.argv[1:]
    region = os.environ["AWS_REGION"]
    credentials = AwsCredentialsProvider.new_static(
        os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"]
    )
    client = S3Client(
        region=region,
        **tls_settings(endpoint),
        signing_config=create_default_s3_signing_config(region=region, credential_provider=credentials),
    )
    request = HttpRequest("GET", f"/{bucket}/{key}", HttpHeaders([("host", urlsplit(endpoint).netloc)]))
    download = client.make_request(type=S3RequestType.GET_OBJECT, request=request, recv_filepath=destination)
    download.finished_future.result()


if __name__ == "__main__":
    main()
