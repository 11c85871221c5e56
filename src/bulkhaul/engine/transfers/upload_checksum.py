"""Chooses the checksum that uploads to a bucket are sent with, and learns which endpoints take none."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from bulkhaul.engine.operations.control import Control
from bulkhaul.model.errors import TransferError
from bulkhaul.model.objects import ObjectRef
from bulkhaul.model.settings import Settings
from bulkhaul.policy.endpoints import may_go_without, profile_for

T = TypeVar("T")

_log = logging.getLogger("bulkhaul")


class UploadChecksums:
    """The checksum of uploads: the user's choice, else the endpoint's profile, less what it has refused."""

    def __init__(self, settings: Settings, control: Control) -> None:
        self._choice = settings.checksum_algorithm
        self._control = control
        self._without: set[str] = set()

    async def with_or_without(self, ref: ObjectRef, attempt: Callable[[str], Awaitable[T]], kept: str = "") -> T:
        """Upload with a checksum; if it fails because the endpoint takes none, once more without.

        Args:
            attempt: uploads, or begins to, with the checksum that it is called with, empty for none.
            kept: the checksum that the object is known by already, so that both can be compared; empty if it has none.

        Raises:
            TransferError: the attempt failed.
        """
        algorithm = await self.algorithm_for(ref, kept)
        try:
            return await attempt(algorithm)
        except TransferError as error:
            if not await self._may_go_without(ref, algorithm, error):
                raise
        result = await attempt("")
        await self._went_without(ref)
        return result

    async def algorithm_for(self, ref: ObjectRef, kept: str = "") -> str:
        """Return the checksum that an upload is sent with, empty for none.

        Raises:
            TransferError: where the bucket is cannot be told.
        """
        if self._choice != "auto":
            return "" if self._choice == "none" else self._choice
        host = (await self._control.target(ref.bucket)).host
        usual = profile_for(host).checksum
        return "" if host in self._without or usual is None else kept or usual

    async def _may_go_without(self, ref: ObjectRef, algorithm: str, error: TransferError) -> bool:
        """Whether an upload failed because the endpoint takes no checksum, and may be tried without one."""
        if not algorithm or self._choice != "auto":
            return False
        host = (await self._control.target(ref.bucket)).host
        return may_go_without(host, error.info)

    async def _went_without(self, ref: ObjectRef) -> None:
        """Remember that an upload worked without a checksum that had failed with one."""
        host = (await self._control.target(ref.bucket)).host
        if host not in self._without:
            _log.warning("%s takes no checksums: uploads to it are not protected by any", host)
            self._without.add(host)
