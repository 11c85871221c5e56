"""Makes the parts of a running engine and joins them."""

from __future__ import annotations

from bulkhaul.engine.operations.control import Control
from bulkhaul.engine.pool.dispatcher import Dispatcher
from bulkhaul.engine.pool.requests import Requests
from bulkhaul.engine.pool.supervisor import ForkserverProcess
from bulkhaul.engine.transfers.copy import Copier
from bulkhaul.engine.transfers.download import Downloader
from bulkhaul.engine.transfers.move_source import SourceRemover
from bulkhaul.engine.transfers.multipart_guard import MultipartGuard
from bulkhaul.engine.transfers.relay import Origin, Relay
from bulkhaul.engine.transfers.stream import Streamer
from bulkhaul.engine.transfers.upload import Uploader
from bulkhaul.engine.transfers.upload_checksum import UploadChecksums
from bulkhaul.model.settings import Settings


class Coordinator:
    """The parts of one running engine: its workers, its requests to the service, and its transfers in each direction.

    Attributes:
        dispatcher: the workers and what they hold.
        requests: requests to the service that move no bytes of objects.
        control: the small operations.
        multipart_guard: the multipart uploads under way, of files, streams and copies.
        downloader, uploader, streamer, copier, relay: the transfers, one part for each direction.
        origin: what a relay of another engine needs to copy from this one's service.
    """

    def __init__(self, settings: Settings, forkserver: ForkserverProcess | None) -> None:
        self.dispatcher = Dispatcher(settings, forkserver)
        self.requests = Requests(settings, self.dispatcher)
        self.control = Control(self.requests)
        remover = SourceRemover(self.control)
        checksums = UploadChecksums(settings, self.control)
        guard = self.multipart_guard = MultipartGuard(settings, self.control, self.dispatcher, checksums)
        self.downloader = Downloader(settings, self.control, self.dispatcher, remover)
        self.uploader = Uploader(settings, self.control, self.dispatcher, guard, checksums)
        self.streamer = Streamer(settings, self.control, self.dispatcher, self.downloader, self.uploader, guard)
        self.copier = Copier(settings, self.control, guard, remover)
        self.relay = Relay(settings, self.control, guard, self.uploader)
        self.origin = Origin(self.control, self.dispatcher, remover)

    @property
    def received_bytes(self) -> int:
        """How many bytes are in place, whether workers moved them or the service copied them."""
        return self.dispatcher.machine.received_bytes + self.copier.copied_bytes
