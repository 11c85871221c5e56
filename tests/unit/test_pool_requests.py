"""Questions that change something: a few at a time, never left while they are under way, and not asked of the dead."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from bulkhaul.engine.messages.load_run import LoadRun, LoadRunEnded
from bulkhaul.engine.messages.requests import Answer, CopyPart, Head, Resolve
from bulkhaul.model.errors import Cancelled, ErrorInfo, ServerError, TransferError, WorkerDied
from bulkhaul.model.objects import ObjectHead
from bulkhaul.model.workloads import FixedSize, ObjectTable
from bulkhaul.model.writing import CopySource, UploadedPart
from bulkhaul.policy.events import Assign, Instruction, Tick, TransferAdded, WorkerReady
from bulkhaul.policy.layout import plan_download
from bulkhaul.policy.outage import MAX_VAIN
from bulkhaul.policy.pacing import RETRY_RULES, Randomness
from bulkhaul.wire.values import Target
from tests.unit.workers import SETTINGS, Workers, settle


def part(number: int) -> CopyPart:
    """Return the question for one part of a copy."""
    return CopyPart("b", "k", "id", number, CopySource("b", "source"), 0, 1)


async def copied(workers: Workers, nth: int) -> None:
    """Answer the nth request: the part was copied."""
    workers.answer(nth, UploadedPart(1, 1, '"e"'))
    await settle()


class Share:
    """Randomness that takes a fixed share of each interval."""

    def __init__(self, share: float) -> None:
        self.share = share

    def uniform(self, a: float, b: float, /) -> float:
        """Return the share of [a, b]."""
        return a + (b - a) * self.share


def run(story: Callable[[Workers], Awaitable[None]], rng: Randomness | None = None) -> None:
    """Tell a story and see that nothing of it is left."""

    async def told() -> None:
        workers = Workers(rng)
        async with asyncio.timeout(10):
            await story(workers)
        assert workers.requests.under_way == 0
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(told())


def test_a_cancelled_copy_waits_for_what_is_under_way() -> None:
    """Its part may land at any time until the service has answered: only then may the upload be aborted (I6)."""

    async def story(workers: Workers) -> None:
        copying = asyncio.create_task(workers.requests.ask(part(1)))
        await settle()
        copying.cancel()
        await settle()
        assert not copying.done()
        await copied(workers, 0)
        assert copying.cancelled()

    run(story)


def test_slow_questions_are_asked_a_few_at_a_time() -> None:
    """As many as requests in flight; the next one goes out when one of them is answered, and quick ones at once."""

    async def story(workers: Workers) -> None:
        copies = [asyncio.create_task(workers.requests.ask(part(number))) for number in (1, 2, 3)]
        await settle()
        assert len(workers.asked) == 2
        looking = asyncio.create_task(workers.requests.ask(Head("b", "k")))
        await settle()
        workers.answer(2, ObjectHead("k", 1))
        assert (await looking).key == "k"
        await copied(workers, 0)
        assert [one[1].request for one in workers.asked[3:]] == [part(3)]
        await copied(workers, 1)
        await copied(workers, 3)
        assert all(copied.etag for copied in await asyncio.gather(*copies))

    run(story)


def test_a_question_that_has_waited_goes_to_a_worker_that_lives() -> None:
    """Who answers is chosen when the question is really asked."""

    async def story(workers: Workers) -> None:
        copies = [asyncio.create_task(workers.requests.ask(part(number))) for number in (1, 2, 3)]
        await settle()
        first = workers.asked[0][0]
        await copied(workers, 1)
        workers.change(first, "lost")
        await settle()
        assert {worker for worker, _ in workers.asked[3:]} == {3 - first}
        for nth in range(2, len(workers.asked)):
            if workers.asked[nth][0] != first:
                await copied(workers, nth)
        assert all(copied.etag for copied in await asyncio.gather(*copies))

    run(story)


def test_answers_give_back_what_retries_have_cost() -> None:
    """A long run of questions with a failure here and there never spends the host's budget."""

    async def story(workers: Workers) -> None:
        budget = workers.machine.budget
        for _ in range(300):
            asked = len(workers.asked)
            looking = asyncio.create_task(workers.requests.ask(Head("b", "k")))
            await settle()
            workers.answer(asked, ObjectHead("k", 1))
            await looking
        assert budget.tokens == budget.capacity
        budget.tokens = 5
        looking = asyncio.create_task(workers.requests.ask(Head("b", "k")))
        await settle()
        failure = ErrorInfo("ServerError", "it failed", status=500)
        workers.refuse(-1, failure)
        await workers.until_asked(len(workers.asked) + 1)
        workers.answer(-1, ObjectHead("k", 1))
        assert (await looking).key == "k"
        assert budget.tokens == 1

    run(story)


