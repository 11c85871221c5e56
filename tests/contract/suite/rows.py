"""The rows of the contract that no test of this folder shows, and the tests that do.

Job: the complement of the suite, so that a row without a test is a decision. Must not know any store.
"""

from __future__ import annotations

ROWS = frozenset(range(1, 73))

ELSEWHERE = {
    2: ("joins prefix and key before a store is asked: a helper for callers", "tests/unit/test_storeurl.py"),
    6: ("a protocol has no defaults that could lose streaming", "tests/unit/test_store_protocol.py"),
    15: ("the plan of ranges is a value", "tests/unit/test_layout.py"),
    40: ("the plan of parts is a value", "tests/unit/test_layout.py"),
    41: ("sizes up to 5 TiB are planned, not moved", "tests/unit/test_layout.py"),
    60: ("flags become fields of a value; which are refused is also seen at opening", "tests/unit/test_storeurl.py"),
    62: ("hosts of AWS are read, not asked", "tests/unit/test_storeurl.py"),
    63: ("names of buckets are read, not asked", "tests/unit/test_storeurl.py"),
    65: ("the endpoint is a part of the URL", "tests/unit/test_storeurl.py"),
    66: ("the region is read from the host", "tests/unit/test_storeurl.py"),
    68: ("timeouts of the connections", "tests/unit/test_settings.py"),
    70: ("who retries, and how often", "tests/unit/test_transfer_retries.py"),
    72: ("what a store in memory adds", "tests/unit/test_store_protocol.py"),
}
"""Row → why no test of this folder is named by it, and the file that proves it."""
