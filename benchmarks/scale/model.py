"""A cost model: passes × bytes over bandwidth, and what the driver sends, receives and waits for.

    seconds = n b / (S min(r_open, disk))      opening: each shard reads its rows once, from disk
            + Σ over passes of bytes / (S r)   passes: what they read, at the rate they manage
            + k c                              the driver's own work for each pick
            + rounds l + messages m            calls: one latency a round, one message a shard
            + driver bytes / w                 what goes through the driver's network card

n rows of b bytes in S shards, k picks. All constants are measured: r_open and r on smaller pools
than those that are predicted, the disk by reading the files and no more, c, rounds, messages and
bytes on processes, l and m on Ray.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Node:
    """A machine that the model is asked about.

    Parameters
    ----------
    cores : int
        Cores that passes run on.
    disk : float
        Bytes a second that its disk delivers.
    network : float
        Bytes a second of its network card.
    """

    cores: int
    disk: float
    network: float


# What clusters are made of; nothing here is measured.
NODE = Node(cores=16, disk=2e9, network=1.25e9)


@dataclass(frozen=True)
class Rates:
    """What was measured on one machine with some cores.

    Parameters
    ----------
    cores : int
        How many.
    opening, passing : float
        Bytes a second that are read and worked on, by all cores.
    """

    cores: int
    opening: float
    passing: float


def rates_of(runs: list[dict[str, Any]], cores: int) -> Rates:
    """Return the rates of selections from files, the median over the runs."""
    opening = [run["read_open"] / run["seconds_open"] for run in runs]
    passing = [run["read_select"] / run["seconds_select"] for run in runs]
    return Rates(cores, statistics.median(opening), statistics.median(passing))


def predict_disk(run: dict[str, Any], rates: Rates, disk: float) -> dict[str, float]:
    """Predict opening and selection of a run, of which only counts are looked at.

    Opening finds nothing in the system's cache of files, so that it is no faster than the disk, in
    bytes a second; passes find what fits in there, which here is all.
    """
    whole = run["n"] * run["row_bytes"]
    return {
        "open": whole / min(rates.opening, disk),
        "select": run["stats"]["bytes_read"] / rates.passing,
    }


@dataclass(frozen=True)
class Driver:
    """What the driver's calls come to, by the number of shards S, for one k.

    Parameters
    ----------
    k : int
        How many picks.
    rounds : float
        Times that it waits for answers.
    messages, sent : float
        Messages, and bytes sent, for each shard.
    received, received_a_shard : float
        Bytes that are received in all cases, and more for each shard.
    own : float
        Seconds of its own work.
    """

    k: int
    rounds: float
    messages: float
    sent: float
    received: float
    received_a_shard: float
    own: float


def driver_of(runs: list[dict[str, Any]]) -> Driver:
    """Fit the driver's part to runs with different numbers of shards, by straight lines."""
    few, many = min(runs, key=_shards), max(runs, key=_shards)
    more = many["shards"] - few["shards"]
    received = (many["received"] - few["received"]) / more
    return Driver(
        k=few["k"],
        rounds=statistics.median(run["rounds"] for run in runs),
        messages=statistics.median(run["messages"] / run["shards"] for run in runs),
        sent=statistics.median(run["sent"] / run["shards"] for run in runs),
        received=few["received"] - few["shards"] * received,
        received_a_shard=received,
        own=statistics.median(run["seconds"] - run["waited"] for run in runs),
    )


def predict_driver(driver: Driver, shards: int) -> dict[str, float]:
    """Predict messages and bytes for a number of shards."""
    return {
        "messages": driver.messages * shards,
        "sent": driver.sent * shards,
        "received": driver.received + driver.received_a_shard * shards,
    }


def predict_ray(
    memory_seconds: float, driver: Driver, shards: int, latency: float, message: float
) -> float:
    """Predict a selection on Ray from one in memory on as many cores."""
    calls = driver.rounds * latency + driver.messages * shards * message
    return memory_seconds + calls


def project(
    n: float,
    row_bytes: int,
    nodes: int,
    rates: Rates,
    share: float,
    passes: int,
    driver: Driver,
    latency: float,
    message: float,
    node: Node = NODE,
) -> dict[str, float]:
    """Say what a selection would take on a cluster, with a shard a node.

    Parameters
    ----------
    n, row_bytes : float, int
        The pool.
    nodes : int
        How many machines.
    rates : Rates
        Of the machine that was measured: cores of nodes are taken to be as fast.
    share : float
        Of the pool's bytes, what a pass reads.
    passes : int
        How many passes.
    driver : Driver
        The driver's part.
    latency, message : float
        Seconds of a round of calls, and of each message in it.
    node : Node
        What the machines are like.
    """
    faster = node.cores / rates.cores
    whole = n * row_bytes
    opening = whole / nodes / min(rates.opening * faster, node.disk)
    passing = passes * share * whole / nodes / min(rates.passing * faster, node.disk)
    counts = predict_driver(driver, nodes)
    seconds = {
        "opening": opening,
        "passes": passing,
        "own": driver.own,
        "calls": driver.rounds * latency + counts["messages"] * message,
        "bytes": (counts["sent"] + counts["received"]) / node.network,
    }
    whole_driver = seconds["own"] + seconds["calls"] + seconds["bytes"]
    return {
        **seconds,
        "total": sum(seconds.values()),
        "driver": whole_driver,
        "driver_share": whole_driver / (whole_driver + passing),
        "balance": _balance(passing * nodes, driver, latency, message, node),
    }


def _balance(passing: float, driver: Driver, latency: float, message: float, node: Node) -> float:
    """Return the number of nodes beyond which the driver takes longer than the passes."""
    fixed = driver.own + driver.rounds * latency + driver.received / node.network
    each = driver.messages * message + (driver.sent + driver.received_a_shard) / node.network
    # passing / S = fixed + each S
    return (-fixed + (fixed * fixed + 4 * each * passing) ** 0.5) / (2 * each)


def _shards(run: dict[str, Any]) -> int:
    return int(run["shards"])
