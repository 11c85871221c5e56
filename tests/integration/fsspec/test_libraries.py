"""pandas, pyarrow, dask and zarr read and write through the file system, on a real server."""

from __future__ import annotations

import asyncio
from typing import Any

import dask
import dask.dataframe
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.dataset
import pyarrow.fs
import pyarrow.parquet
import pytest
import zarr
import zarr.storage

from bulkhaul.fsspec import BulkhaulFileSystem
from tests.integration.fsspec.places import file_system, options
from tests.servers.process import RunningServer

TABLE = pd.DataFrame(
    {"n": range(5000), "text": [f"line {n}" for n in range(5000)], "part": [n % 3 for n in range(5000)]}
)


def test_pandas_csv(server: RunningServer) -> None:
    """By URL and storage options, plain and compressed."""
    for name in ("table.csv", "table.csv.gz"):
        url = f"bulkhaul://bucket/pandas/{name}"
        TABLE.to_csv(url, index=False, storage_options=options(server))
        pd.testing.assert_frame_equal(pd.read_csv(url, storage_options=options(server)), TABLE)
    with pytest.raises(FileNotFoundError):
        pd.read_csv("bulkhaul://bucket/pandas/missing.csv", storage_options=options(server))


def test_pandas_parquet(server: RunningServer) -> None:
    """Also some columns of it."""
    url = "bulkhaul://bucket/pandas/table.parquet"
    TABLE.to_parquet(url, storage_options=options(server))
    found = pd.read_parquet(url, columns=["n", "text"], storage_options=options(server))
    pd.testing.assert_frame_equal(found, TABLE[["n", "text"]])


def test_pyarrow_dataset(fs: BulkhaulFileSystem) -> None:
    """A partitioned dataset is written, found by its folders, and read with a filter."""
    where = pyarrow.fs.PyFileSystem(pyarrow.fs.FSSpecHandler(fs))
    table = pa.Table.from_pandas(TABLE)
    pyarrow.parquet.write_to_dataset(table, "bucket/arrow", partition_cols=["part"], filesystem=where)
    assert sorted(fs.ls("bucket/arrow", detail=False)) == [f"bucket/arrow/part={n}" for n in range(3)]
    dataset = pyarrow.dataset.dataset("bucket/arrow", filesystem=where, partitioning="hive")
    found = dataset.to_table(filter=pyarrow.dataset.field("part") == 1)["n"].to_pylist()
    assert sorted(found) == list(range(1, 5000, 3))


@pytest.mark.filterwarnings("ignore:The inplace keyword")  # dask's own use of pandas
@pytest.mark.parametrize("scheduler", ["threads", "processes"])
def test_dask(server: RunningServer, scheduler: str) -> None:
    """Parquet and CSV, by threads and by processes: the file system is carried over to these."""
    with dask.config.set(scheduler=scheduler, num_workers=2):
        from_pandas: Any = dask.dataframe.from_pandas
        frame = from_pandas(TABLE, npartitions=3)
        url = f"bulkhaul://bucket/dask-{scheduler}/"
        frame.to_parquet(url + "table", storage_options=options(server))
        found = dask.dataframe.read_parquet(url + "table", storage_options=options(server))
        assert found["n"].sum().compute() == sum(range(5000))
        assert len(found) == 5000  # by the statistics of the files
        frame.to_csv(url + "csv/*.csv", index=False, storage_options=options(server))
        lines = dask.dataframe.read_csv(url + "csv/*.csv", blocksize=5_000, storage_options=options(server))
        assert lines.npartitions > 3
        assert sorted(lines["n"].compute()) == list(range(5000))


def test_zarr(server: RunningServer) -> None:
    """Arrays are written and read by zarr, which runs the file system's coroutines on a loop of its own."""
    url = "bulkhaul://bucket/zarr/sync.zarr"
    store = zarr.storage.FsspecStore.from_url(url, storage_options=options(server))
    data = np.arange(10_000).reshape(100, 100)
    group = zarr.create_group(store, overwrite=True)
    group.create_array("a", data=data, chunks=(30, 30))
    again = zarr.storage.FsspecStore.from_url(url, storage_options=options(server), read_only=True)
    opened: Any = zarr.open_group(again, mode="r")["a"]
    assert (opened[10:45, 7] == data[10:45, 7]).all()
    assert (opened[:] == data).all()


def test_zarr_in_a_coroutine(server: RunningServer) -> None:
    """The same by zarr's coroutines, on the program's own loop."""

    async def main() -> None:
        fs = file_system(server, asynchronous=True)
        store = zarr.storage.FsspecStore(fs, path="bucket/zarr/async.zarr")
        data = np.arange(1000)
        array: Any = await zarr.api.asynchronous.create_array(store, data=data, chunks=(100,), shards=(500,))
        assert (await array.getitem(slice(95, 605)) == data[95:605]).all()
        assert await store.exists("zarr.json")
        assert not await store.exists("none")
        names = {name async for name in store.list()}
        assert names == {"zarr.json", "c/0", "c/1"}
        await store.delete_dir("c")
        assert {name async for name in store.list()} == {"zarr.json"}

    asyncio.run(main())
