"""Does the work of ``bulkhaul bench tune``, and adds the profile that it finds to a configuration file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from bulkhaul.benchmark.extra import require
from bulkhaul.benchmark.tune import Tried, heading_of, profile, tried_line, tune
from bulkhaul.cli.bench_files import require_writable
from bulkhaul.cli.bench_run import Work
from bulkhaul.cli.bench_teller import Teller
from bulkhaul.cli.lines import json_text
from bulkhaul.disk.oserrors import local_error, read_error
from bulkhaul.model.errors import UsageError
from bulkhaul.policy.awsfiles import Unsure, read_files

if TYPE_CHECKING:
    from bulkhaul.cli.run_query import Lines
    from bulkhaul.engine.aio import AsyncEngine


def tune_work(url: str, *, profile_name: str, write: str, as_json: bool) -> Work:
    """Return the work of ``bulkhaul bench tune``."""

    async def work(engine: AsyncEngine, out: Lines) -> int:
        teller = Teller(out, as_json=as_json, quiet=as_json)

        async def tell(tried: Tried) -> None:
            if as_json:
                await out.write(json_text("run", msgspec.to_builtins(tried)))
            else:
                out.error(tried_line(tried))

        require("hdrh")
        heading_of(profile_name)  # before it takes minutes
        if write:
            _other_profiles(write, profile_name)
            _require_writable(write)
        tuning = await tune(engine, url, teller, tell)
        text = profile(tuning, profile_name)
        try:
            if write:
                _append_profile(write, profile_name, text)
        finally:  # also where it could not be added: it took minutes to find
            if as_json:
                fields = msgspec.to_builtins(tuning)
                del fields["tried"]
                await out.write(json_text("summary", {"operation": "bench tune", **fields, "profile": text}))
            else:
                await out.write(text)
        return 0

    return work


def _other_profiles(path: str, name: str) -> str:
    """Return what is in a configuration file that has no profile of this name.

    Raises:
        UsageError: it has one, or is none that the AWS commands can read.
        LocalError: it cannot be read.
    """
    file = Path(path).expanduser()
    try:
        before = file.read_text(encoding="utf-8") if file.exists() else ""
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is no text in UTF-8; mend it, or name another file with --write") from error
    except OSError as error:
        raise read_error(error, path) from error
    try:
        configured = read_files(before, None).configured
    except Unsure as unsure:
        raise UsageError(f"{path}: {unsure}; mend it, or name another file with --write") from unsure
    if name in configured:
        raise UsageError(f"{path} has a profile {name}; name another one with --as, or remove it")
    return before


def _require_writable(path: str) -> None:
    """Make sure that a file can be appended to, or made; nothing is changed.

    Raises:
        LocalError: it cannot.
    """
    file = Path(path).expanduser()
    try:
        if file.exists():
            file.open("ab").close()
        else:
            require_writable(file.parent)
    except OSError as error:
        raise local_error(error, path) from error


def _append_profile(path: str, name: str, text: str) -> None:
    """Add a profile to a configuration file, which has none of this name.

    Raises:
        UsageError: it has one.
        LocalError: the file cannot be read or written.
    """
    before, file = _other_profiles(path, name), Path(path).expanduser()
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("a", encoding="utf-8") as appended:
            appended.write(("\n" if before else "") + text)
    except OSError as error:
        raise local_error(error, path) from error
