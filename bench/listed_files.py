"""An nginx that serves a folder of small objects as a bucket that can be listed, and costs next to nothing.

nginx knows no listings, so the pages of one are written beforehand and found by the request's token (or
marker). Its ETag is made of a file's time and size; the files' times are set, one second apart, so the
pages can name the ETags that nginx will send, and no two objects share one.
"""

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.servers import make_certificates

from bench.nginx import nginx
from bulkhaul.embedded.ports import free_ports

PAGE_KEYS = 1000
FIRST_MODIFIED_S = 1_700_000_000
NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"

# The pages' names are the numbers of the last keys before them: what a token or a marker ends with.
DIRECTIVES = """\
    open_file_cache max=20000;
    open_file_cache_valid 600s;
    default_type application/octet-stream;
    ssl_certificate {chain};
    ssl_certificate_key {key};
    ssl_session_cache shared:tls:1m;
    map $args $page {{
        ~continuation-token=(?<token>[0-9]+) $token;
        ~marker=[^&]*?(?<marker>[0-9]+)\\.bin $marker;
        default first;
    }}
    server {{
        listen 127.0.0.1:{port};
        listen 127.0.0.1:{tls_port} ssl;
        root {root};
        location = /{bucket} {{ default_type application/xml; try_files /pages/$page.xml =404; }}
        location = /{bucket}/ {{ default_type application/xml; try_files /pages/$page.xml =404; }}
        location / {{ if (-d $request_filename) {{ return 404; }} }}
    }}
"""


@dataclass(frozen=True, slots=True)
class ListedFiles:
    """A running server: its two endpoints, and what a client of the second has to trust."""

    endpoint: str
    tls_endpoint: str
    ca_bundle: Path


def write_pages(folder: Path, bucket: str, prefix: str, files: Sequence[Path]) -> None:
    """Set the files' times and write the pages of a listing of them.

    Args:
        folder: where the pages go.
        prefix: of all keys; ends with a slash.
        files: in the order of their names, which are eight digits and ``.bin``.
    """
    rows, names = [], []
    for number, file in enumerate(files):
        modified_s = FIRST_MODIFIED_S + number
        os.utime(file, (modified_s, modified_s))
        size_bytes = file.stat().st_size
        written = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(modified_s))
        names.append(file.stem)
        rows.append(
            f"<Contents><Key>{prefix}{file.name}</Key><LastModified>{written}</LastModified>"
            f"<ETag>&quot;{modified_s:x}-{size_bytes:x}&quot;</ETag><Size>{size_bytes}</Size>"
            f"<StorageClass>STANDARD</StorageClass></Contents>"
        )
    for start in range(0, len(rows), PAGE_KEYS):
        page, last = rows[start : start + PAGE_KEYS], names[min(start + PAGE_KEYS, len(names)) - 1]
        more = start + PAGE_KEYS < len(rows)
        token = f"<NextContinuationToken>{last}</NextContinuationToken>" if more else ""
        text = (
            f'<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult xmlns="{NAMESPACE}"><Name>{bucket}</Name>'
            f"<Prefix>{prefix}</Prefix><MaxKeys>{PAGE_KEYS}</MaxKeys><EncodingType>url</EncodingType>"
            f"<KeyCount>{len(page)}</KeyCount><IsTruncated>{'true' if more else 'false'}</IsTruncated>{token}"
            f"{''.join(page)}</ListBucketResult>"
        )
        (folder / f"{'first' if not start else names[start - 1]}.xml").write_text(text)


@contextmanager
def listed_files(root: Path, home: Path, bucket: str, prefix: str) -> Iterator[ListedFiles]:
    """Serve the files below ``root/bucket/prefix`` until the block ends.

    Args:
        root: the folder of the bucket; the pages are written beside that.
        home: an existing folder of the server's own.
    """
    (root / "pages").mkdir()
    write_pages(root / "pages", bucket, prefix, sorted((root / bucket / prefix).iterdir()))
    certificates = make_certificates(home)
    with free_ports(2) as (port, tls_port):
        directives = DIRECTIVES.format(
            root=root, bucket=bucket, port=port, tls_port=tls_port, chain=certificates.chain, key=certificates.key
        )
        with nginx(home, directives, port=port):
            yield ListedFiles(f"http://127.0.0.1:{port}", f"https://127.0.0.1:{tls_port}", certificates.ca_bundle)
