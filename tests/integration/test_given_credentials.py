"""Credentials from code: keys, sessions of SDKs and functions; two accounts in one program; none is ever shown."""

from __future__ import annotations

import asyncio
import copy
import functools
import logging
import pickle
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import botocore.credentials
import botocore.session
import pytest

import bulkhaul
from bulkhaul import AsyncEngine, Credentials, Engine, S3Store, aio, errors, jobs
from bulkhaul.engine.shared import shared_engine
from bulkhaul.model.settings import Settings, Timeouts
from bulkhaul.model.verdicts import Verdict
from bulkhaul.policy.storeurl import parse_store_url
from tests import faultserver
from tests.engines import ACCESS_KEY, SECRET_KEY, TOKEN, assert_no_secret, aws_environment, serving
from tests.faultserver import FaultServer, make_object
from tests.patience import PATIENCE_S, SOON_S

GIVEN = Credentials(ACCESS_KEY, SECRET_KEY, TOKEN)


def told(*tokens: str) -> FaultServer:
    """Return a server that accepts these tokens, with one object."""
    server = serving(tokens=tokens or (TOKEN,))
    server.store.put("bucket", "key", make_object(b"hello"))
    return server


def boto_session() -> object:
    """Return a session of boto3 with the canary's keys."""
    return boto3.Session(ACCESS_KEY, SECRET_KEY, TOKEN)


def botocore_session() -> object:
    """Return a session of botocore with the canary's keys."""
    session = botocore.session.Session()
    session.set_credentials(ACCESS_KEY, SECRET_KEY, TOKEN)
    return session


def frozen() -> object:
    """Return botocore's own tuple of the canary's keys."""
    return botocore.credentials.Credentials(ACCESS_KEY, SECRET_KEY, TOKEN).get_frozen_credentials()


async def asynchronous() -> Credentials:
    """Return the canary's keys, as a coroutine."""
    return GIVEN


@pytest.mark.parametrize("transport", ["fast", "sdk"])
@pytest.mark.parametrize(
    "source",
    [
        lambda: GIVEN,
        boto_session,
        botocore_session,
        lambda: botocore.credentials.Credentials(ACCESS_KEY, SECRET_KEY, TOKEN),
        lambda: lambda: GIVEN,
        lambda: asynchronous,
        lambda: frozen(),
        lambda: boto_session,
        lambda: frozen,
    ],
    ids=[
        "keys",
        "boto3",
        "botocore",
        "credentials",
        "function",
        "coroutine function",
        "frozen",
        "function: boto3",
        "function: frozen",
    ],
)
def test_every_kind_signs(source: Any, transport: Any) -> None:
    """The environment has other keys, which are not used, and no profile or file is asked for."""
    wrong = {"AWS_ACCESS_KEY_ID": "other", "AWS_SECRET_ACCESS_KEY": "other"}
    with told() as server, aws_environment(wrong):
        given = source()
        with Engine(endpoint_url=server.endpoint_url, credentials=given, transport=transport, workers=1) as engine:
            assert engine.get_bytes("s3://bucket/key") == b"hello"
            assert {one.status for one in server.requests} == {200}


def test_nothing_but_what_is_given_is_asked_for() -> None:
    """Without any other credentials, workers find where requests go without the SDK's chain."""
    with told() as server, aws_environment({}), Engine(endpoint_url=server.endpoint_url, credentials=GIVEN) as engine:
        assert engine.get_bytes("s3://bucket/key") == b"hello"


@pytest.mark.parametrize("ends", [True, False], ids=["ahead of its end", "when refused"])
def test_a_function_is_asked_again(ends: bool) -> None:
    """Ahead of the end that it told, or once the service refuses it as expired; never twice at a time."""
    calls: list[int] = []
    busy = threading.Lock()

    def source() -> Credentials:
        assert busy.acquire(blocking=False), "it was asked twice at a time"
        try:
            calls.append(1)
            soon = datetime.now(UTC) + timedelta(seconds=30)
            return Credentials(ACCESS_KEY, SECRET_KEY, f"canary-{len(calls)}", soon if ends else None)
        finally:
            busy.release()

    with told("canary-1", "canary-2") as server, aws_environment({}):
        with Engine(endpoint_url=server.endpoint_url, credentials=source, workers=2) as engine:
            engine.get_bytes("s3://bucket/key")
            if ends:
                engine.aio.control._requests._credentials._refreshed_s -= 3600.0  # as if it were long ago
                while len(calls) < 2:
                    engine.get_bytes("s3://bucket/key")
            else:
                assert server.credentials is not None
                server.credentials.expire("canary-1")
            engine.get_bytes("s3://bucket/key")
            engine.get_bytes("s3://bucket/key")
        assert len(calls) == 2
        assert server.requests[-1].headers["x-amz-security-token"] == "canary-2"


