"""What a run that was killed has stored already: a copy is left as it is only if it would be stored so now."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from bulkhaul.jobs.already_there import found_there
from bulkhaul.model.objects import Content, ObjectHead, ObjectRef
from bulkhaul.model.rows import Action, Row
from bulkhaul.model.settings import Settings
from bulkhaul.model.writing import ObjectOptions

ETAG = '"9e107d9d372bb6826bd81d3542a419d6"'
ROW = Row(n=0, action=Action.COPY, source="s3://from/k", destination="s3://to/k", size=5, etag=ETAG)
PLAIN = ObjectHead("k", 5, ETAG)


class Service:
    """A service that has one object in each bucket."""

    def __init__(self, **heads: ObjectHead) -> None:
        self.heads = heads

    async def head(self, ref: ObjectRef, version_id: str = "") -> ObjectHead:
        """Return what the bucket has."""
        return self.heads[{"from": "source", "to": "stored"}[ref.bucket]]


@pytest.mark.parametrize(
    ("stored", "options", "found"),
    [
        (PLAIN, None, True),
        (PLAIN, ObjectOptions(), True),
        (ObjectHead("k", 6, ETAG), None, False),
        (ObjectHead("k", 5, '"other"'), None, False),
        (PLAIN, ObjectOptions(storage_class="GLACIER_IR"), False),
        (ObjectHead("k", 5, ETAG, storage_class="GLACIER_IR"), ObjectOptions(storage_class="GLACIER_IR"), True),
        (PLAIN, ObjectOptions(sse="aws:kms"), False),
        (PLAIN, ObjectOptions(acl="private"), False),
        (PLAIN, ObjectOptions(content=Content(cache_control="no-store")), False),
        (ObjectHead("k", 5, ETAG, content=Content(cache_control="no-store")), None, False),
    ],
)
def test_a_copy(stored: ObjectHead, options: ObjectOptions | None, found: bool) -> None:
    """Bytes, class, encryption, grants and headers have to be those that the copy would have."""
    service = cast("Any", Service(source=PLAIN, stored=stored))
    result = asyncio.run(found_there(service, ROW, options, Settings(), origin=service))
    assert (result is not None) is found
