"""Downloads into one folder at a time: one that restores nothing takes no folder away from another."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pytest

from bulkhaul import errors
from bulkhaul.model.rows import Action, Row
from tests.engines import keys, running_engine, serving
from tests.faultserver import make_object
from tests.patience import PATIENCE_S

NAMES = ["a", "b", "deep/c"]


def test_a_run_that_restores_nothing(tmp_path: Path) -> None:
    """The folder that it has made stays for the run that has begun to restore into it meanwhile."""
    folder = tmp_path / "new" / "below"
    made, entered, left = Event(), Event(), Event()
    rows = [
        Row(n=n, action=Action.DOWNLOAD, source=f"s3://bucket/{name}", destination=str(folder / name))
        for n, name in enumerate(NAMES)
    ]

    def nothing() -> Iterator[list[Row]]:
        made.set()
        assert entered.wait(PATIENCE_S)
        yield []

    def found() -> Iterator[list[Row]]:
        entered.set()
        assert left.wait(PATIENCE_S)
        yield rows

    with serving() as server, running_engine(server.endpoint_url, keys()) as engine, ThreadPoolExecutor(2) as threads:
        for name in NAMES:
            server.store.put("bucket", name, make_object(b"body"))
        first = threads.submit(lambda: list(engine.download_rows(nothing(), folder)))
        assert made.wait(PATIENCE_S)
        second = threads.submit(lambda: list(engine.download_rows(found(), folder)))
        try:
            assert first.result(PATIENCE_S) == []
        finally:
            left.set()
        assert [one.error for one in second.result(PATIENCE_S)] == [None] * len(NAMES)
    assert all((folder / name).read_bytes() == b"body" for name in NAMES)


def test_a_run_that_finds_nothing_leaves_nothing(tmp_path: Path) -> None:
    """By itself it takes away all that it has made."""
    where = tmp_path / "new" / "below"
    with serving() as server, running_engine(server.endpoint_url, keys()) as engine, pytest.raises(errors.NotFound):
        list(engine.download_many("s3://bucket/none/", where))
    assert list(tmp_path.iterdir()) == []
