"""Hides what may be a key in a text of somebody else's, such as the message of a program's own error."""

from __future__ import annotations

import re

MOST_CHARACTERS = 300
"""How much of such a text is told."""

_WORD = re.compile(r"[A-Za-z0-9/+=_-]{16,}")
"""What may be a key. Source: IAM API reference, AccessKey: an id has at least 16 characters, a secret key has more."""

_SURELY = 32
"""A word of so many characters is hidden even without a digit: a secret key may have none, no word is so long."""


def without_keys(text: str) -> str:
    """Return a text in one line, with each word hidden that may be a key.

    >>> without_keys("vault is sealed")
    'vault is sealed'
    >>> without_keys("no role for AKIAIOSFODNN7EXAMPLE, wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
    'no role for ***, ***'
    """
    shown = _WORD.sub(_hidden, " ".join(text.split()))
    return shown if len(shown) <= MOST_CHARACTERS else shown[:MOST_CHARACTERS] + " ..."


def _hidden(found: re.Match[str]) -> str:
    word = found[0]
    return "***" if len(word) >= _SURELY or any(one.isdigit() for one in word) else word
