"""Makes the TLS context of connections without the SDK: which authorities they trust, and whether they verify."""

from __future__ import annotations

import ssl


def client_context(ca_bundle: str | None, *, verify: bool) -> ssl.SSLContext:
    """Return a context for connections to an endpoint.

    Args:
        ca_bundle: file of certificate authorities to trust; None for those of the system.
        verify: False to accept any certificate.
    """
    context = ssl.create_default_context(cafile=ca_bundle)
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
