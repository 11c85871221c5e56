"""A machine whose AWS files and environment are made up: both the SDK and we read what is really there."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock


class Machine:
    """A home folder with the two files, and an environment."""

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)

    def set_up(self, config: str | None, credentials: str | None, variables: Mapping[str, str]) -> Any:
        """Write the files and return a context in which the environment holds nothing but the variables."""
        for name, text in (("config", config), ("credentials", credentials)):
            (self.folder / name).unlink(missing_ok=True)
            if text is not None:
                (self.folder / name).write_text(text, newline="")
        fixed = {
            "HOME": str(self.folder),
            "PATH": os.defpath,
            "AWS_CONFIG_FILE": str(self.folder / "config"),
            "AWS_SHARED_CREDENTIALS_FILE": str(self.folder / "credentials"),
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        return mock.patch.dict(os.environ, {**fixed, **variables}, clear=True)

    def text_of(self, name: str) -> str | None:
        """Return a file's text as Python reads text files."""
        path = self.folder / name
        return path.read_text() if path.exists() else None


@contextmanager
def new_machine() -> Iterator[Machine]:
    """Give a machine of nobody's, with two files of certificate authorities."""
    with tempfile.TemporaryDirectory() as folder:
        for name in ("ca.pem", "other.pem"):
            (Path(folder) / name).touch()
        yield Machine(folder)
