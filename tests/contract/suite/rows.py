"""The rows of the contract that no caller of a store can see, and why.

Job: the complement of the suite, so that a row without a test is a decision. Must not know any store.
"""

from __future__ import annotations

ROWS = frozenset({*range(1, 58), *range(68, 73)})
"""C58 to C67 are about URLs, which exist before any store does."""

UNSEEN = {
    2: "joins prefix and key before a store is asked: a helper for callers",
    6: "a protocol has no defaults that could lose streaming: tests/unit/test_store_protocol.py",
    15: "the plan of ranges is a value: tests/unit/test_layout.py",
    19: "a range fails only on a server that fails: tests/contract/test_fault_matrix.py",
    32: "a source that changes within a copy needs a server that changes it: the fault server's tests",
    39: "what the command line makes of a failed probe: tests of the command line",
    40: "the plan of parts is a value: tests/unit/test_layout.py",
    41: "sizes up to 5 TiB are planned, not moved: tests/unit/test_layout.py",
    43: "parts in flight and their order are seen by the server: the fault server's tests",
    44: "a service that forgets the upload id or an ETag: tests of the wire",
    45: "an upload that is dropped while armed: tests with dying processes",
    47: "cleaning up after everything else failed: tests with dying processes",
    52: "a 412 to a request that carries no condition of the caller's: tests/unit/test_classify.py",
    53: "a 409 is False for its only caller, put_if_absent: tests/unit/test_classify.py",
    57: "codes that no healthy service sends: tests/unit/test_classify.py",
    68: "timeouts of the connections: tests/unit/test_settings.py",
    69: "timeouts of single requests: tests of the wire",
    70: "who retries: tests/unit/test_transfer_retries.py",
    72: "what a store in memory adds: tests/unit/test_store_protocol.py",
}
"""Row → why it cannot be seen through ``ObjectStore``, and which tests see it."""
