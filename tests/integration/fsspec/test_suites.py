"""fsspec's own suites for file systems, on real servers: copy, get, put, open, pipe."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from fsspec.tests import abstract

from bulkhaul.fsspec import BulkhaulFileSystem
from bulkhaul.fsspec.many import remove_empty
from tests.integration.fsspec.places import options
from tests.servers.ministack import ministack
from tests.servers.weed import weed


class Tidy(BulkhaulFileSystem):
    """Removes the folders that SeaweedFS still lists when their last object is gone; it does so itself, but later."""

    async def _rm(self, path: str | list[str], recursive: bool = False, *args: Any, **named: Any) -> None:
        await super()._rm(path, recursive, *args, **named)
        for one in [path] if isinstance(path, str) else path:
            bucket, *folders = self._strip_protocol(one).split("/")[:-1]
            while folders:
                await self._asked(remove_empty, bucket, "/".join([*folders, ""]))
                folders.pop()


class Fixtures(abstract.AbstractFixtures):
    """The file system that fsspec's suites are run on, and a folder of it."""

    @pytest.fixture(scope="module", params=[weed, ministack], ids=["weed", "ministack"])
    @classmethod
    def fs(cls, request: pytest.FixtureRequest) -> Iterator[BulkhaulFileSystem]:
        """One file system a server."""
        with request.param() as server:
            fs = Tidy(**options(server))
            fs.mkdir("suites")
            yield fs

    @pytest.fixture
    def fs_path(self) -> str:
        """The folder."""
        return "suites/folder"

    @pytest.fixture
    def supports_empty_directories(self) -> bool:
        """A folder is what lies in it."""
        return False


class TestCopy(abstract.AbstractCopyTests, Fixtures):
    """Within the service."""


class TestGet(abstract.AbstractGetTests, Fixtures):
    """To disk."""


class TestPut(abstract.AbstractPutTests, Fixtures):
    """From disk."""


class TestOpen(abstract.AbstractOpenTests, Fixtures):
    """File objects."""


class TestPipe(abstract.AbstractPipeTests, Fixtures):
    """Bytes in memory."""
