"""Requests that workers make for the coordinator: each has its function, and its answer is of the type it names."""

from __future__ import annotations

import asyncio
from typing import get_args

import pytest

from bulkhaul.engine.messages.load_run import LoadRun
from bulkhaul.engine.messages.request import answer_decoder
from bulkhaul.engine.messages.requests import AnyRequest, Delete, Head, ListPage, Read
from bulkhaul.engine.worker import sdk_answers
from bulkhaul.errors import TransferError
from bulkhaul.model.objects import ObjectHead
from bulkhaul.model.writing import ObjectsPage
from bulkhaul.wire.values import Target
from tests.unit.test_pool_requests import run
from tests.unit.workers import Workers, settle


def test_every_request_has_a_function() -> None:
    """But Read and a load, which the worker's loop carries out."""
    assert set(sdk_answers._ANSWERS) == set(get_args(AnyRequest)) - {Read, LoadRun}


def test_an_answer_has_the_type_that_its_request_names() -> None:
    """The type argument of the request is what its answer is decoded as."""
    assert answer_decoder(Head).type is ObjectHead
    assert answer_decoder(ListPage).type is ObjectsPage


def test_an_answer_of_another_type_fails_its_request() -> None:
    """A worker is of this program, but what it sends is read strictly all the same."""

    async def story(workers: Workers) -> None:
        looking = asyncio.create_task(workers.requests.ask(Head("b", "k")))
        await settle()
        workers.answer(0, ["no", "head"])
        with pytest.raises(TransferError, match="cannot be read"):
            await looking

    run(story)


def test_where_a_request_went_goes_along_with_the_next() -> None:
    """One worker has found out where a bucket lives; no other has to, whatever it is asked."""
    there = Target("https", "bucket.s3.eu-west-1.amazonaws.com", 443, "/", "eu-west-1", fast=True)

    async def story(workers: Workers) -> None:
        looking = asyncio.create_task(workers.requests.ask(Head("b", "k")))
        await workers.until_asked(1)
        workers.answer(0, ObjectHead("k", 1), there)
        await looking
        deleting = asyncio.create_task(workers.requests.ask(Delete("b", "k")))
        await workers.until_asked(2)
        workers.answer(1, "")
        await deleting
        other = asyncio.create_task(workers.requests.ask(Head("other", "k")))
        await workers.until_asked(3)
        assert [ask.target for _, ask in workers.asked] == [None, there, None]
        assert await workers.requests.target("b") == there
        workers.answer(2, ObjectHead("k", 1))
        await other

    run(story)
