"""Connections are spread over the addresses of a host, and go round those that do not answer."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from bulkhaul.model.errors import ErrorInfo
from bulkhaul.model.settings import Timeouts
from bulkhaul.wire.addresses import Addresses, needs_no_lookup
from bulkhaul.wire.connections import Connections
from bulkhaul.wire.http1 import Connection
from bulkhaul.wire.transport import TransportError
from bulkhaul.wire.values import Target
from tests.servers.certificates import make_certificates
from tests.unit import network as network_module
from tests.unit.network import NAME, PATIENCE_S, FastLoop, Network, PlainLoop, Servers, run

ONE, TWO, THREE = "127.0.0.1", "127.0.0.2", "127.0.0.3"
SIX, SEVEN = "2001:db8::6", "2001:db8::7"


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> Network:
    """Return a network of one test."""
    new = Network()
    monkeypatch.setattr(network_module, "NETWORK", new)
    return new


def connections(ca_bundle: Path | None = None) -> Connections:
    """Return connections with a patience that no loaded machine uses up."""
    return Connections(Timeouts(connect_s=PATIENCE_S), Connection, ca_bundle=str(ca_bundle) if ca_bundle else None)


async def open_all(to: Connections, target: Target, count: int) -> None:
    """Open connections, one after the other, and close them."""
    for _ in range(count):
        (await to.open(target)).close()


async def unreached(to: Connections, target: Target) -> ErrorInfo:
    """Open a connection that cannot be made, and return what is told of it."""
    with pytest.raises(TransportError) as caught:
        await to.open(target)
    info = caught.value.info
    assert (info.code, info.unreached) == ("NetworkError", True)
    assert info.message == "the endpoint cannot be reached; check --endpoint-url and the network"
    return info


@pytest.mark.parametrize("loop", [PlainLoop, FastLoop])
def test_connections_are_spread_evenly(network: Network, loop: type[asyncio.AbstractEventLoop]) -> None:
    """Every address has the same share, of one lookup; and what is sent leaves at once."""
    network.names[NAME] = [ONE, TWO, THREE]

    async def story() -> None:
        async with Servers().at(ONE, TWO, THREE) as servers:
            ours = connections()
            made = await asyncio.gather(*(ours.open(servers.target()) for _ in range(12)))
            for one in made:
                assert one._transport is not None
                sock = one._transport.get_extra_info("socket")
                assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
                one.close()
            await servers.settled(12)
            assert servers.seen == {ONE: 4, TWO: 4, THREE: 4}
            assert network.lookups == [NAME]

    run(story, loop)


def test_each_host_has_turns_of_its_own(network: Network) -> None:
    """Two hosts that are used by turns do not share out each other's addresses."""
    network.names.update({NAME: [ONE, TWO], "other.localhost": [ONE, TWO]})

    async def story() -> None:
        async with Servers().at(ONE, TWO) as servers:
            ours = connections()
            for _ in range(2):
                await open_all(ours, servers.target(), 1)
                await open_all(ours, servers.target("other.localhost"), 1)
            assert sorted(network.tried[::2]) == sorted(network.tried[1::2]) == [ONE, TWO]

    run(story)