def test_questions_wait_together_for_an_endpoint_that_is_away() -> None:
    """One of them goes out a pause; when it is answered, the others follow at once, and nothing was paid."""

    async def story(workers: Workers) -> None:
        refused = ErrorInfo("NetworkError", "refused", unreached=True)
        looks = [asyncio.create_task(workers.requests.ask(Head("b", f"{number}"))) for number in range(6)]
        await settle()
        for _, message in list(workers.asked):
            workers.say(Answer(message.ask, error=refused))
        assert len(workers.asked) == 6
        await workers.until_asked(7)
        assert len(workers.asked) == 7
        workers.answer(6, ObjectHead("k", 1))
        await workers.until_asked(12)
        for nth in range(7, 12):
            workers.answer(nth, ObjectHead("k", 1))
        assert len(await asyncio.gather(*looks)) == 6
        assert workers.machine.budget.tokens == workers.machine.budget.capacity


def test_a_question_that_alone_fails_is_not_asked_for_ever() -> None:
    """Others are answered all the time, so the endpoint is there: its own patience ends it, with its own error."""

    async def story(workers: Workers) -> None:
        workers.machine.outage.retry_for_s = 0.01
        looking = asyncio.create_task(workers.requests.ask(Head("b", "k")))
        bad_gateway = ErrorInfo("ServerError", "bad gateway", status=502)
        tries = 0
        while tries < 50 and not looking.done():
            await workers.until_asked(tries + 1)
            workers.refuse(tries, bad_gateway)
            await settle()
            workers.machine.outage.answered()
            tries += 1
        with pytest.raises(ServerError, match="bad gateway"):
            await looking
        assert tries == MAX_VAIN + 1

    run(story)


def test_a_worker_that_dies_before_it_is_asked_is_not_asked() -> None:
    """A slow question whose worker died between the choice and the asking goes to another one, and is in no doubt."""

    async def story(workers: Workers) -> None:
        doubts: list[int] = []
        copying = asyncio.create_task(workers.requests.ask(part(1), on_doubt=lambda: doubts.append(1)))
        await asyncio.sleep(0)
        assert workers.asked == []
        workers.change(1, "lost")
        await settle()
        assert [worker for worker, _ in workers.asked] == [2]
        assert doubts == []
        await copied(workers, 0)
        assert (await copying).etag

    run(story)


def test_nothing_is_asked_after_the_end() -> None:
    """An engine may end between the choice of a worker and the question to it: nobody would answer that any more."""

    async def story(workers: Workers) -> None:
        copying = asyncio.create_task(workers.requests.ask(part(1)))
        await asyncio.sleep(0)
        assert workers.asked == []
        workers.requests.close()
        with pytest.raises(Cancelled):
            await copying
        assert workers.asked == []

    run(story)


def test_credentials_are_asked_of_a_worker_that_lives() -> None:
    """The worker that was to ask the chain dies before its first step: another one is asked at once."""

    async def story(workers: Workers) -> None:
        for worker in (1, 2):
            workers.change(worker, "orphaned")
        looking = asyncio.create_task(workers.requests.ask(Head("b", "k")))
        await settle()
        workers.change(3, "configured")
        workers.change(4, "configured")
        workers.change(3, "lost")
        await settle()
        assert [(worker, type(ask.request)) for worker, ask in workers.asked] == [(4, Resolve)]
        workers.answer(0, None)
        workers.change(4, "usable")
        await settle()
        workers.answer(-1, ObjectHead("k", 1))
        assert (await looking).key == "k"

    run(story)


def test_workers_that_died_with_their_forkserver_say_nothing_about_a_question() -> None:
    """However often a forkserver takes well workers with it, the question is asked again."""

    async def story(workers: Workers) -> None:
        looking = asyncio.create_task(workers.requests.ask(Head("b", "k")))
        for time in range(5):
            await settle()
            worker, _ = workers.asked[time]
            workers.change(worker, "orphaned")
            workers.change(worker + 2, "usable")
        await settle()
        workers.answer(-1, ObjectHead("k", 1))
        assert (await looking).key == "k"

    run(story)


@pytest.mark.parametrize("code", sorted({"NotFound", "DiskFull"} | set(RETRY_RULES) - {"Throttled", "WorkerDied"}))
def test_a_question_is_asked_as_often_as_a_part(code: str) -> None:
    """Each kind of failure has the rule that parts have."""

    async def story(workers: Workers) -> None:
        looking = asyncio.create_task(workers.requests.ask(Head("b", "k"), "s3://b/k"))
        failure = ErrorInfo(code, "it failed", status=500)
        tries = 0
        while not looking.done():
            if tries < len([one for one in workers.asked if isinstance(one[1].request, Head)]):
                workers.refuse(-1, failure)
                tries += 1
            await settle()
        with pytest.raises(TransferError, match="s3://b/k: it failed") as raised:
            await looking
        assert raised.value.info.code == code
        assert tries == 1 + (RETRY_RULES[code].max_failures if code in RETRY_RULES else 0)

    run(story, Share(0.0))


