"""Settles, in the forkserver, where the requests of every worker go and what they are signed with."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import msgspec

from bulkhaul.model.errors import TransferError
from bulkhaul.model.settings import Settings
from bulkhaul.policy.environment import tidy
from bulkhaul.wire.settled import Settled, settle

if TYPE_CHECKING:
    from bulkhaul.wire.sdk.client import SdkClient


class Setup(msgspec.Struct, frozen=True):
    """What every worker inherits from the forkserver.

    Attributes:
        settled: where requests go and what they are signed with, if that is certain without the SDK.
        sdk: the boto3 client, made where nothing is settled.
        error: why there is no client at all; the answer to every request.
    """

    settings: Settings
    settled: Settled | None = None
    sdk: SdkClient | None = None
    error: TransferError | None = None

    @classmethod
    def prepare(cls, settings: Settings, *, given_keys: bool = False) -> Setup:
        """Settle what can be settled without the SDK, and make its client where that is not enough.

        Args:
            given_keys: the coordinator gives the keys.
        """
        tidy(os.environ)  # of the forkserver and its workers; the user's own process keeps its environment
        if settings.transport != "sdk" and isinstance(settled := settle(settings, given_keys=given_keys), Settled):
            return cls(settings, settled)
        from bulkhaul.wire.sdk.client import SdkClient

        try:
            return cls(settings, sdk=SdkClient(settings))
        except TransferError as error:
            return cls(settings, error=error)
