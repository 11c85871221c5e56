"""Copies in parts and relays whose program is killed in the middle: acknowledged parts of the same source count."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bulkhaul import TransferResult
from bulkhaul.disk import records
from bulkhaul.model.objects import Content
from bulkhaul.model.settings import Settings
from bulkhaul.model.writing import ObjectOptions
from tests.engines import TOKEN, aws_environment, eventually, keys, serving
from tests.faultserver import FaultServer, hang_before_head, make_object
from tests.integration.test_download_resume import kill_tree
from tests.integration.test_upload_resume import recorded
from tests.writing import LIMITS, PART_BYTES, Site, engine_at, serving_site, write_settings

PARTS = 8
BODY = random.Random(45).randbytes((PARTS - 1) * PART_BYTES + 777)
HELD = (3, 5)
THERE = {1, 2, 4, 6, 7, 8}

PROGRAM = """
import json, sys
from bulkhaul import Engine
from bulkhaul.model.limits import S3Limits
from bulkhaul.model.settings import Settings
settings, origin_url = json.loads(sys.argv[1]), sys.argv[2]
limits = S3Limits(min_part_bytes=settings.pop("min_part_bytes"))
with Engine(workers=2, concurrency=8, limits=limits, **settings) as engine:
    beside = None
    if origin_url:
        beside = engine.beside(Settings(workers=2, concurrency=8, endpoint_url=origin_url))
    engine.copy("s3://bucket/source", "s3://bucket/key", origin=beside)
