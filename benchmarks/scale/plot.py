"""Predicted against measured, and the driver's share, as a picture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure

from benchmarks.scale.report import power_of_ten

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes


def draw(results: dict[str, Any], folder: Path) -> list[Path]:
    """Draw what was measured and return the files."""
    if not {"disk", "ray", "driver"} <= results.keys():
        return []
    figure = Figure(figsize=(12, 4), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    _seconds(left, results)
    _traffic(middle, results["driver"]["runs"])
    _clusters(right, results["model"]["clusters"])
    path = folder / "scale.png"
    figure.savefig(path, dpi=150)
    return [path]


def _seconds(ax: Axes, results: dict[str, Any]) -> None:
    whole, ray, said = results["disk"]["whole"], results["ray"], results["model"]
    points = {
        "opening": (whole["seconds_open"], said["disk"]["open"]),
        "selection": (whole["seconds_select"], said["disk"]["select"]),
        "on Ray": (ray["median_theirs"], said["ray"]),
    }
    places = np.arange(len(points))
    for shift, number, name in ((-0.2, 0, "measured"), (0.2, 1, "predicted")):
        values = [pair[number] for pair in points.values()]
        ax.bar(places + shift, values, width=0.38, label=name, color=("C0", "0.7")[number])
    ax.set_xticks(places, points)
    ax.set_ylabel("seconds")
    ax.set_ylim(top=1.25 * ax.get_ylim()[1])
    ax.legend(frameon=False, ncols=2, loc="upper left", fontsize="small")
    ax.set_title(f"{whole['n']:,} rows on disk; {ray['n']:,} on Ray", fontsize=10)


def _traffic(ax: Axes, runs: list[dict[str, Any]]) -> None:
    # What is sent for a pick hardly depends on k: broad and pale below, so that both are seen.
    for k, width in zip(dict.fromkeys(run["k"] for run in runs), (5, 1.5), strict=True):
        some = [run for run in runs if run["k"] == k]
        shards = [run["shards"] for run in some]
        for kind, style in (("sent", "C0o-"), ("received", "C1s--")):
            ax.plot(
                shards,
                [run[kind] / k for run in some],
                style,
                linewidth=width,
                markersize=4 + width,
                alpha=0.4 if width > 2 else 1,
                label=f"{kind}, {k:,} picks",
            )
    ax.set(xlabel="shards", ylabel="bytes a pick", ylim=(0, None))
    ax.set_xticks(shards, map(str, shards))
    ax.yaxis.set_major_formatter("{x:,.0f}")
    ax.legend(frameon=False, fontsize="small")
    ax.set_title("what goes through the driver", fontsize=10)


def _clusters(ax: Axes, rows: list[dict[str, Any]]) -> None:
    names = [
        f"{power_of_ten(row['n'])} rows, {row['nodes']} nodes, {row['k']:,} picks" for row in rows
    ]
    left = np.zeros(len(rows))
    for part in ("opening", "passes", "driver"):
        values = np.array([row[part] for row in rows])
        ax.barh(names, values, left=left, label=part)
        left += values
    ax.invert_yaxis()
    ax.set_xlabel("seconds")
    ax.legend(frameon=False, fontsize="small")
    ax.set_title("what the model says of clusters", fontsize=10)
