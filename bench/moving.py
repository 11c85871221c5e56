"""Where objects are moved in either direction: places, tasks, an empty destination before each run, exact checks.

A *place* is a running server with one bucket. A *task* is a direction and what is moved. After every run the
names and sizes at the destination must be exactly the source's; in the checked run every MD5 too.
"""

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from bench.contestants import DUMMY_KEYS, Contestant, clean_environment
from bench.measure import CommandFailedError, Usage, measure
from bench.movers import Move
from bench.stores import BUCKET, Store

BLOCK_BYTES = 8 << 20
LARGE_NAME = "object"
FORGETFUL_ETAG_CHARACTERS = 34  # of a quoted MD5: other ETags say nothing of the bytes


@dataclass(frozen=True, slots=True)
class Expected:
    """What must be at the destination under one name."""

    size_bytes: int
    md5: str


@dataclass(frozen=True)
class Place:
    """A server to move from or to.

    Attributes:
        ca_bundle: what clients have to trust, or None without TLS.
        store: its bucket for uploads; None if it takes none.
        checking_store: the bucket that the checked run uploads to, where ``store`` keeps no bytes.
        statistics: returns the server's counters, where it has any.
    """

    endpoint: str
    keys: tuple[str, str] = DUMMY_KEYS
    ca_bundle: Path | None = None
    store: Store | None = None
    checking_store: Store | None = None
    statistics: Callable[[], Mapping[str, float]] | None = None


@dataclass(frozen=True)
class Task:
    """What is moved, and from or to which place.

    Attributes:
        name: unique, for tables and results.
        key: of a download: of the object, or the prefix of many with a slash at its end.
        source: of an upload: the file or folder.
        expected: by name within the folder; of one object by LARGE_NAME.
    """

    name: str
    place: Place
    is_download: bool
    expected: Mapping[str, Expected]
    key: str = ""
    source: Path = Path()

    def __hash__(self) -> int:
        """Tasks are told apart by their names."""
        return hash(self.name)

    def __eq__(self, other: object) -> bool:
        """Tasks are told apart by their names."""
        return isinstance(other, Task) and self.name == other.name

    def __str__(self) -> str:
        return self.name

    @property
    def is_many(self) -> bool:
        """Whether a folder is moved."""
        return LARGE_NAME not in self.expected

    @property
    def objects(self) -> int:
        """How many objects are moved."""
        return len(self.expected)

    @property
    def size_bytes(self) -> int:
        """How many bytes are moved."""
        return sum(each.size_bytes for each in self.expected.values())


@dataclass
class MovingArena:
    """An empty destination for every run.

    Attributes:
        folder: where downloads land; also an empty home for everybody.
        server_runs: what each run cost the server, by task and contestant, where the server counts.
    """

    folder: Path
    timeout_s: float
    server_runs: dict[str, dict[str, list[dict[str, float]]]] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))
    _prefix: str = ""

    @property
    def destination(self) -> Path:
        """The folder that a download fills."""
        return self.folder / "destination"

    def run(self, contestant: Contestant[Move], task: Task, *, sample_memory: bool = False) -> Usage:
        """Move once; what was made stays until the next run.

        Raises:
            CommandFailedError: the command failed, or the names and sizes at its destination are wrong.
        """
        shutil.rmtree(self.destination, ignore_errors=True)
        self.destination.mkdir()
        place, store = task.place, self._store(task, checking=sample_memory)
        if task.is_download:
            path = self.destination if task.is_many else self.destination / LARGE_NAME
            move = Move(place.endpoint, BUCKET, task.key, str(path), is_download=True)
        else:
            assert store is not None
            store.remove_bucket()
            store.make_bucket()
            self._prefix = f"run-{next(self._numbers)}/" + (LARGE_NAME if not task.is_many else "")
            move = Move(store.endpoint, BUCKET, self._prefix, str(task.source), is_download=False)
        os.sync()
        environment = clean_environment(self.folder / "home", move.endpoint, place.keys)
        if place.ca_bundle is not None:
            trusted = str(place.ca_bundle)
            environment |= {"AWS_CA_BUNDLE": trusted, "SSL_CERT_FILE": trusted, "SSL_CERT_DIR": "/nonexistent"}
        before = place.statistics() if place.statistics else None
        usage = measure(
            contestant.command(move),
            environment=environment,
            data_folder=self.destination if task.is_download else task.source.parent,
            sample_memory=sample_memory,
            timeout_s=self.timeout_s,
        )
        after = place.statistics() if place.statistics else None
        self._check_sizes(task, store)
        if before is not None and after is not None and not sample_memory:
            runs = self.server_runs.setdefault(task.name, {}).setdefault(contestant.name, [])
            runs.append(difference(before, after))
        return usage

    def check(self, task: Task) -> None:
        """Raise CommandFailedError unless the last run, a checked one, moved every byte."""
        if task.is_download:
            for name, wanted in task.expected.items():
                if md5_of(self.destination / name) != wanted.md5:
                    raise CommandFailedError(f"the bytes of {name} differ from the object's")
            return
        store = self._store(task, checking=True)
        assert store is not None
        for name, etag in etags(store).items():
            wanted = task.expected[self._name(task, name)]
            path = task.source / self._name(task, name) if task.is_many else task.source
            exact = etag == f'"{wanted.md5}"' if len(etag) == FORGETFUL_ETAG_CHARACTERS else store.holds(name, path)
            if not exact:
                raise CommandFailedError(f"the bytes stored under {name} differ from the source's")

    def _store(self, task: Task, *, checking: bool) -> Store | None:
        return task.place.checking_store if checking and task.place.checking_store else task.place.store

    def _name(self, task: Task, key: str) -> str:
        return key.removeprefix(self._prefix) if task.is_many else LARGE_NAME

    def _check_sizes(self, task: Task, store: Store | None) -> None:
        if task.is_download:
            found = {path.name: path.stat().st_size for path in self.destination.iterdir()}
        else:
            assert store is not None
            found = {self._name(task, key): size for key, size in store.sizes_bytes().items()}
        wanted = {name: each.size_bytes for name, each in task.expected.items()}
        if found != wanted:
            odd = sorted(found.items() ^ wanted.items())[:3]
            raise CommandFailedError(f"{len(found)} names instead of {len(wanted)}, or other sizes: {odd}")


def md5_of(path: Path) -> str:
    """Return the MD5 of a file, in hexadecimal."""
    digest = hashlib.md5(usedforsecurity=False)
    with path.open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def expected_of(source: Path) -> dict[str, Expected]:
    """Return what must arrive of a file or folder."""
    files = {path.name: path for path in source.iterdir()} if source.is_dir() else {LARGE_NAME: source}
    return {name: Expected(path.stat().st_size, md5_of(path)) for name, path in sorted(files.items())}


def etags(store: Store) -> dict[str, str]:
    """Return the ETag of every object in the bucket, with its quotes, by key."""
    pages = store.client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
    return {stored["Key"]: stored["ETag"] for page in pages for stored in page.get("Contents", ())}


def difference(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    """Return what a server's counters counted between two looks; peaks and states are the later."""
    states = ("most_connections", "most_waiting", "latest_s", "connections", "nice")
    return {name: after[name] if name in states else after[name] - before[name] for name in after}
