"""Decides what limited a run of a benchmark, by what its requests waited for and what the client used, and words it."""

from __future__ import annotations

import msgspec

from bulkhaul.policy.sizes import format_size

THROTTLED_SHARE = 0.02
"""From this share of refusals for load on, they are the limit: the service has said so itself."""

FAILED_SHARE = 0.5
"""From this share of failures on there is nothing else to tell."""

FULL_CORE = 0.85
"""From this share of a core on a process is taken to be full: its loop then comes late to what is due."""

LATE_S = 0.005
"""A loop that comes less late than this on average is taken to be in time: its timers have steps of a millisecond."""

WRITING_SHARE = 0.25
"""Who writes for less of its time does not wait for a disk, whatever the disk gave alone."""

RESENT_SHARE = 0.01
"""From this share of segments that were sent again on, losses decide how fast a connection is.

Source: Mathis et al., "The macroscopic behavior of the TCP congestion avoidance algorithm", 1997: at 1 % and 30 ms a
connection carries 0.6 MB/s.
"""

RESENT = 10
"""Fewer segments that were sent again than this tell nothing."""

LARGE_SHARE = 0.5
"""What takes this share of the time of requests is what to look at."""

LIKE_FLOOR = 0.75
"""A connection that brings this share of what one brought alone is as fast as it gets."""

QUEUEING = 2.0
"""With so many times the time to first byte of an idle connection, a service has more to do than it can at once."""

MOST_CONNECTIONS = 10_000


class Observed(msgspec.Struct, frozen=True, kw_only=True):
    """What a run was like, within its steady part.

    Attributes:
        requests, failed, throttled: how many; throttled ones failed because the service refused them for load.
        refusal: status and code of most of these, such as ``503 SlowDown``.
        connections: requests in flight on average.
        first_byte_s: mean time from the beginning of a request to the first byte of its reply.
        body_s: mean time from there to its end.
        disk_s: of that, mean time in which bodies were written to a disk.
        disk_busy: share of its time for which a worker wrote, the one that did most; its other requests wait for that.
        queued_s: mean time for which requests that were due waited for a connection.
        queue_grows: more of them waited at the end than at the beginning.
        bytes_per_s: all connections together.
        body_bytes_per_s: mean of a connection while a body came, 0 if there were none to speak of.
        written_bytes_per_s: of it, what was written to a disk.
        busiest: name of the busiest process of the client.
        largest_cpu: share of a core that it used.
        largest_starved: share of the time for which it could have gone on, and had no CPU.
        latest: name of the worker whose loop came latest.
        lag_s: by how much it did on average.
        client_cpu: cores that all its processes used.
        machine_cpu: cores that everything on this machine used, 0 if nobody knows.
        cores, machine_cores: that the client may use, and that there are.
        floor_first_byte_s, floor_connection_bytes_per_s: over one connection, alone; 0 if nobody knows.
        floor_sockets_bytes_per_s: over several at once; 0 if nobody knows.
        floor_disk_bytes_per_s: of writes alone; 0 if nothing is written.
        segments, retransmits: TCP segments with data that the client sent, and those that it sent again.
        rate: requests a second that were asked for; 0 in a closed loop.
    """

    requests: int
    failed: int
    throttled: int
    refusal: str
    connections: float
    first_byte_s: float
    body_s: float
    disk_s: float
    disk_busy: float
    queued_s: float
    queue_grows: bool
    bytes_per_s: float
    body_bytes_per_s: float
    busiest: str
    largest_cpu: float
    largest_starved: float
    latest: str
    lag_s: float
    client_cpu: float
    machine_cpu: float
    cores: int
    machine_cores: int
    floor_first_byte_s: float = 0.0
    floor_connection_bytes_per_s: float = 0.0
    floor_sockets_bytes_per_s: float = 0.0
    floor_disk_bytes_per_s: float = 0.0
    written_bytes_per_s: float = 0.0
    segments: int = 0
    retransmits: int = 0
    rate: float = 0.0


