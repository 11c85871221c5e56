"""What a copy keeps: grants and locks as requests say them, and replies that tell of them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from bulkhaul.errors import UnexpectedReply, Unsupported
from bulkhaul.model.preserving import Acl, Grant, ObjectLock
from bulkhaul.model.writing import ObjectOptions
from bulkhaul.policy.preserving import canned_name, lock_in_force, same_acl, with_acl
from bulkhaul.wire.option_headers import put_headers
from bulkhaul.wire.replies.object_acl import acl_of
from bulkhaul.wire.replies.object_lock import hold_of, retention_of

EVERYBODY = "http://acs.amazonaws.com/groups/global/AllUsers"
OWN = Grant("FULL_CONTROL", "id", "me")
READ = Grant("READ", "uri", EVERYBODY)
WRITE = Grant("WRITE", "uri", EVERYBODY)


@pytest.mark.parametrize(
    ("grants", "name"),
    [
        ((OWN,), "private"),
        ((OWN, READ), "public-read"),
        ((READ, WRITE, OWN), "public-read-write"),
        (
            (OWN, Grant("READ", "uri", "http://acs.amazonaws.com/groups/global/AuthenticatedUsers")),
            "authenticated-read",
        ),
        ((READ,), ""),  # the owner has lost full control
        ((OWN, READ, Grant("READ", "id", "you")), ""),
        ((Grant("FULL_CONTROL", "id", "you"),), ""),
        ((), ""),
    ],
)
def test_canned_only_where_it_is_exactly_one(grants: tuple[Grant, ...], name: str) -> None:
    """S3 User Guide, "Canned ACL"."""
    assert canned_name(Acl("me", grants)) == name


def test_grants_as_headers() -> None:
    """S3 API Reference, PutObject: one header a permission, its grantees in a list."""
    grants = (OWN, READ, Grant("READ", "id", "you"), Grant("READ_ACP", "emailAddress", "a@b"))
    options = with_acl(ObjectOptions(), Acl("me", grants), "s3://b/k")
    assert dict(put_headers(options)) == {
        "x-amz-grant-full-control": 'id="me"',
        "x-amz-grant-read": f'uri="{EVERYBODY}", id="you"',
        "x-amz-grant-read-acp": 'emailAddress="a@b"',
    }
    assert put_headers(with_acl(ObjectOptions(), Acl("me", (OWN,)), "")) == []
    assert put_headers(with_acl(ObjectOptions(), Acl("me", (OWN, READ)), "")) == [("x-amz-acl", "public-read")]


@pytest.mark.parametrize("grants", [(OWN, Grant("WRITE", "id", "you")), ()])
def test_grants_that_no_request_makes(grants: tuple[Grant, ...]) -> None:
    """There is no x-amz-grant-write for an object: it is refused before the copy, not left out."""
    with pytest.raises(Unsupported):
        with_acl(ObjectOptions(), Acl("me", grants), "s3://b/k")


def test_acls_compared() -> None:
    """A canned ACL means the owner of each object; other grants are the same ones or not."""
    theirs = Grant("FULL_CONTROL", "id", "you")
    assert same_acl(Acl("me", (OWN, READ)), Acl("you", (READ, theirs)))
    assert not same_acl(Acl("me", (OWN, READ)), Acl("you", (theirs,)))
    assert same_acl(Acl("me", (READ, theirs)), Acl("you", (theirs, READ)))
    assert not same_acl(Acl("me", (OWN, theirs)), Acl("me", (OWN,)))


def test_lock_that_is_over() -> None:
    """A retention in the past protects nothing; a legal hold has no end."""
    now = datetime(2030, 1, 1, tzinfo=UTC)
    past, coming = "2029-12-31T23:59:59.000Z", "2030-01-01T00:00:01.000Z"
    assert lock_in_force(ObjectLock("GOVERNANCE", past, True), now) == ObjectLock(legal_hold=True)
    kept = ObjectLock("COMPLIANCE", coming)
    assert lock_in_force(kept, now) == kept
    assert dict(put_headers(ObjectOptions(lock=ObjectLock("COMPLIANCE", coming, True)))) == {
        "x-amz-object-lock-mode": "COMPLIANCE",
        "x-amz-object-lock-retain-until-date": coming,
        "x-amz-object-lock-legal-hold": "ON",
    }


GRANTED = {"Grantee": {"Type": "CanonicalUser", "ID": "me", "DisplayName": "x"}, "Permission": "READ"}


def test_told_grants() -> None:
    """S3 API Reference, GetObjectAcl."""
    reply = {"Owner": {"ID": "me"}, "Grants": [GRANTED, {"Grantee": {"URI": EVERYBODY}, "Permission": "WRITE"}]}
    assert acl_of(reply, "s3://b/k") == Acl("me", (Grant("READ", "id", "me"), WRITE))


@pytest.mark.parametrize(
    "reply",
    [
        {},
        {"Grants": "all"},
        {"Grants": [GRANTED | {"Permission": "EAT"}]},
        {"Grants": [GRANTED | {"Grantee": {}}]},
        {"Grants": [GRANTED | {"Grantee": {"ID": "me", "URI": EVERYBODY}}]},
        {"Grants": [GRANTED | {"Grantee": {"ID": 'me", uri="http://x'}}]},
        {"Grants": [GRANTED | {"Grantee": {"ID": "a\r\nx-amz-acl: public-read"}}]},
        {"Grants": [GRANTED] * 1001},
    ],
)
def test_nonsense_of_grants(reply: dict[str, Any]) -> None:
    """What can be no ACL is never taken for one, nor put into a header."""
    with pytest.raises(UnexpectedReply):
        acl_of(reply, "s3://b/k")


def test_told_locks() -> None:
    """S3 API Reference, GetObjectRetention and GetObjectLegalHold."""
    until = datetime(2030, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)
    told = {"Retention": {"Mode": "GOVERNANCE", "RetainUntilDate": until}}
    assert retention_of(told, "") == ("GOVERNANCE", "2030-01-02T03:04:05.678Z")
    assert retention_of({}, "") == ("", "")
    assert [hold_of({"LegalHold": {"Status": one}}, "") for one in ("ON", "OFF")] == [True, False]
    for wrong in ({"Mode": "EVER", "RetainUntilDate": until}, {"Mode": "GOVERNANCE"}, {"RetainUntilDate": until}):
        with pytest.raises(UnexpectedReply):
            retention_of({"Retention": wrong}, "")
    with pytest.raises(UnexpectedReply):
        hold_of({"LegalHold": {"Status": "PERHAPS"}}, "")
