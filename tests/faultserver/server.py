"""The fault server of these tests: it answers itself, from a store in memory, and misbehaves on demand.

with FaultServer(objects={"bucket/key": b"..."}, faults=[CutBody(after_bytes=10)]) as server:
...                       # talk to server.endpoint_url
server.assert_all_fired()
"""

from __future__ import annotations

import ssl
from collections.abc import Iterable, Mapping
from dataclasses import replace

from bulkhaul.testing.faultserver.calls import Call
from bulkhaul.testing.faultserver.faults import Fault, Request
from bulkhaul.testing.faultserver.http1 import Reply
from bulkhaul.testing.faultserver.plan import Selection
from bulkhaul.testing.faultserver.replies import S3Error
from bulkhaul.testing.faultserver.server import MisbehavingServer

from .objects import StoredObject, make_object
from .payload import unframed
from .s3 import perform, refusal
from .sigv4 import Credentials, check_clock
from .store import MIN_PART_SIZE_BYTES, Store, StoreExchange


class FaultServer(MisbehavingServer):
    """An S3 server that misbehaves on demand.

    Args:
        objects: by "bucket/key"; bytes become an object without a checksum.
        faults: the plan; more can be added by ``add_fault``.
        buckets: exist even without objects.
        tls: the server's side of TLS; the endpoint is https then.
        credentials: requests must be signed with these; without, everybody may ask.
        host: what ``endpoint_url`` names; the socket is bound to 127.0.0.1 anyway.
        min_part_size_bytes: what every part but the last must have.
        clock_offset_s: how far the server's clock is ahead: in the Date of replies, and in what it
            makes of signatures (also without credentials, if it is not 0).
        receive_buffer_bytes: of every connection, so that a stall is felt after little data.
        host_suffixes: a Host ``b.<suffix>`` addresses bucket ``b``; others are path-style.
    """

    def __init__(
        self,
        objects: Mapping[str, bytes | StoredObject] | None = None,
        faults: Iterable[Fault] = (),
        *,
        buckets: Iterable[str] = (),
        tls: ssl.SSLContext | None = None,
        credentials: Credentials | None = None,
        host: str = "127.0.0.1",
        host_suffixes: tuple[str, ...] = ("localhost", "127.0.0.1"),
        min_part_size_bytes: int = MIN_PART_SIZE_BYTES,
        clock_offset_s: float = 0.0,
        receive_buffer_bytes: int | None = None,
    ) -> None:
        super().__init__(
            faults,
            tls=tls,
            host=host,
            host_suffixes=host_suffixes,
            clock_offset_s=clock_offset_s,
            receive_buffer_bytes=receive_buffer_bytes,
        )
        self.store = Store(self.endpoint_url, min_part_size_bytes=min_part_size_bytes)
        for name, body in (objects or {}).items():
            bucket, _, key = name.partition("/")
            self.store.put(bucket, key, make_object(body) if isinstance(body, bytes) else body)
        for bucket in buckets:
            self.store.add_bucket(bucket)
        self.credentials = credentials

    def find(self, call: Call) -> StoredObject | None:
        """Return the object that a call names."""
        return self.store.get(call.bucket, call.key)

    def exchange(self, request: Request, start: int) -> StoreExchange:
        """Return the request with the store, which faults may change."""
        return StoreExchange(request, start, self.store)

    async def perform(self, call: Call, body: bytes, selection: Selection) -> Reply:
        """Return the reply of the service to a request that is here as a whole."""
        http = replace(call.http, body=body)
        try:
            if self.credentials is not None:
                self.credentials.check(http, clock_offset_s=self._clock_offset_s)
            elif self._clock_offset_s and "authorization" in http.headers:
                check_clock(http, clock_offset_s=self._clock_offset_s)
            http = selection.rewrite(unframed(http))
        except S3Error as error:
            return selection.before() or refusal(error, call.key)
        return selection.before() or perform(replace(call, http=http), self.store)