def limit_of(seen: Observed) -> tuple[str, str, dict[str, float]]:
    """Return the name of what limited the run, a sentence for people, and what took which share of a request's time."""
    whole_s = seen.queued_s + seen.first_byte_s + seen.body_s
    shares = {
        "waiting for a connection": _part(seen.queued_s, whole_s),
        "waiting for the first byte": _part(seen.first_byte_s, whole_s),
        "receiving or sending the body": _part(max(0.0, seen.body_s - seen.disk_s), whole_s),
        "writing to the disk": _part(min(seen.disk_s, seen.body_s), whole_s),
    }
    name, sentence = _decided(seen, shares)
    return name, sentence, shares


def _decided(seen: Observed, shares: dict[str, float]) -> tuple[str, str]:
    asked = seen.requests + seen.failed
    if not asked:
        return "unknown", "no request ended, so nothing can be said"
    if seen.failed - seen.throttled >= FAILED_SHARE * asked:
        return "failures", f"{_percent(seen.failed / asked)} of the requests failed; see the failures"
    if seen.throttled >= THROTTLED_SHARE * asked:
        return "throttling", (
            f"limited by the store, which refuses {_percent(seen.throttled / asked)} of the requests with"
            f" {seen.refusal}; fewer connections or a lower rate would be refused less"
        )
    if seen.disk_busy >= LARGE_SHARE or (seen.disk_busy >= WRITING_SHARE and _like_disk_alone(seen)):
        return _of_disk(seen)
    if seen.client_cpu >= FULL_CORE * seen.cores or seen.largest_cpu + seen.largest_starved >= FULL_CORE:
        return _of_cpu(seen)
    if seen.lag_s >= max(LATE_S, LARGE_SHARE * (seen.first_byte_s + seen.body_s)):
        if _others_fill(seen):
            return _of_cpu(seen)
        return "event loop", (
            f"limited by the client's event loop: that of {seen.latest} comes {1000 * seen.lag_s:.0f} ms late on"
            f" average, a request takes {1000 * (seen.first_byte_s + seen.body_s):.0f} ms; something other than CPU"
            " holds it up, such as swapping, or a limit of CPU time"
        )
    held = not seen.queue_grows and shares["waiting for a connection"] < LARGE_SHARE
    if seen.rate and held:
        return "rate asked for", f"limited by nothing but the rate that was asked for, {seen.rate:g} requests a second"
    if seen.retransmits >= max(RESENT, RESENT_SHARE * seen.segments):
        share = _percent(seen.retransmits / max(seen.segments, 1))
        return "network", (
            f"limited by losses of the network: {share} of the TCP segments that the client sent were sent again; look"
            " for a bad or overfull link on the way"
        )
    if seen.rate:
        share = _percent(shares["waiting for a connection"])
        return "rate not held", (
            f"limited by what {seen.connections:.0f} connections carry: they did not do all of the {seen.rate:g}"
            f" requests a second that were due, and {share} of the time of a request was waiting for one; a faster"
            " store, or more connections, would hold that rate"
        )
    return _of_service(seen, shares)


def _like_disk_alone(seen: Observed) -> bool:
    """Return whether the disk took what it took alone; what is written faster went to memory."""
    alone, here = seen.floor_disk_bytes_per_s, seen.written_bytes_per_s
    return LIKE_FLOOR * alone <= here <= alone / LIKE_FLOOR if alone else False


def _of_disk(seen: Observed) -> tuple[str, str]:
    alone, here = seen.floor_disk_bytes_per_s, seen.written_bytes_per_s
    rates = f" and writes {format_size(here)}/s, where writes alone came to {format_size(alone)}/s" if alone else ""
    return "disk", (
        f"limited by the disk that bodies are written to: a worker waits for it {_percent(seen.disk_busy)} of its"
        f" time{rates}; throw the bodies away, or write to a faster one"
    )


