"""Reads the SDK's data files (service models, endpoint rules) quickly.

botocore's own reader takes 0.1 s of every start: half for parsing JSON into ordered dictionaries, half for looking
into the folders of 400 services. Both are replaced through its public interfaces.
"""

from __future__ import annotations

import gzip
import os
from pathlib import Path
from typing import Any

import msgspec
from botocore.loaders import Loader


class _FileLoader:
    """Loads ``name.json`` or ``name.json.gz`` into plain dictionaries, which keep their order, too."""

    def exists(self, file_path: str) -> bool:
        """Whether there is such a file."""
        return os.path.isfile(file_path + ".json") or os.path.isfile(file_path + ".json.gz")

    def load_file(self, file_path: str) -> Any:
        """Return the file's content, None if there is none."""
        if os.path.isfile(plain := file_path + ".json"):
            return msgspec.json.decode(Path(plain).read_bytes())
        if os.path.isfile(packed := file_path + ".json.gz"):
            return msgspec.json.decode(gzip.decompress(Path(packed).read_bytes()))
        return None


class QuickLoader(Loader):  # type: ignore[misc] # botocore has no types
    """botocore's loader, with a quick reader and a quick list of services."""

    def __init__(self, data_path: str | None) -> None:
        """Search the folders that botocore searches.

        Args:
            data_path: the SDK's ``data_path`` setting (AWS_DATA_PATH), or None.
        """
        extra = [os.path.expanduser(os.path.expandvars(path)) for path in (data_path or "").split(os.pathsep) if path]
        extra = [path for path in extra if not path.startswith("~")]  # of a user without a known home
        super().__init__(extra_search_paths=extra, file_loader=_FileLoader())

    def list_available_services(self, type_name: str) -> list[str]:  # noqa: ARG002 - the SDK's signature
        """Return all folders of services; one without ``type_name`` fails only when it is loaded."""
        folders = (path for path in self.search_paths if os.path.isdir(path))
        return sorted({entry.name for folder in folders for entry in os.scandir(folder) if entry.is_dir()})
