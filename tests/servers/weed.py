"""SeaweedFS as one process (`weed mini`): a real storage server that enforces SigV4.

Job: start it on ports of its own. Know its limits: it merges `a//b` into `a/b`, sorts `/` first
in listings, and its GetObjectAttributes has no Checksum.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from botocore.exceptions import BotoCoreError, ClientError

from bulkhaul.embedded.ports import free_ports
from tests.patience import SOON_S

from .process import RunningServer, answers, find_program, running

ACCESS_KEY = "weed-access-key"
SECRET_KEY = "weed-secret-key"
#: Every service of weed listens at its port, and for gRPC at that port plus this.
GRPC_OFFSET = 10000


@contextmanager
def weed(*, cache_mb: int = 0) -> Iterator[RunningServer]:
    """Run an empty SeaweedFS; takes 1 to 2 s to be ready.

    Args:
        cache_mb: memory for hot objects, in MiB; makes small GETs ten times cheaper.
    """
    with free_ports(6, offsets=(0, GRPC_OFFSET)) as ports, tempfile.TemporaryDirectory(prefix="weed-") as name:
        s3, filer, master, volume, admin, metrics = ports
        folder = Path(name)
        (folder / "data").mkdir()
        command = [
            find_program("weed"),
            f"-logdir={folder}",
            "mini",
            f"-dir={folder / 'data'}",
            "-ip=127.0.0.1",
            "-ip.bind=127.0.0.1",
            f"-s3.port={s3}",
            f"-filer.port={filer}",
            f"-master.port={master}",
            f"-volume.port={volume}",
            f"-admin.port={admin}",
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
            "-webdav=false",
            "-admin.ui=false",
            "-master.telemetry=false",
            f"-s3.localSocket={folder / 's3.sock'}",
            f"-filer.localSocket={folder / 'filer.sock'}",
            f"-s3.cacheCapacityMB={cache_mb}",
            f"-metricsPort={metrics}",
        ]
        environment = {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY}
        url = f"http://127.0.0.1:{s3}"
        probe = RunningServer(url, ACCESS_KEY, SECRET_KEY, (), folder)
        client = probe.client(retries={"total_max_attempts": 1}, connect_timeout=1, read_timeout=SOON_S)

        def ready() -> bool:
            if not answers(url):
                return False
            try:
                with suppress(client.exceptions.BucketAlreadyExists, client.exceptions.BucketAlreadyOwnedByYou):
                    client.create_bucket(Bucket="ready")  # a slow reply may have been missed
                client.put_object(Bucket="ready", Key="probe", Body=b"1")
                client.delete_object(Bucket="ready", Key="probe")
                client.delete_bucket(Bucket="ready")
            except (BotoCoreError, ClientError):
                return False
            return True

        try:
            with running(command, folder=folder, ready=ready, environment=environment) as process_id:
                told = f"http://127.0.0.1:{metrics}/metrics"
                yield RunningServer(url, ACCESS_KEY, SECRET_KEY, (process_id,), folder, metrics_url=told)
        finally:
            _remove_sockets(ports)


def _remove_sockets(ports: list[int]) -> None:
    """Remove the gRPC sockets, which weed puts into /tmp whatever it is told, and leaves there."""
    for port in ports:
        for path in Path("/tmp").glob(f"seaweedfs-*-grpc-{port + GRPC_OFFSET}.sock"):  # noqa: S108
            path.unlink()
