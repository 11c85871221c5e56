"""Two sides that have the same: servers, buckets and folders of which a sync finds nothing to do."""

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from bench.contestants import DUMMY_KEYS, Contestant, clean_environment
from bench.listed_keys import SHAPES
from bench.listing_server import (
    BUCKET,
    OBJECT_BYTES,
    OBJECT_TIME,
    OTHER_BUCKET,
    listing_prefix,
    listing_server,
)
from bench.measure import CommandFailedError, Usage, measure
from bench.stores import Store, weed
from bench.syncers import Sync, check_told

BODY = b"small object, unchanged\n" * 4
FOLDER_KEYS = 1000
SHAPE = "dated"
"""Of computed keys: folders of hundreds of files. A walk holds the names of one folder."""


@dataclass(frozen=True, slots=True)
class Unchanged:
    """Two sides that have the same keys.

    Attributes:
        name: unique, for tables and results.
        source, destination: see ``Sync``.
    """

    name: str
    keys: int
    endpoint: str
    credentials: tuple[str, str]
    source: str
    destination: str

    def __str__(self) -> str:
        return f"{self.name}, {self.keys:,} keys"


class SyncArena:
    """Where syncs are run, one after the other: nothing changes between them."""

    def __init__(self, folder: Path, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._home = folder / "home"
        self._output = folder / "output" / "stdout"
        self._log = folder / "output" / "log"
        self._before: dict[Unchanged, int] = {}
        for made in (self._home, self._output.parent):
            made.mkdir()

    def run(self, contestant: Contestant[Sync], task: Unchanged, *, sample_memory: bool = False) -> Usage:
        """Sync once.

        Raises:
            CommandFailedError: the command failed, or does not say that nothing was to be done.
        """
        self._log.unlink(missing_ok=True)
        self._before.setdefault(task, fingerprint(task))
        usage = measure(
            contestant.command(Sync(task.endpoint, task.source, task.destination, str(self._log))),
            environment=clean_environment(self._home, task.endpoint, task.credentials),
            data_folder=self._output.parent,
            sample_memory=sample_memory,
            timeout_s=self._timeout_s,
            stdout=self._output,
        )
        log = self._log.read_text() if self._log.exists() else ""
        check_told(contestant.name, task.keys, self._output.read_text(), log)
        return usage

    def check(self, task: Unchanged) -> None:
        """Raise CommandFailedError unless the folder's files are those that were there before any run."""
        if fingerprint(task) != self._before[task]:
            raise CommandFailedError("a file at the destination is not the one that was there")


def fingerprint(task: Unchanged) -> int:
    """Return what changes with any file of the destination; 0 for a bucket, of which the programs' word is taken."""
    if not task.destination.startswith("/"):
        return 0
    found = 0
    for folder, _, names in os.walk(task.destination):
        for name in names:
            told = os.stat(os.path.join(folder, name))
            found ^= hash((folder, name, told.st_ino, told.st_size, told.st_mtime_ns, told.st_ctime_ns))
    return found


def make_file(path: Path, size_bytes: int, mtime_ns: int) -> None:
    """Make a file of zeros that was modified at this instant."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.truncate(size_bytes)
        os.utime(file.fileno(), ns=(mtime_ns, mtime_ns))


def nanoseconds(instant: datetime) -> int:
    """Return the nanoseconds since the epoch of an instant in whole microseconds."""
    return int(instant.timestamp()) * 10**9 + instant.microsecond * 1000


def fill_folder(store: Store, prefix: str, folder: Path) -> None:
    """Give the folder a file for each object below the prefix, of its size and with the time of its listing."""
    pages = store.client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
    for page in pages:
        for stored in page["Contents"]:
            path = folder / stored["Key"].removeprefix(prefix)
            make_file(path, stored["Size"], nanoseconds(stored["LastModified"]))


@contextmanager
def open_real(folder: Path, cases: Sequence[str], keys: int) -> Iterator[list[Unchanged]]:
    """Run SeaweedFS with the objects twice, and beside it the folder that has the same; gives the chosen tasks."""
    (folder / "server").mkdir()
    names = [f"{number // FOLDER_KEYS:04d}/{number % FOLDER_KEYS:04d}.bin" for number in range(keys)]
    with weed(folder / "server") as store:
        tasks = []
        store.fill((f"source/{name}" for name in names), lambda _: BODY)
        if "down-weed" in cases:
            fill_folder(store, "source/", folder / "files")
            tasks.append(("down-weed", str(folder / "files")))
        if "copy-weed" in cases:  # later than the source, so that nothing there is newer
            store.fill((f"destination/{name}" for name in names), lambda _: BODY)
            tasks.append(("copy-weed", f"{BUCKET}/destination/"))
        yield [
            Unchanged(name, keys, store.endpoint, store.keys, f"{BUCKET}/source/", destination)
            for name, destination in tasks
        ]


@contextmanager
def open_computed(
    folder: Path, cases: Sequence[str], counts: Sequence[int], latency_s: float
) -> Iterator[list[Unchanged]]:
    """Run the server that computes its listings, and make folders that have the same; gives the chosen tasks."""
    with listing_server(counts, latency_s) as endpoint:
        tasks = []
        for keys in counts:
            prefix = listing_prefix(SHAPE, keys)
            if "down-computed" in cases:
                files = folder / f"files-{keys}"
                for name in SHAPES[SHAPE](keys):
                    make_file(files / name, OBJECT_BYTES, nanoseconds(OBJECT_TIME))
                tasks.append(("down-computed", keys, prefix, str(files)))
            if "copy-computed" in cases:
                tasks.append(("copy-computed", keys, prefix, f"{OTHER_BUCKET}/{prefix}"))
        yield [
            Unchanged(name, keys, endpoint, DUMMY_KEYS, f"{BUCKET}/{prefix}", destination)
            for name, keys, prefix, destination in tasks
        ]


@contextmanager
def open_sides(
    parent: Path, cases: Sequence[str], keys: int, counts: Sequence[int], *, latency_s: float, timeout_s: float
) -> Iterator[tuple[SyncArena, list[Unchanged]]]:
    """Make what the chosen cases need, and give the arena and the tasks; leave nothing behind.

    Args:
        keys: of the cases with a real server.
        counts: of those with a computed one, smallest first.
    """
    with tempfile.TemporaryDirectory(prefix="bulkhaul-bench-", dir=parent) as name, ExitStack() as servers:
        folder = Path(name).absolute()
        tasks: list[Unchanged] = []
        if any(case.endswith("weed") for case in cases):
            tasks += servers.enter_context(open_real(folder, cases, keys))
        if any(case.endswith("computed") for case in cases):
            tasks += servers.enter_context(open_computed(folder, cases, counts, latency_s))
        yield SyncArena(folder, timeout_s), tasks
