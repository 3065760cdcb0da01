"""Tables of what was measured, what the model says of it, and of clusters."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from rich.table import Table

from benchmarks.scale import model

if TYPE_CHECKING:
    from rich.console import Console

# What the model is asked: rows, and machines.
SIZES, NODES = (1e8, 1e9), (16, 128)


def add_model(results: dict[str, Any], cores: int) -> None:
    """Add what the model predicts to what was measured, as far as that is there."""
    found: dict[str, Any] = {}
    if "disk" in results:
        runs, whole, once = (results["disk"][part] for part in ("runs", "whole", "once"))
        rates = model.rates_of(runs, cores)
        found["rates"] = vars(rates)
        found["disk"] = model.predict_disk(whole, rates, once["bytes"] / once["cold"])
    if "driver" in results:
        by_k: dict[int, list[dict[str, Any]]] = {}
        for run in results["driver"]["runs"]:
            by_k.setdefault(run["k"], []).append(run)
        # The last is what is predicted, from those with fewer shards.
        drivers = {k: model.driver_of(runs[:-1]) for k, runs in by_k.items()}
        found["drivers"] = {k: vars(driver) for k, driver in drivers.items()}
        found["driver"] = {
            k: model.predict_driver(drivers[k], runs[-1]["shards"]) for k, runs in by_k.items()
        }
    if {"ray", "driver"} <= results.keys():
        ray = results["ray"]
        found["ray"] = model.predict_ray(
            ray["median_ours"], drivers[ray["k"]], ray["shards"], ray["latency"], ray["message"]
        )
    if {"disk", "ray", "driver"} <= results.keys():
        ray, counts = results["ray"], results["disk"]["whole"]["stats"]
        share = counts["bytes_read"] / counts["bytes_total"]
        found["clusters"] = [
            {"n": n, "k": k, "nodes": nodes}
            | model.project(
                n,
                results["disk"]["whole"]["row_bytes"],
                nodes,
                rates,
                share,
                by_k[k][-1]["stats"]["passes"],
                driver,
                ray["latency"],
                ray["message"],
            )
            for k, driver in drivers.items()
            for n in SIZES
            for nodes in NODES
        ]
    results["model"] = found


def show(results: dict[str, Any], console: Console) -> None:
    """Print all that is there."""
    if "disk" in results:
        _disk(results["disk"], results["model"], console)
    if "ray" in results:
        _ray(results["ray"], results["model"], console)
    if "driver" in results:
        _driver(results["driver"], results["model"], console)
    if "clusters" in results["model"]:
        _clusters(results["model"]["clusters"], console)


def _disk(found: dict[str, Any], said: dict[str, Any], console: Console) -> None:
    whole, once = found["whole"], found["once"]
    stats = whole["stats"]
    console.rule("(a) a pool on disk")
    console.print(
        f"{whole['n']:,} rows, {once['bytes'] / 1e9:.2f} GB, k = {whole['k']:,}, memory limit "
        f"{whole['limit'] / 1e6:,.0f} MB"
    )
    table = Table("", "seconds", "predicted", "GB read", "times the files")
    names = {
        "open": "opening: reading once, checks, norms",
        "select": f"selection: {stats['passes']} passes",
    }
    for kind, name in names.items():
        seconds, n_bytes = whole[f"seconds_{kind}"], whole[f"read_{kind}"]
        predicted = said["disk"][kind]
        table.add_row(
            name,
            f"{seconds:.1f}",
            f"{predicted:.1f}",
            f"{n_bytes / 1e9:.2f}",
            f"{n_bytes / once['bytes']:.2f}",
        )
    for name in ("cold", "warm"):
        text = {"cold": "the files once, from the disk", "warm": "the same, from memory"}[name]
        table.add_row(text, f"{once[name]:.1f}", "", f"{once['bytes'] / 1e9:.2f}", "1.00")
    console.print(table)
    whole_seconds = whole["seconds_open"] + whole["seconds_select"]
    console.print(
        f"{whole_seconds:.1f} s in all, {whole_seconds / once['cold']:.1f} × reading the files "
        f"once. Resident: {whole['peak'] / 1e6:,.0f} MB at most (VmHWM), "
        f"{whole['before'] / 1e6:,.0f} MB of them before the pool."
    )
    passes = Table("pass", "after pick", "GB read", "share of the files")
    before = 0.0
    for number, row in enumerate(whole["passes"], start=1):
        read = row["bytes_read"] - before
        before = row["bytes_read"]
        share = f"{read / once['bytes']:.1%}"
        passes.add_row(str(number), f"{row['picks']:,}", f"{read / 1e9:.2f}", share)
    console.print(passes)


def _ray(found: dict[str, Any], said: dict[str, Any], console: Console) -> None:
    console.rule("(b) two shards on Ray against memory")
    predicted = f", {said['ray']:.2f} s predicted" if "ray" in said else ""
    console.print(
        f"{found['n']:,} rows, k = {found['k']:,}: {found['median_ours']:.2f} s in memory, "
        f"{found['median_theirs']:.2f} s on Ray{predicted}; ratio {found['ratio']:.2f}, allowed "
        f"{found['allowed']}: {'reached' if found['reached'] else '[red]missed[/]'}. "
        f"{'The same batches' if found['same_batches'] else '[red]Other batches[/]'}. Actors up "
        f"and their rows read in {found['seconds_up']:.1f} s. A call of one shard takes "
        f"{found['latency'] * 1e3:.2f} ms, each further shard {found['message'] * 1e3:.2f} ms."
    )


def _driver(found: dict[str, Any], said: dict[str, Any], console: Console) -> None:
    console.rule("(c) the driver's messages")
    columns = ("k", "shards", "passes", "rounds", "messages", "a pick", "sent a pick", "received")
    table = Table(*columns, "own work, ms a pick")
    for run in found["runs"]:
        k = run["k"]
        table.add_row(
            f"{k:,}",
            str(run["shards"]),
            str(run["stats"]["passes"]),
            str(run["rounds"]),
            str(run["messages"]),
            f"{run['messages'] / k:.3f}",
            f"{run['sent'] / k:,.0f} B",
            f"{run['received'] / k:,.0f} B",
            f"{(run['seconds'] - run['waited']) / k * 1e3:.2f}",
        )
    console.print(table)
    for k, row in said["driver"].items():
        console.print(
            f"k = {k:,}, the last, predicted from those before: {row['messages']:,.0f} messages, "
            f"{row['sent'] / k:,.0f} B sent and {row['received'] / k:,.0f} B received a pick."
        )


def _clusters(rows: list[dict[str, Any]], console: Console) -> None:
    node = model.NODE
    console.rule("what the model says of clusters")
    console.print(
        f"Nodes of {node.cores} cores like those here, disks of {node.disk / 1e9:g} GB/s, "
        f"networks of {node.network * 8 / 1e9:g} Gbit/s: assumed."
    )
    table = Table("rows", "k", "nodes", "opening s", "passes s", "driver s", "total s", "driver")
    table.add_column("nodes where driver = passes")
    for row in rows:
        table.add_row(
            power_of_ten(row["n"]),
            f"{row['k']:,}",
            str(row["nodes"]),
            f"{row['opening']:.1f}",
            f"{row['passes']:.1f}",
            f"{row['driver']:.2f}",
            f"{row['total']:.1f}",
            f"{row['driver_share']:.0%}",
            f"{row['balance']:,.0f}",
        )
    console.print(table)


def power_of_ten(n: float) -> str:
    """Return 1e8 as 10⁸."""
    digits = str(round(math.log10(n))).translate(str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"10{digits}"
