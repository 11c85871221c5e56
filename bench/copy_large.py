"""One object above 5 GiB, for real: uploaded in parts, copied by the service in parts, read back and checked.

Run: ``python -m bench.copy_large``. SeaweedFS needs three times the size on disk. Prints seconds of each step; exits 1
if the copy is not exact.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from bench.stores import BUCKET, weed
from bulkhaul import Engine, TransferResult
from bulkhaul.model.limits import GIB, MIB
from bulkhaul.policy.sizes import parse_size

BLOCK_BYTES = 64 * MIB


def main() -> int:
    """Upload, copy, read back; print what it took."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--size", type=parse_size, default=5 * GIB + MIB + 1, help="default: a little over 5 GiB")
    options.add_argument("--folder", default="/var/tmp", help="where the server keeps its data")
    given = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="bulkhaul-copy-", dir=given.folder) as name:
        folder = Path(name)
        source = folder / "source.bin"
        _fill(source, given.size)
        with weed(folder) as store:
            keys = {"AWS_ACCESS_KEY_ID": store.keys[0], "AWS_SECRET_ACCESS_KEY": store.keys[1]}
            os.environ.update(keys, BULKHAUL_STATE_DIR=str(folder / "state"))
            with Engine(endpoint_url=store.endpoint) as engine:
                sink = os.open(os.devnull, os.O_WRONLY)
                steps = {
                    "upload": _timed(lambda: engine.upload(source, f"s3://{BUCKET}/source")),
                    "copy": _timed(lambda: engine.copy(f"s3://{BUCKET}/source", f"s3://{BUCKET}/copy")),
                    "read back": _timed(lambda: engine.download_stream(f"s3://{BUCKET}/copy", sink)),
                }
                os.close(sink)
            exact = store.holds("copy", source)
    report = {
        step: {"seconds": round(seconds, 2), "parts": result.parts, "integrity": result.integrity}
        for step, (result, seconds) in steps.items()
    }
    print(json.dumps({"size_bytes": given.size, "exact": exact, **report}))
    return 0 if exact else 1


def _fill(path: Path, size_bytes: int) -> None:
    """Write blocks that are all different, quickly."""
    block = np.random.default_rng(7).integers(0, 2**63, BLOCK_BYTES // 8, dtype=np.uint64)
    with path.open("wb") as file:
        for number in range(-(-size_bytes // BLOCK_BYTES)):
            piece = memoryview((block ^ np.uint64(number)).tobytes())
            file.write(piece[: min(BLOCK_BYTES, size_bytes - number * BLOCK_BYTES)])


def _timed(work: Callable[[], TransferResult]) -> tuple[TransferResult, float]:
    began_s = time.perf_counter()
    return work(), time.perf_counter() - began_s


if __name__ == "__main__":
    sys.exit(main())
