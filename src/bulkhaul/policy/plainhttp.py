"""Decides which hosts may be reached by plain http: this machine's own, and any other where the user allows it.

Plain http shows signatures and data to any machine on the way (C59).
"""

from __future__ import annotations

import functools
import ipaddress
from collections.abc import Mapping

VARIABLES = ("BULKHAUL_ALLOW_HTTP", "ALLOW_HTTP")
"""Variables that allow plain http to any host; the first one that is set decides, so ours can say no."""

_TRUE = frozenset({"1", "true", "yes", "on"})


def truthy(text: str | None) -> bool:
    """Return whether a text says yes; one that is not known does not.

    >>> truthy("Yes"), truthy("0"), truthy("enable"), truthy(None)
    (True, False, False, False)
    """
    return text is not None and text.lower() in _TRUE


def allowed_by(environment: Mapping[str, str]) -> bool:
    """Return whether the environment allows plain http to any host; an empty variable counts as unset.

    >>> allowed_by({"ALLOW_HTTP": "1"}), allowed_by({"BULKHAUL_ALLOW_HTTP": "0", "ALLOW_HTTP": "1"})
    (True, False)
    """
    given = (environment.get(name) for name in VARIABLES)
    return truthy(next(filter(None, given), None))


@functools.lru_cache(maxsize=64)
def is_loopback(host: str) -> bool:
    """Return whether a host is this machine for certain: ``localhost``, 127/8 or ::1.

    A name below ``localhost`` is not: many resolvers ask the network for it. Nor is an IPv4 address inside of an IPv6
    one, which Python's ``is_loopback`` judges by its version.

    Args:
        host: a name or an address without brackets.

    >>> is_loopback("LOCALHOST"), is_loopback("127.1.2.3"), is_loopback("::1"), is_loopback("photos.localhost")
    (True, True, True, False)
    """
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host.lower() == "localhost"
    return address.is_loopback if address.version == 4 else address == ipaddress.IPv6Address("::1")
