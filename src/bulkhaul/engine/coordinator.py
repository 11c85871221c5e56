"""Makes the parts of a running engine and joins them, each when it is first used: few programs need all.

What a part needs is imported with it, since that would otherwise put off the first request of every command.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from bulkhaul.engine.operations.control import Control
from bulkhaul.engine.pool.dispatcher import Dispatcher
from bulkhaul.engine.pool.forkserver_process import ForkserverProcess
from bulkhaul.engine.pool.requests import Requests
from bulkhaul.model.credentials import CredentialsSource
from bulkhaul.model.settings import Settings

if TYPE_CHECKING:
    from bulkhaul.engine.transfers.copy import Copier
    from bulkhaul.engine.transfers.download import Downloader
    from bulkhaul.engine.transfers.move_source import SourceRemover
    from bulkhaul.engine.transfers.multipart_guard import MultipartGuard
    from bulkhaul.engine.transfers.relay import Origin, Relay
    from bulkhaul.engine.transfers.stream import Streamer
    from bulkhaul.engine.transfers.upload import Uploader
    from bulkhaul.engine.transfers.upload_checksum import UploadChecksums


class Coordinator:
    """The parts of one running engine: its workers, its requests to the service, and its transfers in each direction.

    Attributes:
        dispatcher: the workers and what they hold.
        requests: requests to the service that move no bytes of objects.
        control: the small operations.
    """

    def __init__(
        self, settings: Settings, forkserver: ForkserverProcess | None, credentials: CredentialsSource | None = None
    ) -> None:
        self._settings = settings
        self.dispatcher = Dispatcher(settings, forkserver, given_keys=credentials is not None)
        self.requests = Requests(settings, self.dispatcher, credentials)
        self.control = Control(self.requests)

    @cached_property
    def multipart_guard(self) -> MultipartGuard:
        """The multipart uploads under way, of files, streams and copies."""
        from bulkhaul.engine.transfers.multipart_guard import MultipartGuard

        return MultipartGuard(self._settings, self.control, self.dispatcher, self._checksums)

    @cached_property
    def downloader(self) -> Downloader:
        """Transfers from the service to files."""
        from bulkhaul.engine.transfers.download import Downloader

        return Downloader(self._settings, self.control, self.dispatcher, self.remover)

    @cached_property
    def uploader(self) -> Uploader:
        """Transfers from files and memory to the service."""
        from bulkhaul.engine.transfers.upload import Uploader

        return Uploader(self._settings, self.control, self.dispatcher, self.multipart_guard, self._checksums)

    @cached_property
    def streamer(self) -> Streamer:
        """Transfers from and to streams."""
        from bulkhaul.engine.transfers.stream import Streamer

        directions = (self.downloader, self.uploader)
        return Streamer(self._settings, self.control, self.dispatcher, *directions, self.multipart_guard)

    @cached_property
    def copier(self) -> Copier:
        """Transfers within the service."""
        from bulkhaul.engine.transfers.copy import Copier

        return Copier(self._settings, self.control, self.multipart_guard, self.remover)

    @cached_property
    def relay(self) -> Relay:
        """Transfers from another service."""
        from bulkhaul.engine.transfers.relay import Relay

        return Relay(self._settings, self.control, self.multipart_guard, self.uploader)

    @cached_property
    def origin(self) -> Origin:
        """What a relay of another engine needs to copy from this one's service."""
        from bulkhaul.engine.transfers.relay import Origin

        return Origin(self.control, self.dispatcher, self.remover)

    @cached_property
    def remover(self) -> SourceRemover:
        """Deletes objects on condition that they are the ones that are meant."""
        from bulkhaul.engine.transfers.move_source import SourceRemover

        return SourceRemover(self.control)

    @cached_property
    def _checksums(self) -> UploadChecksums:
        from bulkhaul.engine.transfers.upload_checksum import UploadChecksums

        return UploadChecksums(self._settings, self.control)

    @property
    def received_bytes(self) -> int:
        """How many bytes are in place, whether workers moved them or the service copied them."""
        copied_bytes = self.copier.copied_bytes if "copier" in vars(self) else 0
        return self.dispatcher.machine.received_bytes + copied_bytes

    @property
    def left_objects(self) -> int:
        """How many downloads have failed and are to be resumed."""
        return self.downloader.left_objects if "downloader" in vars(self) else 0

    @property
    def multipart_uploads(self) -> bool:
        """Whether multipart uploads are under way, which an engine that ends has to abort."""
        return "multipart_guard" in vars(self) and bool(self.multipart_guard.under_way)
