"""Carries out ``bulkhaul demo``, stage by stage.

server up ─▶ upload ─▶ restore ─▶ compare ─▶ table ─▶ everything removed

Every stage is an iterator in a thread of its own, so that the main thread can show progress and look for Ctrl-C.
"""

from __future__ import annotations

import contextlib
import gc
import os
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bulkhaul.cli.demo.bundle import LARGE_KEY, SMALL_PREFIX, Bundle
from bulkhaul.cli.demo.stages import Interrupted, Stages
from bulkhaul.cli.demo.upload_bundle import uploaded
from bulkhaul.cli.interruption import Interruption, kill
from bulkhaul.cli.lines import error_line, interrupted_text
from bulkhaul.cli.progress import TICK_S
from bulkhaul.embedded.seaweed import REGION, Seaweed, find_weed, seaweed
from bulkhaul.engine.facade import Engine
from bulkhaul.model.errors import IntegrityError, TransferError, Unsupported
from bulkhaul.model.results import TransferResult
from bulkhaul.policy.sizes import format_size
from bulkhaul.wire.values import Credentials

BUCKET = "demo"


def missing(size_bytes: int, objects: int, space_factor: float) -> str:
    """Return what the demo lacks and how to mend it, empty if nothing."""
    try:
        find_weed()
    except Unsupported as error:
        return error.message
    folder = tempfile.gettempdir()
    needed = round((size_bytes + objects * 1024 * 1024 // 4) * space_factor)
    free = shutil.disk_usage(folder).free
    if free < needed:
        return (
            f"the demo needs {format_size(needed)} free in {folder}, and there are {format_size(free)};"
            " make room, set TMPDIR to another folder, or ask for less with --size"
        )
    return ""


def demonstrate(size_bytes: int, objects: int) -> int:
    """Run the demo and return the exit code."""
    gc.enable()  # the imports are done
    demo = _Demo()
    try:
        with contextlib.ExitStack() as stack:
            demo.run(stack, size_bytes, objects)
    except Interrupted:
        sys.stderr.write(f"bulkhaul: {interrupted_text(demo.interruption.name)}, everything was removed\n")
        return demo.interruption.exit_code
    except TransferError as error:
        sys.stderr.write(error_line(error.info))
        return error.exit_code
    return 0


class _Demo:
    """One run of the demo.

    Attributes:
        interruption: the signals that came.
    """

    def __init__(self) -> None:
        self.interruption = Interruption(self._kill)
        self.interruption.install()
        self._server: Seaweed | None = None
        self._engine: Engine | None = None
        self._stages = Stages(self.interruption)

    def run(self, stack: contextlib.ExitStack, size_bytes: int, objects: int) -> None:
        """Go through all stages; what is opened is closed with the stack.

        Raises:
            TransferError: a stage failed.
            Interrupted: a signal came.
        """
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bulkhaul-demo-")))
        restored = folder / "restored"
        server = self._server = stack.enter_context(seaweed())
        use_only(server.credentials)
        engine = self._engine = stack.enter_context(Engine(endpoint_url=server.endpoint_url, region=REGION))
        bundle = Bundle(size_bytes, objects, seed=1)
        stages = stack.enter_context(self._stages)

        stages.run("start SeaweedFS", lambda: _started(server, engine))
        stages.run(
            "upload",
            lambda: uploaded(engine, BUCKET, bundle),
            total_bytes=bundle.size_bytes,
            done=_received(engine),
        )
        rows = []
        for what, key in (("large object", LARGE_KEY), ("small objects", SMALL_PREFIX)):
            total_bytes = sum(payload.size_bytes for payload in bundle.payloads if payload.key.startswith(key))
            if not total_bytes:
                continue
            results, seconds = stages.run(
                f"restore {what}",
                partial(_restored, engine, key, restored),
                total_bytes=total_bytes,
                done=_received(engine),
            )
            rows.append((what, results, seconds))
        stages.run("compare", lambda: _compared(bundle, restored), total_bytes=bundle.size_bytes, done=_total)
        stages.close()
        Console().print(_table(rows))

    def _kill(self) -> None:
        pids = [*(self._engine.worker_pids if self._engine else ())]
        if self._server is not None:
            pids.append(self._server.process_id)
        kill(pids)


def use_only(credentials: Credentials) -> None:
    """Have this process, and those that it starts, see these credentials and no other AWS configuration."""
    for name in list(os.environ):
        if name.startswith("AWS_") or name == "S3_ENDPOINT_URL":
            del os.environ[name]
    os.environ.update(
        AWS_ACCESS_KEY_ID=credentials.access_key,
        AWS_SECRET_ACCESS_KEY=credentials.secret_key,
        AWS_CONFIG_FILE=os.devnull,
        AWS_SHARED_CREDENTIALS_FILE=os.devnull,
        AWS_EC2_METADATA_DISABLED="true",
        NO_PROXY="127.0.0.1",
        no_proxy="127.0.0.1",
    )


def _started(server: Seaweed, engine: Engine) -> Iterator[None]:
    """Wait until the server takes objects, and make the bucket."""
    for _ in server.until_ready():
        yield None  # lets the stage end here if it was interrupted
        time.sleep(TICK_S)
    engine.create_bucket(BUCKET)


def _restored(engine: Engine, key: str, folder: Path) -> Iterator[TransferResult]:
    """Restore one key or all below a prefix, each to its own path below ``folder``.

    Raises:
        TransferError: the first failure.
    """
    path = folder / key
    if key.endswith("/"):
        results = engine.download_many(f"s3://{BUCKET}/{key}", path)
    else:
        path.parent.mkdir(parents=True)
        results = iter([engine.download(f"s3://{BUCKET}/{key}", path)])
    for result in results:
        if result.error is not None:
            raise result.error
        yield result


def _received(engine: Engine) -> Callable[[object], int]:
    """Return a function that tells how many bytes have arrived since now."""
    before = engine.progress().received_bytes
    return lambda _: engine.progress().received_bytes - before


def _total(done_bytes: list[int]) -> int:
    return sum(done_bytes)


def _compared(bundle: Bundle, folder: Path) -> Iterator[int]:
    """Compare every restored file with what was made, and yield the bytes of each.

    Raises:
        IntegrityError: one differs, or is missing.
    """
    for payload in bundle.payloads:
        if bundle.differs(payload, folder / payload.key):
            raise IntegrityError("the restored file is not what was uploaded; please report this", payload.key)
        yield payload.size_bytes


def _table(rows: list[tuple[str, list[TransferResult], float]]) -> Table:
    table = Table(title="restored and compared, byte by byte")
    table.add_column("what")
    for name in ("objects", "bytes", "seconds", "GB/s"):
        table.add_column(name, justify="right")
    table.add_column("integrity")
    for what, results, seconds in rows:
        size_bytes = sum(result.size for result in results)
        grades = Counter(str(result.integrity) for result in results)
        integrity = ", ".join(grades) if len(grades) == 1 else ", ".join(f"{n} {name}" for name, n in grades.items())
        rate = f"{size_bytes / seconds / 1e9:.2f}"
        table.add_row(what, f"{len(results):,}", f"{size_bytes:,}", f"{seconds:.2f}", rate, integrity)
    return table
