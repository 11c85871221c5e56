"""Makes credentials of keys that requests can carry, and refuses any other before a request is made.

A library's error would quote the whole header. Messages name where a key came from and what is wrong with it, never
the key.
"""

from __future__ import annotations

import os
import re

from bulkhaul.model.errors import CredentialsError
from bulkhaul.policy.awsfiles import Unsure
from bulkhaul.wire.values import Credentials

ENVIRONMENT = "the environment"
"""The source of keys that stand in variables; a message names the variable instead."""

_VARIABLES = {
    "access key id": ("AWS_ACCESS_KEY_ID",),
    "secret access key": ("AWS_SECRET_ACCESS_KEY",),
    "session token": ("AWS_SECURITY_TOKEN", "AWS_SESSION_TOKEN"),
}
"""The variables in which the SDK looks for each key, in its order."""


def usable_credentials(
    access_key: object, secret_key: object, token: object, *, source: str, expires_s: float, generation: int
) -> Credentials:
    """Return credentials without the blanks and line ends around their keys.

    Args:
        token: empty or None where there is none.
        source: where the keys come from, for messages and logs.
        expires_s: Unix time at which they end, 0 if they do not.

    Raises:
        CredentialsError: a key is missing, or holds a character that no header may hold or that is a mistake.
    """
    return Credentials(
        _sendable(access_key, "access key id", source),
        _hashable(secret_key, "secret access key", source),
        _sendable(token, "session token", source, optional=True),
        expires_s,
        generation,
        source,
    )


def _sendable(value: object, name: str, source: str, *, optional: bool = False) -> str:
    """Return a key that is sent in a header, without the blanks and line ends around it.

    Raises:
        CredentialsError: it is missing, or holds a character that no header may hold.
    """
    text = _hashable(value, name, source, optional=optional)
    if not all("!" <= character <= "~" for character in text):
        what = "a blank" if " " in text else "a character that is not ASCII"
        raise _unusable(name, source, f"holds {what}")
    return text


def _hashable(value: object, name: str, source: str, *, optional: bool = False) -> str:
    """Return a key that is never sent, only computed with: any printable text.

    Raises:
        CredentialsError: it is missing, or holds a character that is a mistake.
    """
    text = value.strip() if isinstance(value, str) else ""
    if not text and not (optional and not value):
        raise _unusable(name, source, "is empty")
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise _unusable(name, source, "is not valid UTF-8")
    if any(ord(character) < 0x20 or 0x7F <= ord(character) < 0xA0 for character in text):
        what = "a line break" if "\n" in text or "\r" in text else "a control character"
        raise _unusable(name, source, f"holds {what}")
    return text


def _unusable(name: str, source: str, what: str) -> CredentialsError:
    where = source
    if source == ENVIRONMENT:
        where = next((variable for variable in _VARIABLES[name] if variable in os.environ), source)
    return CredentialsError(f"the {name} {what} ({where}); copy it again, on one line")


# Hours end at 23: Python 3.14 takes 24:00 for midnight, and the SDK does not.
_CLOCK = r"(?:[01][0-9]|2[0-3]):[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,6})?"
_TIME = rf"[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}T{_CLOCK}(?:Z|[+-][0-9]{{2}}:[0-9]{{2}})"


def unix_time(text: str) -> float:
    """Return the Unix time of an ISO 8601 date with its time zone.

    Raises:
        Unsure: it has another form, which the SDK may still understand.
    """
    from datetime import datetime

    if not re.fullmatch(_TIME, text):
        raise Unsure("the date at which the keys end has an odd form")
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError as error:
        raise Unsure("the date at which the keys end does not exist") from error
