"""Long runs with the odds of a bad day: hundreds of events each, many objects, mostly work and some trouble."""

from __future__ import annotations

import random

import pytest

from bulkhaul.model.errors import ErrorInfo
from bulkhaul.model.limits import KIB, MIB
from bulkhaul.policy.events import Assign, Fail, HandOver, PartFailed, RefreshCredentials, Revoke, Spawn
from bulkhaul.policy.layout import Layout, plan_download
from tests.unit.world import World

STEPS = 400

ODDS = {"add": 10, "work": 60, "progress": 15, "fail": 12, "die": 1, "late": 3, "time": 15, "abort": 1, "verified": 15}
"""How often each happens, relative to the others."""


def some_layout(rng: random.Random) -> Layout:
    """Return an object as bulk restores meet them: many small ones, some in parts, some with odd cuts."""
    match rng.randrange(5):
        case 0:
            return plan_download(rng.randint(5 * MIB, 60 * MIB), part_size_bytes=4 * MIB)
        case 1:
            cuts = sorted(rng.sample(range(1, 20 * MIB), 5))
            return plan_download(20 * MIB, part_size_bytes=4 * MIB, boundaries=(0, *cuts))
        case 2:
            return plan_download(rng.randint(0, 40 * KIB), part_size_bytes=KIB)
        case _:
            return plan_download(rng.randint(0, 300 * KIB))


def one_step(world: World, rng: random.Random) -> None:
    """Let one thing happen, if it can."""
    held = list(world.leases)
    match rng.choices(list(ODDS), list(ODDS.values()))[0]:
        case "add" if len(world.open) < 12:
            world.add(some_layout(rng))
        case "work" if held:
            world.done(rng.choice(held))
        case "progress" if held:
            lease = rng.choice(held)
            assign = world.leases[lease]
            world.heard(lease, rng.randint(0, assign.end - assign.start))
        case "fail" if held:
            assign = world.leases[rng.choice(held)]
            code = rng.choice(["NetworkError", "ServerError", "StallTimeout", "Throttled", "ExpiredCredentials"])
            error = ErrorInfo(code, "it failed", retry_after_s=rng.choice([0.0, 2.0]))
            world.failed(assign.lease, rng.randint(0, assign.end - assign.start), error)
        case "die" if world.workers:
            world.lose(rng.choice(list(world.workers)))
        case "late" if world.ended:
            worker, assign = rng.choice(world.ended)
            world.send(PartFailed(worker, assign.lease, 0, 0, ErrorInfo("NetworkError", "late")))
        case "time":
            world.speak()
            world.pass_time(rng.choice([0.01, 0.3, 3.0]))
        case "abort" if world.open:
            chosen = rng.choice(world.open)
            if not world.books[chosen].verifying:
                world.abort(chosen)
        case "verified":
            verify_one(world, rng)
    if world.refreshing is not None and rng.random() < 0.3:
        world.replace_credentials()
    if world.starting and rng.random() < 0.5:
        world.ready(world.starting[0])


def verify_one(world: World, rng: random.Random) -> None:
    """End the verification of some transfer; one in five finds a part wrong."""
    verifying = [transfer for transfer, book in world.books.items() if book.verifying]
    if not verifying:
        return
    transfer = rng.choice(verifying)
    n_parts = len(world.books[transfer].layout)
    if n_parts and rng.random() < 0.2:
        world.reject(transfer, rng.randrange(n_parts))
    else:
        world.close(transfer)


def bad_day(seed: int) -> World:
    """Return the world at the end of a bad day, after everything that was open has come to its end."""
    rng = random.Random(seed)
    world = World(workers=3, max_in_flight=9, respawns=20, rng=rng)
    for _ in range(STEPS):
        one_step(world, rng)
    world.finish()
    return world


@pytest.mark.parametrize("seed", range(12))
def test_a_bad_day_ends_with_every_object_verified_or_failed(seed: int) -> None:
    """Through hundreds of failures, deaths and late replies every invariant holds, and planned = ended."""
    outcomes = [book.outcome for book in bad_day(seed).books.values()]
    assert len(outcomes) == outcomes.count("verified") + outcomes.count("failed")
    assert outcomes.count("verified") > outcomes.count("failed")


def test_bad_days_hold_what_they_are_meant_to_try() -> None:
    """The runs are no fair weather: all kinds of instructions come, parts continue and are fetched anew."""
    worlds = [bad_day(seed) for seed in range(4)]
    seen = [one for world in worlds for one in world.seen]
    assert {type(one) for one in seen} >= {Assign, Fail, RefreshCredentials, Revoke, Spawn, HandOver}
    again = [one for one in seen if isinstance(one, Assign) and one.attempt > 1]
    assert any(one.crc for one in again)
    assert any(not one.crc for one in again)
    assert any(book.rejected and book.outcome == "verified" for world in worlds for book in world.books.values())
    assert sum(world.machine.late_events for world in worlds) > 10