class Leak(Exception):
    """An error that quotes a key."""


def failing() -> Credentials:
    """Fail as a function of a program may."""
    raise Leak(f"cannot renew {SECRET_KEY}")


async def failing_on_the_loop() -> Credentials:
    """Fail as a coroutine of a program may."""
    return failing()


def raising(error: BaseException) -> Any:
    """Return a function that raises it."""

    def source() -> Credentials:
        raise error

    return source


def raising_on_the_loop(error: BaseException) -> Any:
    """Return a coroutine function that raises it."""

    async def source() -> Credentials:
        raise error

    return source


@pytest.mark.parametrize(
    ("source", "says"),
    [
        (failing, r"the given source of credentials failed \(cause: Leak: cannot renew \*\*\*\)"),
        (failing_on_the_loop, r"the given source of credentials failed \(cause: Leak: cannot renew \*\*\*\)"),
        (raising(StopIteration()), r"failed \(cause: StopIteration\)"),
        (raising(ValueError("vault is\nsealed")), r"failed \(cause: ValueError: vault is sealed\)"),
        (raising(SystemExit(3)), r"failed \(cause: SystemExit: 3\)"),
        (raising(TimeoutError()), r"failed \(cause: TimeoutError\)"),
        (raising_on_the_loop(SystemExit(3)), r"failed \(cause: SystemExit: 3\)"),
        (raising_on_the_loop(asyncio.CancelledError()), r"failed \(cause: CancelledError\)"),
        (lambda: SECRET_KEY, "str is none of these"),
        (lambda: Credentials("", SECRET_KEY), "access key id is empty"),
        (lambda: Credentials(ACCESS_KEY, SECRET_KEY, "", datetime(2001, 1, 1, tzinfo=UTC)), "have ended"),
        (lambda: asyncio.sleep(3600), "did not answer within"),
    ],
    ids=[
        "fails",
        "fails on the loop",
        "StopIteration",
        "ValueError",
        "SystemExit",
        "TimeoutError",
        "SystemExit on the loop",
        "CancelledError",
        "another type",
        "no key",
        "ended",
        "hangs",
    ],
)
def test_a_source_that_fails_says_so(source: Any, says: str, caplog: pytest.LogCaptureFixture) -> None:
    """A CredentialsError before any request, without a key in it or in the log."""
    caplog.set_level(logging.DEBUG)
    timeouts = Timeouts(ask_s=0.5) if "within" in says else Settings().timeouts
    with told() as server, aws_environment({}):
        with Engine(endpoint_url=server.endpoint_url, credentials=source, timeouts=timeouts, workers=1) as engine:
            with pytest.raises(errors.CredentialsError, match=says) as caught:
                engine.start_task(engine.aio.get_bytes, "s3://bucket/key").result(PATIENCE_S)
            assert server.requests == ()
    assert SECRET_KEY not in caplog.text
    assert_no_secret(caught.value)


def test_a_source_that_waits_holds_up_no_end() -> None:
    """A function that waits for ever fails the request in time, and the engine can be closed."""
    going, asked = threading.Event(), threading.Event()

    def source() -> Credentials:
        asked.set()
        going.wait(2 * PATIENCE_S)
        return GIVEN

    with told() as server, aws_environment({}):
        engine = Engine(endpoint_url=server.endpoint_url, credentials=source, timeouts=Timeouts(ask_s=0.5), workers=1)
        with pytest.raises(errors.CredentialsError, match="did not answer within"):
            engine.get_bytes("s3://bucket/key")
        assert asked.is_set()
        closing = threading.Thread(target=engine.close)
        closing.start()
        closing.join(SOON_S)
        held_up = closing.is_alive()
        going.set()
        closing.join()
    assert not held_up


