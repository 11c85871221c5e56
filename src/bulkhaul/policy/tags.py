"""Says which tags an object can have."""

from __future__ import annotations

from collections.abc import Mapping

from bulkhaul.model.errors import UsageError

MAX_TAGS = 10
MAX_NAME_CHARACTERS = 128
MAX_VALUE_CHARACTERS = 256
"""In UTF-16 code units. Source: S3 User Guide, "Categorizing your storage using tags"."""


def check_tags(tags: Mapping[str, str], subject: str = "") -> None:
    """Raise UsageError unless an object can have these tags.

    >>> check_tags({"team": "ml", "empty": ""})
    """
    if len(tags) > MAX_TAGS:
        raise UsageError(f"an object has at most {MAX_TAGS} tags, not {len(tags)}", subject)
    for name, value in tags.items():
        for what, text, most in (("name", name, MAX_NAME_CHARACTERS), ("value", value, MAX_VALUE_CHARACTERS)):
            if not isinstance(text, str):
                raise UsageError(f"the {what} of a tag is text, not {text!r}", subject)
            length = len(text.encode("utf-16-le", "surrogatepass")) // 2
            if length > most:
                raise UsageError(f"the {what} of a tag has at most {most} characters, {text[:20]!r}… {length}", subject)
            if any(character < " " and character not in "\t\n\r" for character in text):
                raise UsageError(f"the {what} of a tag holds a control character: {text[:20]!r}", subject)
        if not name:
            raise UsageError("a tag needs a name", subject)


__all__ = ["MAX_TAGS", "check_tags"]
