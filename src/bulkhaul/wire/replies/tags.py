"""Reads the tags of an object."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bulkhaul.model.errors import UnexpectedReply
from bulkhaul.wire import told
from bulkhaul.wire.reply import not_of_s3


def tags_of(reply: Mapping[str, Any], subject: str) -> dict[str, str]:
    """Return the tags that a reply tells.

    Raises:
        UnexpectedReply: it tells none, or more than any object has.
    """
    found = reply.get("TagSet")
    if found is None or any(tag.get("Key") is None or tag.get("Value") is None for tag in found):
        raise UnexpectedReply(not_of_s3("what came is no set of tags"), subject)
    tags = {str(tag["Key"]): str(tag["Value"]) for tag in found}
    if len(tags) < len(found) or len(tags) > told.MAX_TAGS:
        raise UnexpectedReply("the reply tells a tag twice, or more than any object has", subject)
    told.bounded((), tags, subject)
    return tags


__all__ = ["tags_of"]