def test_a_source_that_failed_is_asked_again() -> None:
    """By the next request: a token service restarts, a user logs in. It is asked once for all that wait."""
    calls: list[int] = []

    def source() -> Credentials:
        calls.append(1)
        return failing() if len(calls) == 1 else GIVEN

    with told() as server, aws_environment({}):
        with Engine(endpoint_url=server.endpoint_url, credentials=source, workers=1) as engine:
            with pytest.raises(errors.CredentialsError, match="source of credentials failed"):
                engine.get_bytes("s3://bucket/key")
            asked = [engine.start_task(engine.aio.get_bytes, "s3://bucket/key") for _ in range(5)]
            assert [one.result(PATIENCE_S) for one in asked] == [b"hello"] * 5
    assert len(calls) == 2


def test_a_late_source_is_not_called_beside_itself() -> None:
    """The request that comes while it is still at work waits for that."""
    going, calls = threading.Event(), []

    def source() -> Credentials:
        calls.append(1)
        going.wait(PATIENCE_S)
        return GIVEN

    with told() as server, aws_environment({}):
        timeouts = Timeouts(ask_s=0.5)
        with Engine(endpoint_url=server.endpoint_url, credentials=source, timeouts=timeouts, workers=1) as engine:
            for _ in range(2):
                with pytest.raises(errors.CredentialsError, match="did not answer within"):
                    engine.get_bytes("s3://bucket/key")
            going.set()
            assert engine.get_bytes("s3://bucket/key") == b"hello"
    assert len(calls) <= 2  # the answer that came between two requests may be out of date


def test_a_login_after_a_failure_is_found(tmp_path: Path) -> None:
    """Of the chain, too, and by an engine that the program shares."""
    shared = tmp_path / "credentials"
    with told() as server, aws_environment({"AWS_SHARED_CREDENTIALS_FILE": str(shared)}):

        def read() -> bytes:
            with bulkhaul.open("s3://bucket/key", endpoint_url=server.endpoint_url, workers=1) as file:
                return file.read()

        with pytest.raises(errors.CredentialsError):
            read()
        shared.write_text(
            f"[default]\naws_access_key_id={ACCESS_KEY}\naws_secret_access_key={SECRET_KEY}\n"
            f"aws_session_token={TOKEN}\n"
        )
        try:
            assert read() == b"hello"
        finally:
            shared_engine(Settings(endpoint_url=server.endpoint_url, workers=1)).close()


def test_a_renewal_that_fails_says_so() -> None:
    """The request that needed it fails by what the function did, not by the service's refusal."""
    calls: list[int] = []

    def source() -> Credentials:
        calls.append(1)
        return GIVEN if len(calls) == 1 else failing()

    with told() as server, aws_environment({}):
        with Engine(endpoint_url=server.endpoint_url, credentials=source, workers=1) as engine:
            engine.get_bytes("s3://bucket/key")
            assert server.credentials is not None
            server.credentials.expire(TOKEN)
            with pytest.raises(errors.CredentialsError, match="source of credentials failed"):
                engine.get_bytes("s3://bucket/key")


def account(name: str) -> FaultServer:
    """Return a server that accepts the keys of one account alone."""
    return FaultServer(buckets=[name], credentials=faultserver.Credentials(f"AK{name}", f"secret-{name}"))


def test_two_accounts_in_one_program() -> None:
    """Two engines each sign with their own; an object is copied from one account to the other."""
    with account("one") as first, account("two") as second, aws_environment({}):
        one, two = Credentials("AKone", "secret-one"), Credentials("AKtwo", "secret-two")
        here, there = Settings(endpoint_url=first.endpoint_url), Settings(endpoint_url=second.endpoint_url)
        with Engine(here, credentials=one) as engine, Engine(there, credentials=two) as other:
            engine.upload_bytes(b"hello", "s3://one/key")
            assert other.copy("s3://one/key", "s3://two/key", origin=other.beside(here, credentials=one)).ok
            assert other.get_bytes("s3://two/key") == b"hello"
            with pytest.raises(errors.TransferError):
                other.head("s3://one/key")


