"""Keeps secrets out of texts: known secrets in every spelling, and whatever stands where a secret stands.

A service, a library or a program that gives out keys may show a secret in any spelling: as it is, quoted, escaped,
percent-encoded. A header such as Authorization is hidden whatever its value is.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable
from urllib.parse import quote, quote_plus

SHORTEST_SECRET = 8
"""Shortest secret that is masked. No service has shorter ones; a test's would be found within words."""

HIDDEN = "***"

_IN_XML = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#x27;"})
"""As ``html.escape`` does, whose import reads every entity that there is."""

_REFUSED_HEADER = re.compile(r"Invalid header (?:value|name)\b.*", re.DOTALL)
"""What http.client says of a header that it refuses to send; the rest of the text is the header itself."""

_PLACES = re.compile(
    r"(?P<name>\b(?:authorization|x-amz-security-token|x-amz-server-side-encryption-customer-key|"
    r"x-amz-copy-source-server-side-encryption-customer-key)\b['\"]?\s*:\s*)[^\r\n]+"
    r"|(?P<parameter>\b(?:x-amz-signature|x-amz-security-token|x-amz-credential|signature|credential|awsaccesskeyid)"
    r"(?:=|%3d))[^\s&,;'\"<>]+",
    re.IGNORECASE,
)
"""Where secrets stand: headers with their values, and parameters of a signature or of a presigned URL."""


def hidden_by_place(text: str) -> str:
    r"""Return a text in which every value that stands in the place of a secret is hidden.

    >>> hidden_by_place("GET /k?X-Amz-Expires=9&X-Amz-Signature=f00 failed")
    'GET /k?X-Amz-Expires=9&X-Amz-Signature=*** failed'
    >>> hidden_by_place("Invalid header value b'a-token\\n'")
    'a header of the request cannot be sent'
    """
    text = _REFUSED_HEADER.sub("a header of the request cannot be sent", text)
    return _PLACES.sub(lambda found: (found["name"] or found["parameter"]) + HIDDEN, text)


class Mask:
    """Hides known secrets, in every spelling, and every value that stands in the place of a secret."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        found = {form for secret in secrets for form in _spellings(secret) if len(form) >= SHORTEST_SECRET}
        longest_first = sorted(found, key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, longest_first)), re.IGNORECASE) if found else None

    def hide(self, text: str) -> str:
        """Return the text without secrets."""
        if not text:
            return text
        return hidden_by_place(text if self._known is None else self._known.sub(HIDDEN, text))


def _spellings(secret: str) -> set[str]:
    """Return the spellings in which a secret may be written."""
    import json

    found: set[str] = set()
    for form in {secret, secret.strip()}:
        raw = form.encode("utf-8", "surrogateescape")
        found |= {form, repr(form)[1:-1], repr(raw)[2:-1], json.dumps(form)[1:-1], form.translate(_IN_XML)}
        found |= {form.encode("unicode_escape").decode(), quote(raw), quote(raw, safe=""), quote_plus(raw)}
        found |= {base64.b64encode(raw).decode().rstrip("=")}
    return found | _of_encoded_bytes(secret)


def _of_encoded_bytes(secret: str) -> set[str]:
    """Return other spellings of a secret that is base64 of bytes, as a customer's key is in its header."""
    try:
        raw = base64.b64decode(secret, validate=True)
    except (binascii.Error, ValueError):
        return set()
    return {raw.hex(), base64.urlsafe_b64encode(raw).decode().rstrip("="), secret.rstrip("=")}


__all__ = ["HIDDEN", "SHORTEST_SECRET", "Mask", "hidden_by_place"]
