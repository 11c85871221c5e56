"""The AWS Common Runtime's S3 client writing to a file by itself, as a whole program.

Part size, throughput target and memory limit are the client's own defaults.
"""

import os
import sys
from urllib.parse import urlsplit

from awscrt.auth import AwsCredentialsProvider
from awscrt.http import HttpHeaders, HttpRequest
from awscrt.s3 import (
    S3Client,
    S3RequestTlsMode,
    S3RequestType,
    create_default_s3_signing_config,
)


def main() -> None:
    """Download BUCKET/KEY from ENDPOINT to DEST; a failed request raises out of the program."""
    endpoint, bucket, key, destination = sys.argv[1:]
    region = os.environ["AWS_REGION"]
    credentials = AwsCredentialsProvider.new_static(
        os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"]
    )
    client = S3Client(
        region=region,
        tls_mode=S3RequestTlsMode.DISABLED,
        signing_config=create_default_s3_signing_config(region=region, credential_provider=credentials),
    )
    request = HttpRequest("GET", f"/{bucket}/{key}", HttpHeaders([("host", urlsplit(endpoint).netloc)]))
    download = client.make_request(type=S3RequestType.GET_OBJECT, request=request, recv_filepath=destination)
    download.finished_future.result()


if __name__ == "__main__":
    main()
