"""Where contestants run: a server with objects, and a destination that is empty before each run."""

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from bench.contestants import Contestant, clean_environment
from bench.measure import CommandFailedError, Usage, measure
from bench.objects import make_object, same_bytes
from bench.peers import Download
from bench.server import Server, serve

BUCKET = "bench"
START_SIZE_BYTES = 64 << 20  # several parts for every contestant, and over soon


class Course:
    """The server, the objects and an empty destination: everything a run needs, and nothing it left."""

    def __init__(self, folder: Path, server: Server, *, timeout_s: float) -> None:
        self.server = server
        self.timeout_s = timeout_s
        self.bucket = folder / "root" / BUCKET
        self.destination_folder = folder / "destination"
        self.home = folder / "home"

    def source(self, size_bytes: int) -> Path:
        """Return the object of that size, as the server sees it."""
        return self.bucket / str(size_bytes)

    def run(
        self,
        contestant: Contestant[Download],
        size_bytes: int,
        *,
        sample_memory: bool = False,
        log: bool = False,
    ) -> Usage:
        """Run a contestant once; the destination stays until the next run."""
        self.clear()
        endpoint = self.server.logged_endpoint if log else self.server.endpoint
        destination = str(self.destination_folder / "object")
        return measure(
            contestant.command(Download(endpoint, BUCKET, str(size_bytes), destination)),
            environment=clean_environment(self.home, endpoint),
            data_folder=self.destination_folder,
            sample_memory=sample_memory,
            timeout_s=self.timeout_s,
        )

    def check(self, size_bytes: int) -> None:
        """Raise CommandFailedError unless the folder holds the exact object and nothing beside it."""
        left = sorted(path.name for path in self.destination_folder.iterdir())
        if left != ["object"]:
            raise CommandFailedError(f"left {left} instead of one file")
        if not same_bytes(self.source(size_bytes), self.destination_folder / "object"):
            raise CommandFailedError("the bytes differ from the object's")

    def clear(self) -> None:
        """Empty the destination's folder and wait until the disk has nothing left to write."""
        shutil.rmtree(self.destination_folder, ignore_errors=False)
        self.destination_folder.mkdir()
        os.sync()

    def start_s(self, contestant: Contestant[Download]) -> float:
        """Return the seconds from a contestant's start to the arrival of its first ranged GET.

        One that fetches without a Range is timed to its first GET.
        """
        self.server.forget_requests()
        usage = self.run(contestant, START_SIZE_BYTES, log=True)
        for ranged in (True, False):
            arrived_s = self.server.first_get_at_s(ranged=ranged)
            if arrived_s is not None:
                return arrived_s - usage.started_at_s
        raise CommandFailedError("succeeded without a GET")


@contextmanager
def open_course(parent: Path, sizes: Sequence[int], *, timeout_s: float) -> Iterator[Course]:
    """Make the objects and serve them from a temporary folder below ``parent``; leave nothing behind."""
    with tempfile.TemporaryDirectory(prefix="bulkhaul-bench-", dir=parent) as name:
        folder = Path(name)
        for part in (f"root/{BUCKET}", "destination", "home", "server"):
            (folder / part).mkdir(parents=True)
        with serve(folder / "root", folder / "server") as server:
            course = Course(folder, server, timeout_s=timeout_s)
            for size_bytes in {START_SIZE_BYTES, *sizes}:
                make_object(course.source(size_bytes), size_bytes, seed=size_bytes)
            yield course