def _of_cpu(seen: Observed) -> tuple[str, str]:
    """Say whose CPU time it is that is missing."""
    full = seen.client_cpu >= FULL_CORE * seen.cores
    if not full and (seen.largest_starved > seen.largest_cpu or _others_fill(seen)):
        others = max(0.0, seen.machine_cpu - seen.client_cpu)
        return "machine CPU", (
            f"limited by the CPU of this machine: the client took {seen.client_cpu:.1f} cores and others {others:.1f}"
            f" of {seen.machine_cores}, such as a server that runs here, too"
        )
    # The coordinator is one process, whatever there is of workers.
    helps = "a faster core" if seen.busiest == "coordinator" and not full else "more workers or cores"
    return "client CPU", (
        f"limited by the client's CPU: its busiest process, {seen.busiest}, took {_percent(seen.largest_cpu)} of a"
        f" core, all of them {seen.client_cpu:.1f} of {seen.cores}; {helps} would help"
    )


def _of_service(seen: Observed, shares: dict[str, float]) -> tuple[str, str]:
    body, first = shares["receiving or sending the body"], shares["waiting for the first byte"]
    if body > first:
        alone, here = seen.floor_connection_bytes_per_s, seen.body_bytes_per_s
        rate = f"{format_size(here)}/s a connection"
        if alone and here < LIKE_FLOOR * alone:
            if _others_fill(seen):
                return _of_cpu(seen)
            return "network", (
                f"limited by what all connections share, the network or the service: {format_size(seen.bytes_per_s)}/s"
                f" in all, {rate}, where one alone brought"
                f" {format_size(alone)}/s; more connections would not help"
            )
        return "connection rate", (
            f"limited by the rate of a connection: {_percent(body)} of the time of a request is its body, at {rate};"
            f" {_more(seen)}"
        )
    floor_s = seen.floor_first_byte_s
    if floor_s and seen.first_byte_s > QUEUEING * floor_s:
        if _others_fill(seen):
            return _of_cpu(seen)
        return "first byte", (
            f"limited by the store, which is asked for more than it can do at once: its first byte comes after"
            f" {1000 * seen.first_byte_s:.0f} ms, over one idle connection after {1000 * floor_s:.0f} ms; more"
            " connections would only wait longer"
        )
    if not floor_s and _others_fill(seen):  # as of PUTs, whose first byte nobody can probe
        return _of_cpu(seen)
    return "first byte", (
        f"limited by the store's time to first byte: {_percent(first)} of the time of a request is waiting for it;"
        f" {_more(seen)}"
    )


def _others_fill(seen: Observed) -> bool:
    """Return whether this machine has no CPU left, and others took most of it, such as a server that runs here."""
    full = seen.machine_cpu >= FULL_CORE * seen.machine_cores
    return full and seen.machine_cpu - seen.client_cpu > seen.client_cpu


def _more(seen: Observed) -> str:
    """Say up to how many connections more of them would help, or what is already full."""
    others = max(0.0, seen.machine_cpu - seen.client_cpu)
    full = {
        "the client has no CPU left for more": seen.client_cpu / (FULL_CORE * seen.cores),
        f"this machine has no CPU left for more: the client took {seen.client_cpu:.1f} cores and others {others:.1f}"
        f" of {seen.machine_cores}": seen.machine_cpu / (FULL_CORE * seen.machine_cores),
        f"there are {seen.connections:.0f} already": seen.connections / MOST_CONNECTIONS,
    }
    if seen.floor_sockets_bytes_per_s and seen.bytes_per_s > seen.floor_sockets_bytes_per_s:
        alone = f"{format_size(seen.floor_sockets_bytes_per_s)}/s"
        full[f"they bring {format_size(seen.bytes_per_s)}/s, several sockets alone brought {alone}"] = 1.0
    why, share = max(full.items(), key=lambda one: one[1])
    most = seen.connections / share
    if most < 1.2 * seen.connections:
        return f"more connections would not help, as {why}"
    digits = 10 ** max(0, len(str(int(most))) - 1)
    return f"more connections would help up to about {round(most / digits) * digits}"


def _part(one: float, whole: float) -> float:
    return round(one / whole, 4) if whole > 0 else 0.0


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