@pytest.mark.parametrize("used", [False, True], ids=["not used", "used"])
def test_the_origin_of_a_copy_is_an_engine(used: bool) -> None:
    """Of another account; one object or many. The other engine goes on; one like it is made here once."""
    with account("one") as first, account("two") as second, aws_environment({}):
        one, two = Credentials("AKone", "secret-one"), Credentials("AKtwo", "secret-two")
        there = Settings(endpoint_url=second.endpoint_url, workers=1)
        with (
            Engine(endpoint_url=first.endpoint_url, workers=1, credentials=one) as ours,
            Engine(there, credentials=two) as theirs,
        ):
            second.store.put("two", "key", make_object(b"hello"))
            if used:
                assert theirs.exists("s3://two/key")
            assert ours.copy("s3://two/key", "s3://one/a", origin=theirs).ok
            assert [result.error for result in ours.copy_many("s3://two/", "s3://one/b/", origin=theirs)] == [None]
            assert [ours.get_bytes(f"s3://one/{key}") for key in ("a", "b/key")] == [b"hello"] * 2
            assert ours.copy("s3://one/a", "s3://one/c", origin=ours).ok
            assert theirs.get_bytes("s3://two/key") == b"hello"
            beside = ours.beside(endpoint_url=second.endpoint_url, workers=1, credentials=two)
            assert ours.beside(there, credentials=two) is beside
            assert len(ours._beside) == 1
            theirs.close()
            with pytest.raises(errors.UsageError, match="origin= is closed"):
                ours.copy("s3://two/key", "s3://one/a", origin=theirs)


def test_an_async_engine_refuses_an_origin_with_a_loop_of_its_own() -> None:
    """It says what to give in its place, and nothing has begun."""

    async def story() -> None:
        async with AsyncEngine(workers=1) as engine:
            with pytest.raises(errors.UsageError, match="or give an AsyncEngine"):
                await engine.copy("s3://one/key", "s3://two/key", origin=other)
            with pytest.raises(errors.UsageError, match="or give an AsyncEngine"):
                await anext(engine.copy_many("s3://one/", "s3://two/", origin=other))

    other = Engine(workers=1)
    asyncio.run(story())


def test_an_async_engine_takes_them_too() -> None:
    """With a coroutine function, which runs on the program's own loop."""

    async def story() -> bytes:
        loop = asyncio.get_running_loop()

        async def source() -> Credentials:
            assert asyncio.get_running_loop() is loop
            return GIVEN

        async with AsyncEngine(endpoint_url=server.endpoint_url, credentials=source, workers=1) as engine:
            return await engine.get_bytes("s3://bucket/key")

    with told() as server, aws_environment({}):
        assert asyncio.run(story()) == b"hello"


def test_open_files_and_jobs_take_them_too(tmp_path: Path) -> None:
    """The folder of a job in a bucket is asked with them as well; a job keeps none, so that each call needs them."""
    with told() as server, aws_environment({}):
        settings: dict[str, Any] = {"endpoint_url": server.endpoint_url, "workers": 1, "retry_for_s": 0}
        server.store.put("bucket", "data/key", make_object(b"hello"))
        with bulkhaul.open("s3://bucket/key", credentials=GIVEN, **settings) as file:
            assert file.read() == b"hello"
        shared_engine(Settings(**settings), GIVEN).close()
        with Engine(**settings) as engine, pytest.raises(errors.UsageError, match="or the engine"):
            bulkhaul.open("s3://bucket/key", engine=engine, credentials=GIVEN)
        given = settings | {"credentials": GIVEN}
        assert [one.error for one in jobs.sync("s3://bucket/data/", tmp_path / "a", **given)] == [None]
        assert [one.verdict for one in jobs.verify("s3://bucket/data/", tmp_path / "a", **given)] == [Verdict.EQUAL]
        job = "s3://bucket/jobs/one"
        assert jobs.create_job(job, "s3://bucket/data/", tmp_path / "b", **given).planned_rows == 1
        with pytest.raises(errors.CredentialsError):
            jobs.job_status(job, **settings)
        assert [row.error for row in jobs.run_job(job, **given)] == [None]
        assert jobs.job_status(job, **given).succeeded == 1
        assert jobs.retry_job(job, **given) == 0
        assert len(list(jobs.report_rows(job, **given))) == 1
        rows = jobs.sync_job("s3://bucket/jobs/two", "s3://bucket/data/", "s3://bucket/copy/", **given)
        assert [row.error for row in rows] == [None]


