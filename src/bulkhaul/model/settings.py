"""Defines and validates every setting of an engine, with the reason for its default."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any, Literal, TypedDict, get_args, get_origin
from urllib.parse import urlsplit

import msgspec

from bulkhaul.model.cores import usable_cores
from bulkhaul.model.errors import UsageError
from bulkhaul.model.limits import DEFAULT_LIMITS, KIB, MIB, S3Limits
from bulkhaul.model.objects import Verify
from bulkhaul.model.preserving import Kept
from bulkhaul.model.structs import learnt
from bulkhaul.model.writing import ChecksumChoice

TransportChoice = Literal["auto", "fast", "sdk"]
LandingChoice = Literal["auto", "mapped", "written"]
AddressingStyle = Literal["auto", "path", "virtual"]

DEFAULT_PART_SIZE_BYTES = 16 * MIB
"""Length of a ranged GET. Source: docs/decisions/0003-part-size.md."""

MOST_IN_FLIGHT = 512
"""Requests in flight of one host where no number is given: with 80 MB/s a connection, more than three times a line of
100 Gbit/s."""

DEFAULT_THRESHOLD_BYTES = 64 * MIB
"""From this size on an object is uploaded or copied in parts (C24)."""


SDK_THREADS = 16
"""Requests that a worker has in flight through the SDK at most, where no number is given: each keeps a thread, and more
threads of one interpreter only wait for each other."""


def default_workers() -> int:
    """Return one worker a core that may be used, at least 2 (one process alone was 2–4 times slower), at most 8."""
    return max(2, min(8, usable_cores()))


class Timeouts(msgspec.Struct, frozen=True):
    """How long each wait may take, in seconds.

    Source: connect, read and idle are the conventions of S3 clients; docs/architecture.md lists who watches each.

    Attributes:
        connect_s: TCP connect and TLS handshake.
        read_s: reply headers, and any pause within a body.
        idle_s: how long an unused connection is kept.
        speed_window_s: a body that brings fewer than ``min_speed_bytes_per_s`` on average over this is broken off.
        min_speed_bytes_per_s: bytes per second, see ``speed_window_s``.
        lease_s: a part without any progress is taken from its worker.
        heartbeat_s: a worker that says nothing is killed.
        start_s: a worker that is not ready is killed.
        release_s: a worker that does not let go of a part is killed.
        ask_s: a HEAD, a page of a listing, or credentials.
        ack_s: the reply to what a store may first have to work for, from the last byte sent on: to store a body, copy,
            assemble, restore, or delete several keys. All other replies have ``read_s``.
        throttle_s: how long a service may answer "slow down" without one success.
        shutdown_s: a forkserver that has not reaped the killed workers by then is killed as well.
    """

    connect_s: float = 3.1
    read_s: float = 30.0
    idle_s: float = 30.0
    speed_window_s: float = 10.0
    min_speed_bytes_per_s: int = 1024
    lease_s: float = 45.0
    heartbeat_s: float = 5.0
    start_s: float = 20.0
    release_s: float = 5.0
    ask_s: float = 60.0
    ack_s: float = 300.0
    throttle_s: float = 60.0
    shutdown_s: float = 1.0

    def bearing(self, read_s: float) -> Timeouts:
        """Return the same with another ``read_s``, and with what has to be longer than that."""
        return msgspec.structs.replace(
            self,
            connect_s=min(self.connect_s, read_s),
            read_s=read_s,
            speed_window_s=max(self.speed_window_s, read_s),
            lease_s=max(self.lease_s, 1.5 * read_s),
            ask_s=max(self.ask_s, 2 * read_s),
            ack_s=max(self.ack_s, read_s),
        )


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of one engine.

    Attributes:
        endpoint_url: of an S3-compatible store; None for what environment and files name, else AWS.
        region: of the buckets; None for what environment and files name, and what the service says.
        profile: of the AWS configuration files; None for ``AWS_PROFILE``.
        sign_requests: False for public objects, without credentials.
        verify_tls: False accepts any certificate.
        allow_http: plain http beyond loopback sends signatures in the clear, so it must be asked for.
        ca_bundle: file of certificate authorities; None for AWS_CA_BUNDLE or the SDK's.
        addressing_style: where a bucket's name stands: in the ``path``, or in the host (``virtual``).
        workers: worker processes at most: they are started as there is work for them. With None one a core that may be
            used, 2 to 8. One is run where ``bandwidth_bytes_per_s`` is set, since processes share no rate.
        concurrency: requests in flight at most, all workers together. That many are tried from the start; with None
            the number begins at 8 and finds itself, up to 512 or what memory and the limit of open files allow.
        part_size_bytes: length of a ranged GET or of an uploaded part; None to choose by the object's size, and
            for streams by their direction.
        bandwidth_bytes_per_s: at most so many bytes of bodies, all transfers of the engine together; None for no limit.
        transport: ``fast`` is our own HTTP, ``sdk`` is boto3; ``auto`` the fast one wherever it can.
        landing: downloads are ``written`` from a buffer, or received into ``mapped`` pages; ``auto``: written.
        verify: of a download: ``auto`` the stored checksum, ``full`` a plain-MD5 ETag too, ``none`` replies only.
        fsync: file and folder are flushed before a download counts as done.
        preserve_times: uploads keep the modification time of a file in user metadata, by rclone's convention, and
            downloads set it from there, else from when the object was modified.
        preserve_mode: the same of its permission bits, without setuid, setgid and sticky.
        sparse: blocks of zeros of what is downloaded take no room on the disk; nothing is allocated before.
        store_links: uploads store symbolic links as objects ``NAME.rclonelink`` that hold their targets, by rclone's
            convention, and downloads make links of such objects, if they stay below the destination.
        multipart_threshold_bytes: objects of at least this size are uploaded or copied in parts.
        checksum_algorithm: what uploads are protected by.
        retry_for_s: how long an endpoint that is away is waited for, in seconds; with 0 a request that cannot reach it
            fails at once.
        retries: how often a part or a request that made no progress is tried again, whatever has failed; None for what
            suits each error. With 0 nothing is, and an endpoint that is away is not waited for.
        timeout_s: how long the head of a reply, and any pause within a body, may take: ``timeouts.read_s``, and what
            has to be longer; None for those. ``waits`` has what follows.
        resume: go on with an interrupted upload of the same file, download or copy of the same object; else what is
            left of it is removed, and it begins anew.
        state_dir: folder of the journals of multipart uploads; None for ``$BULKHAUL_STATE_DIR``, else
            ``$XDG_STATE_HOME/bulkhaul``, else ``~/.local/state/bulkhaul``.
        request_payer: the requester pays for every request.
        sse_c_key: 32 bytes that objects are (to be) encrypted with by the service (SSE-C).
        timeouts: how long each wait may take.
        limits: what the service allows; S3's.

    Raises:
        UsageError: a value out of its range; the message names it.
    """

    endpoint_url: str | None = None
    region: str | None = None
    profile: str | None = None
    sign_requests: bool = True
    verify_tls: bool = True
    ca_bundle: str | None = None
    allow_http: bool = False
    addressing_style: AddressingStyle = "auto"
    workers: int | None = None
    concurrency: int | None = None
    part_size_bytes: int | None = None
    bandwidth_bytes_per_s: int | None = None
    transport: TransportChoice = "auto"
    landing: LandingChoice = "auto"
    verify: Verify = Verify.AUTO
    fsync: bool = False
    preserve_times: bool = False
    preserve_mode: bool = False
    sparse: bool = False
    store_links: bool = False
    multipart_threshold_bytes: int = DEFAULT_THRESHOLD_BYTES
    checksum_algorithm: ChecksumChoice = "auto"
    retry_for_s: float = 60.0
    retries: int | None = None
    timeout_s: float | None = None
    resume: bool = True
    state_dir: str | None = None
    request_payer: bool = False
    sse_c_key: bytes | None = None
    timeouts: Timeouts = Timeouts()
    limits: S3Limits = DEFAULT_LIMITS

    def __post_init__(self) -> None:
        for name, kind in _plain_fields():
            try:
                msgspec.convert(getattr(self, name), kind, builtin_types=(bytes,))
            except msgspec.ValidationError as error:
                raise UsageError(f"{name} has the wrong type: {error}") from error
        require_endpoint(self.endpoint_url or "", "the endpoint URL")
        if self.workers is not None and not 1 <= self.workers <= 256:
            raise UsageError(f"workers must be 1 to 256, not {self.workers}")
        if self.concurrency is not None and not 1 <= self.concurrency <= MAX_CONCURRENCY:
            raise UsageError(f"concurrency must be 1 to {MAX_CONCURRENCY}, not {self.concurrency}")
        if self.part_size_bytes is not None and not 64 * 1024 <= self.part_size_bytes <= self.limits.max_part_bytes:
            raise UsageError(f"part size must be 64 KiB to 5 GiB, not {self.part_size_bytes} bytes")
        rate = self.bandwidth_bytes_per_s
        least = max(MIN_BANDWIDTH_BYTES_PER_S, 2 * self.timeouts.min_speed_bytes_per_s * self.max_in_flight)
        if rate is not None and rate < least:
            many = f"{self.max_in_flight} requests in flight"
            raise UsageError(f"the bandwidth must be at least {least} bytes per second for {many}, not {rate}")
        for name, text in (("endpoint URL", self.endpoint_url), ("region", self.region), ("profile", self.profile)):
            if text and any("\ud800" <= character <= "\udfff" for character in text):
                raise UsageError(f"the {name} is not valid UTF-8")
            if text and (text != text.strip() or any(ord(one) < 0x20 or one == "\x7f" for one in text)):
                # The SDK would take it, and no request could be sent: a header holds no line break.
                raise UsageError(f"the {name} begins or ends with a blank, or holds a line break; write it without")
        if not 1 <= self.multipart_threshold_bytes <= self.limits.max_part_bytes:
            raise UsageError(f"multipart threshold must be 1 byte to 5 GiB, not {self.multipart_threshold_bytes} bytes")
        if not 0 <= self.retry_for_s <= MAX_RETRY_FOR_S:
            raise UsageError(
                f"the time to retry for must be 0 to {MAX_RETRY_FOR_S:.0f} seconds, not {self.retry_for_s}"
            )
        if self.retries is not None and not 0 <= self.retries <= MAX_RETRIES:
            raise UsageError(f"the number of retries must be 0 to {MAX_RETRIES}, not {self.retries}")
        if self.timeout_s is not None and not 1 <= self.timeout_s <= MAX_TIMEOUT_S:
            raise UsageError(f"the timeout must be 1 to {MAX_TIMEOUT_S:.0f} seconds, not {self.timeout_s}")
        if self.sparse and self.landing == "mapped":
            raise UsageError("sparse files cannot be mapped, which needs every block; use landing auto or written")
        if self.sse_c_key is not None and len(self.sse_c_key) != 32:
            raise UsageError(f"an SSE-C key has 32 bytes, not {len(self.sse_c_key)}")
        for name, value, choices in (
            ("checksum algorithm", self.checksum_algorithm, get_args(ChecksumChoice)),
            ("transport", self.transport, get_args(TransportChoice)),
            ("landing", self.landing, get_args(LandingChoice)),
            ("addressing style", self.addressing_style, get_args(AddressingStyle)),
            ("verify", str(self.verify), tuple(Verify)),
        ):
            if value not in choices:
                raise UsageError(f"{name} must be one of {', '.join(choices)}, not {value!r}")

        msgspec.structs.force_setattr(self, "verify", Verify(self.verify))
        if self.sse_c_key is not None:  # what it was given as may be changed by its owner, and has no hash
            msgspec.structs.force_setattr(self, "sse_c_key", bytes(self.sse_c_key))

    def __repr__(self) -> str:
        shown = {name: getattr(self, name) for name in self.__struct_fields__ if name != "sse_c_key"}
        return f"Settings({', '.join(f'{name}={value!r}' for name, value in shown.items())})"

    def __rich_repr__(self) -> list[tuple[str, object]]:
        return [(name, getattr(self, name)) for name in self.__struct_fields__ if name != "sse_c_key"]

    @property
    def waits(self) -> Timeouts:
        """How long each wait may take: ``timeouts``, with ``timeout_s``."""
        return self.timeouts if self.timeout_s is None else self.timeouts.bearing(self.timeout_s)

    @property
    def preserves(self) -> frozenset[Kept]:
        """What of files transfers keep."""
        wanted = ((self.preserve_times, Kept.TIMESTAMPS), (self.preserve_mode, Kept.MODE))
        return frozenset(kept for is_wanted, kept in wanted if is_wanted)

    @property
    def worker_count(self) -> int:
        """Worker processes to run: never more than requests in flight."""
        if self.bandwidth_bytes_per_s is not None:
            return 1
        workers = self.workers or default_workers()
        return min(workers, self.concurrency) if self.concurrency else workers

    @property
    def connections(self) -> int:
        """Requests that make a worker worth its start; together they cover ``concurrency``."""
        return 4 if self.concurrency is None else -(-self.concurrency // self.worker_count)

    @property
    def asked_at_once(self) -> int:
        """Requests in flight of those that no window rules: copies by the service."""
        return self.concurrency or self.worker_count * self.connections

    @property
    def sdk_connections(self) -> int:
        """Requests that one worker has in flight through the SDK at most."""
        return SDK_THREADS if self.concurrency is None else self.connections

    @property
    def max_in_flight(self) -> int:
        """Requests in flight that move bytes, all together, at most; the limits of the process may allow fewer."""
        if self.concurrency is not None:
            return self.concurrency
        if self.bandwidth_bytes_per_s is None:
            return MOST_IN_FLIGHT
        return max(4, min(MOST_IN_FLIGHT, self.bandwidth_bytes_per_s // MIB))


learnt(Timeouts, S3Limits)


class SettingsFields(TypedDict, total=False):
    """The fields of ``Settings`` as keyword arguments, so that editors complete them and type checkers know them."""

    endpoint_url: str | None
    region: str | None
    profile: str | None
    sign_requests: bool
    verify_tls: bool
    ca_bundle: str | None
    allow_http: bool
    addressing_style: AddressingStyle
    workers: int | None
    concurrency: int | None
    part_size_bytes: int | None
    bandwidth_bytes_per_s: int | None
    transport: TransportChoice
    landing: LandingChoice
    verify: Verify | Literal["auto", "full", "none"]
    fsync: bool
    preserve_times: bool
    preserve_mode: bool
    sparse: bool
    store_links: bool
    multipart_threshold_bytes: int
    checksum_algorithm: ChecksumChoice
    retry_for_s: float
    retries: int | None
    timeout_s: float | None
    resume: bool
    state_dir: str | None
    request_payer: bool
    sse_c_key: bytes | None
    timeouts: Timeouts
    limits: S3Limits


@functools.cache
def _plain_fields() -> list[tuple[str, Any]]:
    """Return the fields that are no choices, with their types."""
    fields = msgspec.structs.fields(Settings)
    return [(one.name, one.type) for one in fields if get_origin(one.type) is not Literal and one.name != "verify"]


def with_fields(settings: Settings, fields: Mapping[str, Any]) -> Settings:
    """Return settings with some of them given by name.

    Raises:
        UsageError: a setting is unknown, and the message names the nearest, or out of range; or ``settings`` are none.
    """
    if not isinstance(settings, Settings):
        raise UsageError(f"settings are a Settings, or given by name, as in workers=4; not {type(settings).__name__}")
    if unknown := [name for name in fields if name not in Settings.__struct_fields__]:
        from difflib import get_close_matches

        near = get_close_matches(unknown[0], Settings.__struct_fields__, n=1)
        raise UsageError(f"no such setting: {unknown[0]}" + (f"; did you mean {near[0]}?" if near else ""))
    return msgspec.structs.replace(settings, **fields) if fields else settings


def require_endpoint(url: str, name: str) -> None:
    """Make sure that an endpoint is a URL that can be shown: it is, in messages. No message here repeats it.

    Args:
        url: empty where it is AWS.
        name: where it was given.

    Raises:
        UsageError: it has no http or https, no host or an impossible port, or it holds a user, a password or a query.
    """
    if not url:
        return
    if "@" in url:
        raise UsageError(f"{name} must hold no user or password: they come from the AWS_* variables or a profile")
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # no port, or no IPv6 address; its text would repeat the value
        good = False
    if not good or parts.query or parts.fragment:
        raise UsageError(f"{name} must be https://HOST or https://HOST:PORT (or http), and a port is 1 to 65535")


MAX_RETRY_FOR_S = 7 * 86_400.0
"""Longest wait for an endpoint that is away: a week, after which credentials and listings tell of another time."""

MAX_CONCURRENCY = 4096
"""Most requests in flight, each with its connection: more than any service gives one client a use of."""

MIN_BANDWIDTH_BYTES_PER_S = 64 * KIB
"""Below it one connection's pauses are as long as what counts as a stalled one."""

MAX_RETRIES = 1000
"""Most tries that are of use: with the longest pauses they last for hours."""

MAX_TIMEOUT_S = 3600.0
"""Longest wait for a reply: an hour, beyond which no connection through a firewall lasts."""
