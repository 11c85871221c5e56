"""Builds what a wheel holds beside the package: a manual page for each command, and the completion of each shell.

Source of the places: man-pages(7); the FAQ of bash-completion; zshcompsys(1); fish's manual, "Where to put
completions".
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

COMPLETIONS = {
    "bash": "share/bash-completion/completions/bulkhaul",
    "zsh": "share/zsh/site-functions/_bulkhaul",
    "fish": "share/fish/vendor_completions.d/bulkhaul.fish",
}


class CustomBuildHook(BuildHookInterface):
    """Adds the files to a wheel; an editable install, which is made to change the program, has none of them."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Write the files to a folder of this build's own, and name their places."""
        if version == "editable":
            return
        sys.path[:0] = [str(Path(self.root, "src")), str(Path(self.root, "docs"))]
        from man_pages import man_pages

        from bulkhaul.cli.completion import SCRIPTS

        self._folder = tempfile.TemporaryDirectory()
        files = {f"share/man/man1/{name}": page for name, page in man_pages().items()}
        files |= {place: SCRIPTS[shell] for shell, place in COMPLETIONS.items()}
        for place, text in files.items():
            path = Path(self._folder.name, place)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            build_data["shared_data"][str(path)] = place

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:  # noqa: ARG002 - hatch's
        """Remove the folder."""
        if version != "editable":
            self._folder.cleanup()