def test_workers_begin_at_different_addresses(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers with one connection each are spread, too."""
    network.names[NAME] = [ONE, TWO, THREE]

    async def story() -> None:
        async with Servers().at(ONE, TWO, THREE) as servers:
            for pid in (100, 101, 102):
                monkeypatch.setattr(os, "getpid", lambda pid=pid: pid)
                await open_all(connections(), servers.target(), 1)
            assert sorted(network.tried) == [ONE, TWO, THREE]

    run(story)


def test_a_lookup_lives_for_five_seconds(network: Network) -> None:
    """S3's addresses change, and its records live so long; the turns go on."""
    network.names[NAME] = [ONE, TWO]

    async def story() -> None:
        async with Servers().at(ONE, TWO) as servers:
            ours = connections()
            await open_all(ours, servers.target(), 1)
            network.ahead_s += 4.0
            await open_all(ours, servers.target(), 2)
            assert len(network.lookups) == 1
            network.ahead_s += 1.1
            await open_all(ours, servers.target(), 1)
            assert len(network.lookups) == 2
            assert sorted(network.tried) == [ONE, ONE, TWO, TWO]

    run(story)


def test_a_failed_lookup_is_told_and_not_kept(network: Network) -> None:
    """A name that is not found is the network's failure; the next connection asks again."""
    network.names[NAME] = socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    async def story() -> None:
        async with Servers().at(ONE) as servers:
            ours = connections()
            info = await unreached(ours, servers.target())
            assert info.cause == "gaierror: [Errno -2] Name or service not known"
            network.names[NAME] = []
            with pytest.raises(TransportError, match="cannot be reached"):
                await ours.open(servers.target())
            network.names[NAME] = [ONE]
            await open_all(ours, servers.target(), 1)

    run(story)


def test_one_that_gives_up_leaves_the_lookup_to_the_others(network: Network) -> None:
    """The first one's cancellation does not end it."""
    network.names[NAME] = [ONE]

    async def story() -> None:
        async with Servers().at(ONE) as servers:
            ours = connections()
            first, second = (asyncio.create_task(ours.open(servers.target())) for _ in range(2))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            first.cancel()
            (await second).close()
            assert first.cancelled()
            assert network.lookups == [NAME]

    run(story)


@pytest.mark.parametrize("loop", [PlainLoop, FastLoop])
def test_a_dead_address_is_gone_round(network: Network, loop: type[asyncio.AbstractEventLoop]) -> None:
    """It is tried once; then the others share what comes, evenly."""
    network.names[NAME] = [ONE, TWO, THREE]

    async def story() -> None:
        async with Servers().at(ONE, THREE) as servers:
            ours = connections()
            while TWO not in network.tried:
                await open_all(ours, servers.target(), 1)
            network.tried.clear()
            await open_all(ours, servers.target(), 8)
            assert Counter(network.tried) == {ONE: 4, THREE: 4}

    run(story, loop)


def test_an_address_that_is_back_is_used_again(network: Network) -> None:
    """It is avoided for ten seconds."""
    network.names[NAME] = [ONE, TWO]
    network.failing[TWO] = ConnectionRefusedError(errno.ECONNREFUSED, "refused")

    async def story() -> None:
        async with Servers().at(ONE, TWO) as servers:
            ours = connections()
            await open_all(ours, servers.target(), 2)
            network.failing.clear()
            network.ahead_s += 9.0
            network.tried.clear()
            await open_all(ours, servers.target(), 2)
            assert network.tried == [ONE, ONE]
            network.ahead_s += 1.1
            await open_all(ours, servers.target(), 2)
            assert sorted(network.tried[2:]) == [ONE, TWO]

    run(story)


def test_a_silent_address_is_followed_by_the_next(network: Network) -> None:
    """It may take half of the time that is left, and then comes last."""
    network.names[NAME] = [ONE, TWO]
    network.failing[TWO] = None

    async def story() -> None:
        async with Servers().at(ONE) as servers:
            ours = connections()
            while TWO not in network.tried:
                await open_all(ours, servers.target(), 1)
            assert network.tried[-2:] == [TWO, ONE]
            await open_all(ours, servers.target(), 3)
            assert network.tried[-3:] == [ONE, ONE, ONE]

    run(story)


def test_a_slow_address_has_the_time_that_the_others_leave(network: Network) -> None:
    """IPv4 that is slow is not given up for IPv6 that this machine has no route to."""
    network.names[NAME] = [ONE, SIX]
    network.failing.update({ONE: None, SIX: OSError(errno.ENETUNREACH, "Network is unreachable")})

    async def story() -> None:
        async with Servers().at(ONE) as servers:
            ours = connections()
            opening = asyncio.create_task(ours.open(servers.target()))
            await network.silent.wait()
            del network.failing[ONE]
            (await opening).close()
            assert network.tried == [ONE, SIX, ONE]

    run(story)


def test_all_silent_is_a_timeout(network: Network) -> None:
    """The error tells the whole time, as for one address."""
    network.names[NAME] = [ONE, TWO, THREE]
    network.failing.update({ONE: None, TWO: None, THREE: None})

    async def story() -> None:
        servers = Servers()
        servers.port = 80
        with pytest.raises(TransportError) as caught:
            await connections().open(servers.target())
        info = caught.value.info
        assert (info.code, info.unreached) == ("NetworkError", True)
        assert info.message == f"no connection to {NAME} within 30 s"
        assert len(network.tried) >= 2

    run(story)


@pytest.mark.parametrize("loop", [PlainLoop, FastLoop])
def test_all_dead_is_told_as_refused(network: Network, loop: type[asyncio.AbstractEventLoop]) -> None:
    """Each is tried once. As the host is back, all of its addresses are used, as if nothing had been."""
    network.names[NAME] = [ONE, TWO]

    async def story() -> None:
        async with Servers().at(ONE) as servers:
            pass
        ours = connections()
        info = await unreached(ours, servers.target())
        assert info.cause.startswith("ConnectionRefusedError: [Errno 111]")
        assert sorted(network.tried) == [ONE, TWO]
        network.tried.clear()
        async with servers.at(ONE, TWO):
            await open_all(ours, servers.target(), 4)
            assert Counter(network.tried) == {ONE: 2, TWO: 2}

    run(story, loop)


@pytest.mark.parametrize("order", [(SIX, SEVEN, ONE, TWO), (ONE, TWO, SIX, SEVEN)])
def test_the_resolver_s_family_comes_first_and_then_the_other(network: Network, order: Sequence[str]) -> None:
    """IPv6 that leads nowhere costs one attempt, not one an address; where IPv4 comes first, IPv6 is not used."""
    network.names[NAME] = list(order)
    network.failing.update(dict.fromkeys((SIX, SEVEN), OSError(errno.ENETUNREACH, "Network is unreachable")))

    async def story() -> None:
        async with Servers().at(ONE, TWO) as servers:
            ours = connections()
            await open_all(ours, servers.target(), 1)
            families = [":" in one for one in network.tried]
            assert families == ([True, False] if order[0] == SIX else [False])
            await open_all(ours, servers.target(), 5)
            spread = Counter(one for one in network.tried if one in (ONE, TWO))
            assert min(spread.values()) >= 2

    run(story)


def test_too_many_open_files_is_this_machine_s_failure(network: Network) -> None:
    """No other address is tried for it."""
    network.names[NAME] = [ONE, TWO]
    network.failing.update(dict.fromkeys((ONE, TWO), OSError(errno.EMFILE, "Too many open files")))

    async def story() -> None:
        with pytest.raises(TransportError) as caught:
            await connections().open(Servers().target())
        assert caught.value.info.code == "LocalError"
        assert len(network.tried) == 1

    run(story)


@pytest.mark.parametrize("loop", [PlainLoop, FastLoop])
def test_tls_verifies_the_name(network: Network, tmp_path: Path, loop: type[asyncio.AbstractEventLoop]) -> None:
    """The certificate is the name's, whichever address shows it; another name's is refused, and nothing stays open."""
    certificates = make_certificates(tmp_path, NAME)
    network.names.update({NAME: [TWO], "objects.test": [TWO]})

    async def story() -> None:
        async with Servers().at(TWO, tls=certificates.server_context()) as servers:
            ours = connections(certificates.ca_bundle)
            await open_all(ours, servers.target(scheme="https"), 1)
            with pytest.raises(TransportError, match="certificate is not trusted"):
                await ours.open(servers.target("objects.test", scheme="https"))
            assert network.tried == [TWO, TWO]

    run(story, loop)


@pytest.mark.parametrize("loop", [PlainLoop, FastLoop])
@pytest.mark.parametrize("host", [ONE, "localhost"])
def test_this_machine_is_connected_to_as_ever(host: str, loop: type[asyncio.AbstractEventLoop]) -> None:
    """Also where only 127.0.0.1 is listened at."""

    async def story() -> None:
        async with Servers().at(ONE) as servers:
            await open_all(connections(), servers.target(host), 1)
            await servers.settled(1)

    run(story, loop)


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("::1", True),
        ("2001:db8::6", True),
        ("localhost", True),
        ("s3.eu-west-1.amazonaws.com", False),
        ("bucket.localhost", False),
        ("10.example", False),
        ("minio", False),
    ],
)
def test_only_names_are_looked_up(host: str, expected: bool) -> None:
    """An address is itself, and this machine has no load to spread."""
    assert needs_no_lookup(host) is expected


@pytest.mark.parametrize("loop", [PlainLoop, FastLoop])
def test_a_cancelled_attempt_closes_its_socket(network: Network, loop: type[asyncio.AbstractEventLoop]) -> None:
    """The peer's queue is full, so that nothing comes back."""
    network.names[NAME] = [ONE]

    async def story() -> None:
        full = socket.create_server((ONE, 0), backlog=0)
        filling = [socket.socket() for _ in range(4)]
        for one in filling:
            one.setblocking(False)
            one.connect_ex(full.getsockname())
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await Addresses().connect(NAME, full.getsockname()[1], timeout_s=PATIENCE_S)
        await asyncio.sleep(0.05)
        for one in (full, *filling):
            one.close()

    run(story, loop)
