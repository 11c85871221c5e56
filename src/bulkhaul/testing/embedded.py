"""Gives tests a real S3 server on this machine, and engines for it."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Unpack

from bulkhaul.embedded.seaweed import REGION, seaweed
from bulkhaul.engine.facade import Engine
from bulkhaul.model.credentials import Credentials
from bulkhaul.model.settings import SettingsFields

_POLL_S = 0.05


@dataclass(frozen=True, slots=True)
class EmbeddedServer:
    """A server that takes objects, and what clients need to use it.

    Attributes:
        endpoint_url: where it speaks S3, on 127.0.0.1; buckets stand in the path.
        access_key, secret_key: what requests must be signed with; made up for this run.
        region: what they are signed for.
    """

    endpoint_url: str
    access_key: str
    secret_key: str = field(repr=False)
    region: str = REGION

    def engine(self, **settings: Unpack[SettingsFields]) -> Engine:
        """Return an engine that uses it, for ``with``. Other AWS settings of this process hold for it, too."""
        fields: SettingsFields = {"endpoint_url": self.endpoint_url, "region": self.region, **settings}
        return Engine(credentials=Credentials(self.access_key, self.secret_key), **fields)

    def behind(self, endpoint_url: str) -> EmbeddedServer:
        """Return the same server, reached by another URL: that of a ``FaultServer`` before it."""
        return replace(self, endpoint_url=endpoint_url)

    def environment(self) -> dict[str, str]:
        """Return the variables by which AWS's tools and SDKs, and bulkhaul, find it, with no other configuration."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint_url,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_REGION": self.region,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
            "NO_PROXY": "127.0.0.1",
            "no_proxy": "127.0.0.1",
        }


@contextmanager
def embedded_server() -> Iterator[EmbeddedServer]:
    """Run an empty server, which takes a second or two to start; it ends with the block or with this process.

    Raises:
        Unsupported: SeaweedFS is not installed; the message says how to get it.
        OtherError: it does not start; the message shows its last lines.
    """
    with seaweed() as server:
        for _ in server.until_ready():
            time.sleep(_POLL_S)
        keys = server.credentials
        yield EmbeddedServer(server.endpoint_url, keys.access_key, keys.secret_key)
