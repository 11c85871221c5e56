"""Data loaders of several processes, as torch, ray and dask have them, carry stores, settings, results and errors."""

from __future__ import annotations

import multiprocessing
import pickle
import subprocess
import sys
from collections.abc import Iterator
from multiprocessing.pool import Pool

import pytest

from bulkhaul import Engine, NotFound, ObjectInfo, S3Store, Settings, TransferError
from tests.engines import aws_environment, keys, serving
from tests.faultserver import FaultServer, make_object
from tests.patience import PATIENCE_S


class Dataset:
    """What a loader hands to its workers: a store, and the keys in it."""

    def __init__(self, store: S3Store, names: list[str]) -> None:
        self.store = store
        self.names = names

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> tuple[bytes, ObjectInfo]:
        name = self.names[index]
        return self.store.get_bytes(name), self.store.head(name)


def item(dataset: Dataset, index: int) -> tuple[bytes, ObjectInfo] | TransferError:
    """Return one item, or the error that it ends with."""
    try:
        return dataset[index]
    except TransferError as error:
        return error


@pytest.fixture
def server() -> Iterator[FaultServer]:
    """A server with a few objects."""
    with serving() as running, aws_environment(keys()):
        for number in range(6):
            running.store.put("bucket", f"k{number}", make_object(b"body %d" % number))
        yield running


def test_a_dataset_in_spawned_workers(server: FaultServer) -> None:
    """Each opens the store anew; what it returns equals what the parent finds, and an error comes back whole."""
    names = [f"k{number}" for number in range(6)] + ["missing"]
    pool: Pool
    with S3Store.from_url(f"s3+{server.endpoint_url}/bucket", workers=1) as store:
        dataset = Dataset(store, names)
        with multiprocessing.get_context("spawn").Pool(2) as pool:
            found = pool.starmap_async(item, [(dataset, n) for n in range(len(dataset))]).get(PATIENCE_S)
        assert [one[0] for one in found[:6] if isinstance(one, tuple)] == [b"body %d" % n for n in range(6)]
        assert found[:6] == [item(dataset, n) for n in range(6)]
        failed = found[6]
        assert isinstance(failed, NotFound)
        assert failed.subject == "s3://bucket/missing"
        assert pickle.loads(pickle.dumps(failed)) == failed  # noqa: S301 - our own bytes


FORKED = """
import multiprocessing, sys, threading
from bulkhaul import S3Store, UsageError

def item(store, key, queue):
    try:
        queue.put(store.get_bytes(key))
    except UsageError as error:
        queue.put(error)

def items(store):
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    children = [context.Process(target=item, args=(store, key, queue)) for key in ("k1", "k2")]
    for child in children:
        child.start()
    found = [queue.get(timeout=50) for _ in children]
    for child in children:
        child.join()
    return found

with S3Store.from_url(sys.argv[1], workers=1) as store:
    keys = [info.key for info in store.list()]
    print(sorted(items(store)), store.get_bytes("k0"))
    with store._lock:  # as a thread that is starting the engine holds it
        print(sorted(items(store)), flush=True)
print({str(error) for error in items(store)})
"""


def test_a_dataset_in_forked_workers(server: FaultServer) -> None:
    """They inherit the store and start engines of their own; the parent's goes on, and a closed store stays closed."""
    words = [sys.executable, "-c", FORKED, f"s3+{server.endpoint_url}/bucket"]
    run = subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert (run.returncode, run.stderr) == (0, "")
    bodies = [b"body 1", b"body 2"]
    said = [f"{bodies!r} {b'body 0'!r}", repr(bodies), "{'the store is closed; make a new one'}"]
    assert run.stdout.splitlines() == said


def test_results_and_settings_compare(server: FaultServer) -> None:
    """What is pickled is equal to what comes of it."""
    settings = Settings(endpoint_url=server.endpoint_url, workers=1)
    with Engine(settings) as engine:
        values = [settings, engine.head("s3://bucket/k1"), engine.put_bytes("s3://bucket/new", b"x"), engine.progress()]
    for value in values:
        assert pickle.loads(pickle.dumps(value)) == value  # noqa: S301 - our own bytes