def assigned(instructions: list[Instruction]) -> list[Assign]:
    """Return the leases among instructions."""
    return [one for one in instructions if isinstance(one, Assign)]


def test_a_throttled_question_keeps_everybody_calm() -> None:
    """Parts and fresh questions wait like the one that was refused, or the service would see no difference."""

    async def story(workers: Workers) -> None:
        machine, loop = workers.machine, asyncio.get_running_loop()
        machine.handle(WorkerReady(1), now_s=loop.time())
        looks = [asyncio.create_task(workers.requests.ask(Head("b", "1")))]
        await settle()
        workers.refuse(0, ErrorInfo("Throttled", "slow down", status=503))
        await settle()
        calm_until_s = loop.time() + 0.1
        looks.append(asyncio.create_task(workers.requests.ask(Head("b", "2"))))
        await settle()
        layout = plan_download(1)
        assert not assigned(machine.handle(TransferAdded(1, layout), now_s=loop.time()))
        assert loop.time() < machine.next_wake_s() <= calm_until_s
        assert len(workers.asked) == 1
        await workers.until_asked(3)
        assert loop.time() > calm_until_s - 0.05
        assert len(assigned(machine.handle(Tick(), now_s=calm_until_s))) == 1
        for nth in range(1, len(workers.asked)):
            workers.answer(nth, ObjectHead("k", 1))
        await asyncio.gather(*looks)

    run(story, Share(1.0))


def test_as_many_workers_are_needed_as_questions_are_under_way() -> None:
    """One question needs one worker, whether it waits or is under way; those that have ended need none."""

    async def story(workers: Workers) -> None:
        looks = []
        for number, needed in ((0, 1), (1, 2), (2, 3)):
            looks.append(asyncio.create_task(workers.requests.ask(Head("b", f"{number}"))))
            await settle()
            assert workers.needed[-1] == needed
        for nth in range(3):
            workers.answer(nth, ObjectHead("k", 1))
        await asyncio.gather(*looks)
        last = asyncio.create_task(workers.requests.ask(Head("b", "3")))
        await settle()
        assert workers.needed[-1] == 1
        workers.answer(3, ObjectHead("k", 1))
        await last

    run(story)


def test_a_question_that_kills_workers_is_poison() -> None:
    """It is asked once more than a part: of two workers that are killed together the second may never have got it."""

    async def story(workers: Workers) -> None:
        looking = asyncio.create_task(workers.requests.ask(Head("b", "k"), "s3://b/k"))
        for time in range(3):
            await settle()
            workers.change(workers.asked[time][0], "lost")
            workers.change(10 + time, "usable")
        await settle()
        text = "s3://b/k: 3 workers died with this request, the last one by SIGKILL"
        with pytest.raises(WorkerDied, match=text):
            await looking
        assert len(workers.asked) == 3

    run(story)


@pytest.mark.parametrize("told_with", ["its own request", "another answer"])
@pytest.mark.parametrize(("fast", "most"), [(True, 400), (False, SETTINGS.concurrency)])
def test_a_bucket_that_only_the_sdk_reaches_bounds_the_window(fast: bool, most: int, told_with: str) -> None:
    """Its threads are as many as were asked for; however it became known where requests for the bucket go."""
    target = Target("http", "127.0.0.1", 9000, "/b/", "us-east-1", fast=fast, why_not="" if fast else "a proxy")

    async def story(workers: Workers) -> None:
        window = workers.machine.window
        window.ceiling = window.size = 400
        if told_with == "another answer":
            asking = asyncio.create_task(workers.requests.ask(Head("b", "k")))
            await settle()
            workers.answer(0, ObjectHead("k", 1), target)
            await asking
            assert await workers.requests.target("b") == target
        else:
            locating = asyncio.create_task(workers.requests.target("b"))
            await settle()
            workers.answer(0, target)
            assert await locating == target
        assert (window.ceiling, window.size) == (most, most)

    run(story)


def test_a_load_takes_as_long_as_it_takes() -> None:
    """Also more than the week that a benchmark may be asked for: what it needs at its end comes on top."""
    load = LoadRun(
        target=Target("http", "h", 80, "/b/", "", fast=True), bucket="b", prefix="p/",
        table=ObjectTable(1, FixedSize(1)), work="mix",
        worker=0, workers=1, weights=(1, 0, 0, 0, 0), lanes=1, rate=0, begins_ns=0, duration_ns=0,
    )  # fmt: skip

    async def story() -> list[LoadRunEnded]:
        workers, loop = Workers(), asyncio.get_running_loop()
        loading = asyncio.create_task(workers.requests.ask_each([load], [0]))
        await settle()
        now = loop.time
        loop.time = lambda: now() + 8 * 24 * 3600  # type: ignore[method-assign]
        await settle()
        assert not loading.done()
        workers.answer(0, LoadRunEnded(7, ()))
        return await loading

    assert asyncio.run(story()) == [LoadRunEnded(7, ())]