print("done", flush=True)
"""


@dataclass
class Copying:
    """Where an object is copied from and to: the same service, or two."""

    site: Site
    origin: FaultServer
    operation: str

    @property
    def relays(self) -> bool:
        """Whether the parts pass through this machine."""
        return self.origin is not self.site.server

    def put(self, body: bytes = BODY, **more: Any) -> None:
        """Store the source."""
        self.origin.store.put("bucket", "source", make_object(body, **{"algorithm": "CRC32", **more}))

    @contextmanager
    def program(self) -> Iterator[subprocess.Popen[str]]:
        """Run PROGRAM; at the end it is dead."""
        chosen = {
            "endpoint_url": self.site.server.endpoint_url,
            "part_size_bytes": PART_BYTES,
            "multipart_threshold_bytes": 2 * PART_BYTES,
            "min_part_bytes": LIMITS.min_part_bytes,
            "state_dir": str(self.site.state),
        }
        words = [json.dumps(chosen), self.origin.endpoint_url if self.relays else ""]
        with aws_environment(keys() | {"PYTHONPATH": os.pathsep.join(sys.path)}):
            process = subprocess.Popen([sys.executable, "-c", PROGRAM, *words], stdout=subprocess.PIPE, text=True)
        with process:
            try:
                yield process
            finally:
                process.kill()

    def interrupt(self, there: set[int] = THERE, at: tuple[int, ...] = HELD) -> None:
        """Have a program copy the object, and kill all of it when ``there`` are acknowledged and written down."""
        for part in at:
            self.site.server.add_fault(hang_before_head(operation=self.operation, key="key", part=part))
        with self.program() as process:
            eventually(lambda: recorded(self.site) == there, "other parts came than those that are not held")
            kill_tree(process)
        assert len(self.site.pending("key")) == 1

    def again(self, options: ObjectOptions | None = None, body: bytes = BODY, **settings: Any) -> Again:
        """Copy once more with an engine of its own, and check that nothing is left."""
        before, read = len(self.site.server.requests), len(self.origin.requests_for("GetObject", "source"))
        with engine_at(self.site, concurrency=8, **settings) as rig:
            beside = None
            if self.relays:
                more = write_settings(self.site.folder / "far")
                beside = rig.engine.beside(Settings(endpoint_url=self.origin.endpoint_url, **more))
            result = rig.engine.copy("s3://bucket/source", "s3://bucket/key", options, origin=beside)
            rig.assert_nothing_left("key")
        assert self.site.stored("key") == body
        asked = [one for one in self.site.server.requests[before:] if one.key == "key"]
        moved = sorted(one.part_number or 0 for one in asked if one.operation == self.operation)
        fetched = len(self.origin.requests_for("GetObject", "source")) - read
        return Again(result, Counter(one.operation for one in asked), moved, fetched)


@dataclass(frozen=True)
class Again:
    """A second copy: its result, what was asked for it, the parts that were moved, and the GETs of the source."""

    result: TransferResult
    asked: Counter[str]
    moved: list[int]
    fetched: int


@pytest.fixture(params=["copy", "relay"])
def copying(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Copying]:
    """An object that is copied within a service, and from one to another."""
    with serving_site(tmp_path) as site:
        if request.param == "copy":
            one = Copying(site, site.server, "UploadPartCopy")
            one.put()
            yield one
        else:
            with serving(tokens=(TOKEN,)) as origin:
                one = Copying(site, origin, "UploadPart")
                one.put()
                yield one


def test_killed_and_resumed(copying: Copying) -> None:
    """After a SIGKILL of everything the same copy moves the missing parts alone, and its checksum is proven."""
    copying.interrupt()
    second = copying.again()
    assert second.moved == [3, 5]
    assert (second.asked["CreateMultipartUpload"], second.asked["ListParts"]) == (0, 1)
    assert second.fetched == (2 if copying.relays else 0)
    assert (second.result.integrity, second.result.parts) == ("checksum", PARTS)
    assert second.result.resumed_bytes == len(BODY) - 2 * PART_BYTES


def test_killed_twice(copying: Copying) -> None:
    """A copy that was resumed can be killed and resumed again."""
    copying.interrupt({1, 2, 4, 6, 8}, at=(3, 5, 7))
    copying.site.server.add_fault(hang_before_head(operation=copying.operation, key="key", part=5, attempt=2))
    with copying.program() as process:
        eventually(lambda: recorded(copying.site) == {1, 2, 3, 4, 6, 7, 8}, "other parts came than the held one")
        kill_tree(process)
    assert copying.again().moved == [5]


def test_killed_after_completion(copying: Copying) -> None:
    """If the object is there already, the next copy says so and moves nothing."""
    copying.site.server.add_fault(hang_before_head(operation="CompleteMultipartUpload", key="key"))
    with copying.program() as process:
        eventually(lambda: copying.site.stored("key") == BODY, "no object came")
        kill_tree(process)
    second = copying.again()
    assert (second.moved, second.result.resumed_bytes) == ([], len(BODY))


CHANGES = ("source", "options", "part size", "not to resume")


@pytest.mark.parametrize("change", CHANGES)
def test_begins_anew(copying: Copying, change: str) -> None:
    """Parts of another source, or of another object that was to be made, are not used: that upload is aborted."""
    copying.interrupt()
    (old,) = copying.site.pending("key")
    body, options, settings = BODY, None, {}
    if change == "source":
        body = random.Random(46).randbytes(len(BODY))
        copying.put(body)
    elif change == "options":
        options = ObjectOptions(content=Content(metadata={"colour": "red"}))
    elif change == "part size":
        settings = {"part_size_bytes": PART_BYTES // 2}
    else:
        settings = {"resume": False}
    second = copying.again(options, body, **settings)
    assert second.result.resumed_bytes == 0
    assert len(second.moved) == (2 * PARTS - 1 if change == "part size" else PARTS)
    aborted = copying.site.server.requests_for("AbortMultipartUpload", "key")
    assert [one.upload_id for one in aborted] == [old]


def test_parts_that_the_service_lost(copying: Copying) -> None:
    """A part counts only as the service lists it: one that it holds by another ETag is moved again."""
    copying.interrupt()
    (journal,) = copying.site.journals("key")
    frames, _ = records.read_frames(Path(journal.path).read_bytes())
    changed = [
        records.PartSent(4, '"another"', one.crc, one.size_bytes, one.source_crc)
        if isinstance(one, records.PartSent) and one.number == 4
        else one
        for one in frames
    ]
    Path(journal.path).write_bytes(b"".join(map(records.frame, changed)))
    assert copying.again().moved == [3, 4, 5]
