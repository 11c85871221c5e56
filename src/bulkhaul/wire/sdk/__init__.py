"""Everything that goes through boto3; the only importer of boto3 and botocore. This module imports neither."""

CONTROL_THREADS = 4
"""Requests that one worker makes at a time through the SDK."""

ENDING_THREADS = 8
"""Aborts of uploads that one worker makes at a time, besides its other requests."""
