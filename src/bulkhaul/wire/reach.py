"""Looks at an endpoint below S3, for ``doctor``: its addresses, TLS, certificate and clock, by one unsigned HEAD."""

from __future__ import annotations

import asyncio
import ssl
import time
from datetime import datetime
from email.utils import parsedate_to_datetime

import msgspec

from bulkhaul.model.errors import ErrorInfo, error_of
from bulkhaul.wire.classify import network_error
from bulkhaul.wire.tls import client_context
from bulkhaul.wire.told import MAX_HEAD_BYTES
from bulkhaul.wire.values import Target


class Reach(msgspec.Struct, frozen=True):
    """What one look has shown.

    Attributes:
        addresses: of the host.
        tls: the protocol, empty for plain http.
        certificate_days: until the certificate expires; None without one, or if it is not verified.
        skew_s: how far this machine's clock is ahead of the endpoint's; None if its reply tells no time.
    """

    addresses: tuple[str, ...]
    tls: str = ""
    certificate_days: float | None = None
    skew_s: float | None = None


async def look(target: Target, *, timeout_s: float, verify_tls: bool = True, ca_bundle: str | None = None) -> Reach:
    """Connect once, and return what is seen.

    Raises:
        NetworkError: the host has no address, refuses, breaks off, or takes too long.
    """
    try:
        async with asyncio.timeout(timeout_s):
            tls = client_context(ca_bundle, verify=verify_tls) if target.scheme == "https" else None
            return await _look(target, tls)
    except TimeoutError as error:
        raise error_of(ErrorInfo("NetworkError", f"no answer within {timeout_s:g} s", target.host_header)) from error
    except OSError as error:
        raise error_of(network_error(error, target.host_header)) from error


async def _look(target: Target, tls: ssl.SSLContext | None) -> Reach:
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(target.host, target.port, type=1)
    addresses = tuple(dict.fromkeys(str(entry[4][0]) for entry in found))
    reader, writer = await asyncio.open_connection(
        target.host, target.port, ssl=tls, server_hostname=target.host if tls else None, limit=MAX_HEAD_BYTES
    )
    try:
        writer.write(f"HEAD / HTTP/1.1\r\nHost: {target.host_header}\r\nConnection: close\r\n\r\n".encode("latin-1"))
        asked_s = time.time()
        head = await reader.readuntil(b"\r\n\r\n")
        now_s = (asked_s + time.time()) / 2
        session = writer.get_extra_info("ssl_object")
        return Reach(
            addresses,
            str(session.version()) if session else "",
            _days(session.getpeercert(), now_s) if session else None,
            _skew_s(head, now_s),
        )
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
        raise ConnectionError("it sent no HTTP reply") from error
    finally:
        writer.close()


def _days(certificate: dict[str, object] | None, now_s: float) -> float | None:
    ends = (certificate or {}).get("notAfter")
    return (ssl.cert_time_to_seconds(str(ends)) - now_s) / 86_400 if ends else None


def _skew_s(head: bytes, now_s: float) -> float | None:
    """Return how far ``now_s`` is ahead of the Date of a reply, which is cut to whole seconds: half of one is added."""
    for line in head.decode("latin-1").split("\r\n")[1:]:
        name, _, value = line.partition(":")
        if name.strip().lower() == "date":
            try:
                told: datetime = parsedate_to_datetime(value.strip())
                return now_s - (told.timestamp() + 0.5)
            except (ValueError, OverflowError):
                return None
    return None
