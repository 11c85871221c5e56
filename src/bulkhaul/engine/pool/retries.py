"""Logs each retry of a request or a part: what has failed, why, and when it is tried again."""

from __future__ import annotations

import logging

from bulkhaul.engine.pool.job import BaseJob, GetJob, PutJob
from bulkhaul.model.errors import ErrorInfo

_log = logging.getLogger("bulkhaul.retry")


def tell(error: ErrorInfo, subject: str, attempt: int, wait_s: float) -> None:
    """Log that a request is made again.

    Args:
        attempt: which try has failed.
    """
    if not _log.isEnabledFor(logging.INFO):
        return
    when = f"in {wait_s:.2f} s" if wait_s else "at once"
    if error.unreached:
        when = "as soon as the endpoint is back"
    identity = f" [request id {error.request_id}]" if error.request_id else ""
    why = f"{error.message} ({error.cause})" if error.cause else error.message
    _log.info("%s: attempt %d failed: %s: %s%s; again %s", subject, attempt, error.code, why, identity, when)


def tell_of_part(job: BaseJob, index: int, error: ErrorInfo, attempt: int, wait_s: float) -> None:
    """Log that a part, or what is left of a batch, is tried again."""
    if not _log.isEnabledFor(logging.INFO):
        return
    if isinstance(job, GetJob | PutJob):
        request = job.template.request
        subject = f"s3://{request.bucket}/{request.key}, part {index + 1}"
    else:
        subject = "a batch of small objects"
    tell(error, subject, attempt, wait_s)
