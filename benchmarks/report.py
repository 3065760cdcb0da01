"""What was measured, as tables on the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.table import Table

from benchmarks.comparisons import FLOOR

if TYPE_CHECKING:
    from rich.console import Console


def show(results: dict[str, Any], console: Console) -> None:
    """Print every section that was measured."""
    rows = results.get("comparisons", [])
    targets = [row for row in rows if row.get("required") is not None]
    others = [row for row in rows if row.get("required") is None]
    if targets:
        console.print(_comparisons("What is to be reached", targets))
    if others:
        console.print(_comparisons("More comparisons", others))
    if rows:
        console.print(_counters(rows))
    if "small" in results:
        console.print(_small(results["small"]))
    if "memory" in results:
        console.print(_memory(results["memory"]))
    if "scaling" in results:
        console.print(_scaling(results["scaling"]))
    if "startup" in results:
        console.print(_startup(results["startup"]))
    if "extraction" in results:
        console.print(_extraction(results["extraction"]))
    if "gpu" in results:
        console.print(_gpu(results["gpu"]))
    if "loop" in results:
        console.print(_loop(results["loop"]))


def _comparisons(title: str, rows: list[dict[str, Any]]) -> Table:
    table = Table(title=title)
    table.add_column("pool")
    table.add_column("n", justify="right")
    table.add_column("k", justify="right")
    table.add_column("against")
    for name in ("labelnext", "the other", "required", "measured"):
        table.add_column(name, justify="right")
    table.add_column("reached")
    for row in rows:
        floor = row["against"] == FLOOR
        start = [row["pool"], f"{row['n'] or 0:,}", f"{row['k']:,}", row["against"]]
        if "not_run" in row:
            table.add_row(*start, "", "", "", row["not_run"])
            continue
        star = " *" if row["extrapolated_from"] else ""
        required = row["required"]
        table.add_row(
            *start,
            duration(row["median_ours"]),
            duration(row["median_theirs"]) + star,
            "" if required is None else f"{'≤' if floor else '≥'} {required:,} ×",
            f"{row['measured']:,.{1 if row['measured'] < 100 else 0}f} ×",
            {True: "[green]yes", False: "[red]no", None: ""}[row.get("reached")],
        )
    table.caption = "medians over alternating runs; * extrapolated from the cost of some picks"
    return table


def _counters(rows: list[dict[str, Any]]) -> Table:
    """One row a selection: its counters, those of pairs also as shares of all pairs."""
    selections = {(row["pool"], row["k"]): row for row in rows if "stats" in row}
    names = list(dict.fromkeys(name for row in selections.values() for name in row["stats"]))
    table = Table(title="Counters")
    for name in ("pool", "k", *names):
        table.add_column(name.replace("_", " "), justify="left" if name == "pool" else "right")
    for (pool, k), row in selections.items():
        stats, cells = row["stats"], []
        pairs = stats.get("pairs", 0)
        for name in names:
            value = stats.get(name)
            if value is None:
                cells.append("")
            elif pairs and name not in ("picks", "passes", "proposals", "accepted", "pairs"):
                cells.append(f"{value / pairs:.3%}")
            else:
                cells.append(f"{value:,}")
        table.add_row(pool, f"{k:,}", *cells)
    table.caption = "after pairs: shares of all pairs of a row and a centre"
    return table


def _small(seconds: dict[str, float]) -> Table:
    table = Table(title="Small pools, least CPU time of a call", show_header=False)
    for name, each in seconds.items():
        table.add_row(name, duration(each))
    return table


def _memory(rows: list[dict[str, Any]]) -> Table:
    table = Table(title="Peak memory, in a process of its own")
    table.add_column("pool")
    table.add_column("who")
    for name in ("k", "inputs", "used, inputs included", "allowed"):
        table.add_column(name, justify="right")
    table.add_column("reached")
    for row in rows:
        ours = row["who"] == "labelnext"
        table.add_row(
            row["pool"],
            row["who"],
            f"{row['k']:,}",
            *(f"{row[name] / 1e6:,.1f} MB" for name in ("inputs", "used")),
            f"{row['allowed'] / 1e6:,.1f} MB" if ours else "",
            ("[green]yes" if row["reached"] else "[red]no") if ours else "",
        )
    table.caption = "allowed: the inputs, 10 % of them, and 64 bytes a row"
    return table


def _scaling(curves: dict[str, Any]) -> Table:
    table = Table(title="Time against k and n")
    for name in ("pool", "size", "labelnext", "factored *", "floor"):
        table.add_column(name, justify="left" if name == "pool" else "right")
    k_curve, n_curve = curves["against_k"], curves["against_n"]
    for k, ours, theirs in zip(
        k_curve["k"], k_curve["seconds"], k_curve["factored_seconds"], strict=True
    ):
        floor = duration(k_curve["floor_seconds"])
        table.add_row(k_curve["pool"], f"k = {k:,}", duration(ours), duration(theirs), floor)
    table.add_section()
    columns = ("n", "seconds", "factored_seconds", "floor_seconds")
    for n, ours, theirs, floor in zip(*(n_curve[name] for name in columns), strict=True):
        pool = f"synthetic, d = {n_curve['n_features']}, C = {n_curve['n_classes']}"
        times = (duration(ours), duration(theirs), duration(floor))
        table.add_row(f"{pool}, k = {n_curve['k']:,}", f"n = {n:,}", *times)
    table.caption = (
        f"fitted exponents: time ∝ k^{k_curve['exponent']:.2f}, time ∝ n^{n_curve['exponent']:.2f}"
    )
    return table


def _startup(startup: dict[str, Any]) -> Table:
    imports, first = startup["imports"], startup["first_selection"]
    table = Table(title="Starting", show_header=False)
    table.add_row("import labelnext, of import numpy", f"{imports['of_numpy']:.2f} ×")
    table.add_row("the same with Pool and select", duration(imports["select"]))
    table.add_row("labelnext.pool.Badge, of sklearn.base", f"{imports['of_base']:.2f} ×")
    table.add_row("labelnext --version", duration(imports["version"]))
    table.add_row("import LogisticRegression", duration(imports["sklearn"]))
    table.add_row("that with Pool and select", duration(imports["both"]))
    reached = "[green]yes" if imports["reached"] else "[red]no"
    table.add_row("the latter / the former, at most 1.2 ×", f"{imports['factor']:.2f} × {reached}")
    table.add_row("loaded too early", ", ".join(imports["loaded_early"]) or "nothing")
    late = ", ".join(imports["loaded_by_a_small_selection"]) or "nothing"
    table.add_row("loaded by a selection from 400 × 2", late)
    table.add_row("first selection of a process", duration(first["first_of_a_process"]))
    table.add_row("second", duration(first["second"]))
    return table


def _extraction(row: dict[str, Any]) -> Table:
    table = Table(title="Extraction", show_header=False)
    table.add_row(f"extract, {row['n']:,} images", duration(row["median_ours"]))
    table.add_row("the network alone, in a bare loop", duration(row["median_theirs"]))
    table.add_row(f"throughput, at least {row['at_least']} ×", f"{row['ratio']:.3f} ×")
    table.add_row(f"extract, {row['pool']:,} images", duration(row["extraction"]))
    table.add_row(f"selection of {row['k']:,} of them", duration(row["selection"]))
    share = f"share of extraction's time, at most {row['at_most']:.0%}"
    table.add_row(share, f"{row['share']:.2%}")
    table.add_row("reached", "[green]yes" if row["reached"] else "[red]no")
    return table


def _loop(row: dict[str, Any]) -> Table:
    table = Table(title=f"A loop of {row['n']:,} samples and {row['k']:,} picks", show_header=False)
    table.add_row("create", duration(row["create"]))
    table.add_row("next, by uncertainty", duration(row["next"]))
    for when, where in (("first", "at the start"), ("middle", "with half of it answered")):
        times = row[when]
        table.add_row(f"take 5, {where}", duration(times["take"]))
        table.add_row(f"record, {where}", duration(times["record"]))
        table.add_row(f"both, 19 of 20 at most, {where}", duration(times["both"]))
    for name, seconds in row["rest"].items():
        table.add_row(name, duration(seconds))
    reached = "[green]yes" if row["reached"] else "[red]no"
    table.add_row(f"both, at most {duration(row['at_most'])}", reached)
    return table


def _gpu(results: dict[str, Any]) -> Table | str:
    if "not_run" in results:
        return f"Selection on a GPU was not run: {results['not_run']}."
    table = Table(title=f"Selection from tensors on {results['device']}, torch {results['torch']}")
    names = ("n", "d", "C", "k", "stored in", "seconds", "at most", "reading", "product", "ratio")
    for name in (*names, "passes", "inputs", "peak", "reached"):
        table.add_column(name, justify="right")
    for row in results["rows"]:
        table.add_row(
            *(f"{row[name]:,}" for name in ("n", "n_features", "n_classes", "k")),
            row["dtype"],
            duration(row["median"]),
            "" if row["allowed"] is None else duration(row["allowed"]),
            duration(row["reading"]),
            duration(row["product"]),
            f"{row['ratio']:.1f} ×",
            str(row["stats"]["passes"]),
            f"{row['inputs'] / 1e9:.1f} GB",
            "" if row["peak"] is None else f"{row['peak'] / 1e9:.1f} GB",
            "" if row["allowed"] is None else "[green]yes" if row["reached"] else "[red]no",
        )
    table.caption = (
        "reading: all numbers once; product: of all rows with k centres in float16; ratio: seconds "
        "over both"
    )
    return table


def duration(seconds: float) -> str:
    """Show seconds in a unit that leaves three digits."""
    if seconds >= 100:
        return f"{seconds:,.0f} s"
    if seconds >= 1:
        return f"{seconds:.2f} s"
    if seconds >= 1e-3:
        return f"{seconds * 1e3:.3g} ms"
    return f"{seconds * 1e6:.3g} µs"