def test_what_cannot_be_meant_is_refused() -> None:
    """Credentials that nothing is signed with, times without a zone, keys that are no texts."""
    with pytest.raises(errors.UsageError, match="sign_requests"):
        Engine(credentials=GIVEN, sign_requests=False)
    with pytest.raises(errors.UsageError, match="time zone"):
        Credentials("a", "b", expires=datetime(2030, 1, 1))
    with pytest.raises(errors.UsageError, match="are texts"):
        Credentials("a", None)  # type: ignore[arg-type]


def test_a_store_takes_them_and_keeps_them_to_itself() -> None:
    """Its text says that they were given, never which; stores of two accounts are not equal, copies are."""
    with told() as server, aws_environment({}):
        url = f"s3+{server.endpoint_url}/bucket"
        with S3Store.from_url(url, credentials=GIVEN, workers=1) as store:
            assert store.get_bytes("key") == b"hello"
            assert SECRET_KEY not in repr(store)
            assert repr(store) == f"S3Store({url!r}, credentials=...)"
            assert repr(S3Store.from_url(url)) == f"S3Store({url!r})"
            assert store == S3Store.from_url(url, credentials=GIVEN, workers=1)
            assert store != S3Store.from_url(url, credentials=Credentials("a", "b"), workers=1)
            for again in (copy.copy(store), copy.deepcopy(store)):
                assert again == store
                assert again.get_bytes("key") == b"hello"
                again.close()

        async def story() -> bytes:
            async with aio.S3Store.from_url(url, credentials=asynchronous, workers=1) as other:
                return await other.get_bytes("key")

        assert asyncio.run(story()) == b"hello"


@pytest.mark.parametrize("kind", [S3Store, aio.S3Store])
@pytest.mark.parametrize(
    "source",
    [
        lambda: GIVEN,
        boto_session,
        lambda: lambda: GIVEN,
        lambda: functools.partial(Credentials, ACCESS_KEY, SECRET_KEY),
    ],
    ids=["keys", "boto3", "lambda", "partial"],
)
def test_a_store_whose_credentials_stay_here_is_not_pickled(kind: Any, source: Any) -> None:
    """What came of the pickle would work with another account; the error says what to do, and no key."""
    store = kind.from_url("s3://bucket", credentials=source())
    with pytest.raises(TypeError, match="make the store where it is used, or give it a function of a module") as caught:
        pickle.dumps(store)
    assert_no_secret(caught.value)


@pytest.mark.parametrize("kind", [S3Store, aio.S3Store])
def test_a_function_of_a_module_goes_by_its_name(kind: Any) -> None:
    """What comes of the pickle asks it, and no key is part of the pickle."""
    store = kind.from_url("s3://bucket", credentials=failing)
    pickled = pickle.dumps(store)
    assert b"failing" in pickled
    assert SECRET_KEY.encode() not in pickled
    assert pickle.loads(pickled) == store  # noqa: S301 - our own
    assert store != kind.from_url("s3://bucket")


def test_a_store_has_the_credentials_of_its_engine() -> None:
    """One that shares an engine is as much of that account as one that has its own, also when it is copied."""
    with told() as server, aws_environment({}):
        url = parse_store_url(f"s3+{server.endpoint_url}/bucket", allow_http=True)
        with Engine(endpoint_url=server.endpoint_url, credentials=GIVEN, workers=1) as engine:
            assert "given credentials" in repr(engine)
            assert "given credentials" in repr(engine.aio)
            assert SECRET_KEY not in repr(engine)
            store = S3Store(url, Settings(), engine=engine)
            with pytest.raises(TypeError, match="cannot be pickled"):
                pickle.dumps(store)
            with copy.copy(store) as again:
                assert again.get_bytes("key") == b"hello"
