"""Time against k and n, and the share of pairs that each bound leaves, as pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from matplotlib.figure import Figure

from benchmarks.comparisons import FLOOR

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes

# The pool and the number of picks that the README's picture is of.
COMPARED = ("fashion-2000", 1_000)


def draw(results: dict[str, Any], folder: Path) -> list[Path]:
    """Draw what was measured and return the files."""
    files = []
    if "scaling" in results:
        files.append(_scaling(results["scaling"], folder / "scaling.png"))
    if any(row.get("stats", {}).get("pairs") for row in results.get("comparisons", [])):
        files.append(_pairs(results["comparisons"], folder / "pairs.png"))
    compared = [
        row
        for row in results.get("comparisons", [])
        if (row["pool"], row["k"]) == COMPARED and "theirs" in row and row["against"] != FLOOR
    ]
    if compared:
        files.append(_compared(compared, folder / "compared.png"))
    return files


def _compared(rows: list[dict[str, Any]], path: Path) -> Path:
    """Draw seconds for as many picks, of labelnext and of others; stars are extrapolated."""
    rows = sorted(rows, key=lambda row: row["median_theirs"])
    names = ["labelnext", *(row["against"] + " *" * bool(row["extrapolated_from"]) for row in rows)]
    times = [rows[0]["median_ours"], *(row["median_theirs"] for row in rows)]
    figure = Figure(figsize=(8, 0.6 + 0.5 * len(names)), layout="constrained")
    ax = figure.subplots()
    bars = ax.barh(names, times, color=["#1f6feb", *["#9aa4b2"] * len(rows)])
    ax.bar_label(
        bars, [f"{time:,.0f} s" if time >= 10 else f"{time:.2g} s" for time in times], padding=4
    )
    what = f"seconds for {rows[0]['k']:,} picks of {rows[0]['n']:,} samples; * extrapolated"
    ax.set(xscale="log", xlabel=what)
    # From a tenth of ours on: bars on a logarithmic axis have no natural start.
    ax.set_xlim(min(times) / 10, max(times) * 4)
    ax.invert_yaxis()
    ax.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=150)
    return path


def _scaling(curves: dict[str, Any], path: Path) -> Path:
    figure = Figure(figsize=(10, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    k_curve, n_curve = curves["against_k"], curves["against_n"]
    floor = [k_curve["floor_seconds"]] * len(k_curve["k"])
    _curves(left, k_curve["k"], k_curve, floor)
    left.set(xlabel="picks k", ylabel="seconds")
    left.set_title(f"{k_curve['pool']}: time ∝ k^{k_curve['exponent']:.2f}")
    _curves(right, n_curve["n"], n_curve, n_curve["floor_seconds"])
    right.set(xlabel="rows n", ylabel="seconds")
    right.set_title(
        f"synthetic, C = {n_curve['n_classes']}, k = {n_curve['k']:,}: "
        f"time ∝ n^{n_curve['exponent']:.2f}"
    )
    left.legend(frameon=False)
    figure.savefig(path, dpi=150)
    return path


def _curves(ax: Axes, sizes: list[int], curve: dict[str, Any], floor: list[float]) -> None:
    ax.plot(sizes, curve["factored_seconds"], "s-", color="0.6", label="a pass a pick, factored")
    ax.plot(sizes, curve["seconds"], "o-", color="C0", label="labelnext")
    ax.plot(sizes, floor, "--", color="C3", label="floor: reading both factors once")
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.grid(alpha=0.3)


def _pairs(rows: list[dict[str, Any]], path: Path) -> Path:
    # The plain pass counts no pairs.
    selections = {
        (row["pool"], row["k"]): row["stats"] for row in rows if row.get("stats", {}).get("pairs")
    }
    figure = Figure(figsize=(7, 0.5 + 0.28 * len(selections) * 2), layout="constrained")
    ax = figure.subplots()
    places = range(len(selections))
    names = [
        name
        for name in dict.fromkeys(name for stats in selections.values() for name in stats)
        if name not in ("picks", "passes", "proposals", "accepted", "pairs")
    ]
    height = 0.8 / max(1, len(names))
    for number, name in enumerate(names):
        shares = [stats.get(name, 0) / stats["pairs"] for stats in selections.values()]
        ax.barh(
            [place + number * height for place in places],
            shares,
            height=height,
            label=name.replace("_", " "),
        )
    ax.set_yticks([place + 0.4 - height / 2 for place in places])
    ax.set_yticklabels([f"{pool}, k = {k:,}" for pool, k in selections])
    ax.invert_yaxis()
    ax.set_xscale("log")
    ax.set_xlabel("share of all pairs of a row and a centre")
    figure.legend(loc="outside upper center", ncols=len(names), frameon=False, fontsize="small")
    figure.savefig(path, dpi=150)
    return path
