"""The report of a loop: one page that needs no network, from curves to when to stop."""

from __future__ import annotations

import json
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from labelnext.pools import Pool, open_pool
from labelnext.pools.disk import check_place, write_whole, writing
from labelnext.report.read import Read
from labelnext.report.shares import class_counts
from labelnext.report.statistics import FEW_COMMON, statistics
from labelnext.sampling.report import (
    SCRIPT,
    STYLE,
    Described,
    Shade,
    drawn_map,
    map_part,
    seen,
    table_of,
)
from labelnext.utils import page
from labelnext.utils.chart import chart
from labelnext.utils.text import counted

if TYPE_CHECKING:
    import os

    from labelnext.report.statistics import Point, Saved, Statistics

KINDS = {
    "random": "drawn at random",
    "strategy": "chosen by the strategy",
}
# Endings of the names of metrics that are shares of something; of others nobody knows.
SHARES = ("accuracy", "f1", "precision", "recall")
# So many picks are on the map, the last ones: it is a picture, no archive.
ON_MAP = 1000


def write_report(loop: Any, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
    """Write the report of a loop, see `Loop.report`; it appears whole or not at all."""
    path = Path(path)
    if path.suffix.lower() != ".html":
        raise ValueError(f"The name of a report must end in .html, got {str(path)!r}.")
    of = Read(loop)
    content = _page(of, statistics(of))
    try:
        with writing(str(path), "make room, or choose another place."):
            check_place(path)
            write_whole(path, content, overwrite=overwrite)
    except FileExistsError:
        raise FileExistsError(f"{path} exists already; replace it with overwrite=True.") from None


def _page(of: Read, found: Statistics) -> bytes:
    loop, at = of.loop, of.at
    the_map = _map(of)
    parts = [
        f'<p class="quiet">{at["samples"]:,} samples: {at["labeled"]:,} labelled in the pool, '
        f"{at['test_labeled']:,} of {at['test']:,} in the test set. "
        f"{counted(len(at['people']), 'annotator')}, {counted(len(of.rounds), 'round')}.</p>",
        _learning(found, at),
        _saving(found),
        _stopping(found),
        _classes(of),
        _people(found, of.task),
        the_map,
        page.section("Rounds", "", _rounds(of)),
    ]
    script = SCRIPT.read_text("utf-8") if the_map else ""
    return page.page(
        f"The loop in {loop.folder.name}", "\n".join(parts), style=STYLE, script=script
    )


def _learning(found: Statistics, at: dict[str, Any]) -> str:
    body = [f"<p>{escape(found.why['curves'])}</p>"] if "curves" in found.why else []
    for name, points in found.curves.items():
        series = {f"{name} on the test set": _of(points)}
        is_share = name.endswith(SHARES) and all(0 <= point.value <= 1 for point in points)
        last = points[-1]
        value = _share(last.value) if is_share else f"{last.value:.3g}"
        interval = ""
        if np.isfinite(last.low):
            interval = (
                f" (95 % interval {_share(last.low)} to {_share(last.high)}, for {last.n:,} test "
                "samples)"
            )
        if len(points) > 1:  # one alone is no curve
            body.append(chart(series, x="labels", y=name, shares=is_share))
        if interval or len(points) == 1:
            body.append(f"<p>With {last.labels:,} labels: {escape(name)} {value}{interval}.</p>")
    if not found.curves:
        body.append(f"<p>{_no_curve(at)}</p>")
    if found.right:
        series = {f"picks {KINDS[kind]}": _of(points) for kind, points in found.right.items()}
        body += [
            "<h3>Right before it saw the label</h3>",
            "<p>How often the model's guess was what people said then. Picks drawn at random say "
            "how good it is on what was left of the pool. Those chosen are the hard ones: a curve "
            "over them says little of the pool.</p>",
            chart(series, x="labels before", y="share of right guesses", shares=True),
        ]
    intro = (
        "What the model reached after each round. The test set was drawn at random and never "
        "chosen by a strategy."
    )
    if "accuracy" in found.curves or found.right:
        intro += " Intervals are Wilson's for 95 %; they are for the number of samples alone."
    return page.section("Learning curve", intro, *body)


def _no_curve(at: dict[str, Any]) -> str:
    if not at["test"]:
        return (
            "This loop has no test set, so nothing can be measured. It is drawn when a loop is "
            "made: <code>labelnext loop init --test 200</code>, <code>Loop.create(test=200)</code>."
        )
    return (
        f"Nothing is measured yet: it takes labels of the test set ({at['test_labeled']:,} of "
        f"{at['test']:,}) and of the first round. <code>labelnext loop next</code> measures what "
        "it trains; what a model of yours reaches you give with <code>loop.close({'accuracy': "
        "...})</code>."
    )


def _saving(found: Statistics) -> str:
    title, saved = "Labels saved", found.saved
    if saved is None:
        return page.section(title, escape(found.why.get("saved", "")))
    low, high = (round(end) for end in saved.saved)
    ends = f"from {_signed(low)} to {_signed(high)}"
    if low <= saved.random - saved.along[-1].labels:
        ends += ", the lower end for a loop that never gets there"
    verdict = "That may still be chance."
    if low > 0 or high < 0:
        verdict = "Choosing has saved labels." if low > 0 else "Choosing has cost labels."
    body = [
        f"<p>The {saved.random:,} labels of the random slices alone make a model that is right in "
        f"{_share(saved.accuracy)} of the test set. {_needed(saved)}, with a 95 % interval {ends}. "
        f"{verdict} Beyond {saved.random:,} labels nothing is compared: there are no more of "
        "random picks.</p>",
        chart(
            {
                "in the order of the loop": _of(saved.along),
                "of the random slices alone": _of(saved.at_random),
            },
            x="labels",
            y="accuracy on the test set",
            shares=True,
        ),
    ]
    intro = (
        "The same model, the default one on the loop's features, trained on labels in the order in "
        "which the loop asked for them, and on those drawn at random alone. The interval is for "
        "the size of the test set and for the luck of the draw."
    )
    return page.section(title, intro, *body)


def _needed(saved: Saved) -> str:
    reached = saved.along[-1].value >= saved.accuracy
    if not reached:
        return (
            f"In the order of the loop {saved.needed:,} labels were not enough for that: saved are "
            f"fewer than {saved.random - saved.needed:,}"
        )
    return (
        f"In the order of the loop it is so from {saved.needed:,} labels on: saved are about "
        f"{_signed(saved.random - saved.needed)}"
    )


def _stopping(found: Statistics) -> str:
    words = {
        "agreement": (
            "Predictions are stable: models of successive rounds agree, kappa 0.99 or more on "
            "average over three rounds (Bloodgood and Vijay-Shanker, CoNLL 2009)"
        ),
        "potential": (
            "Little is left to cover: the mean D² that a batch leaves has fallen to a tenth of its "
            "highest, two rounds in a row (a rule of thumb)"
        ),
    }
    items = [
        f"<li>{words[rule]}: "
        + ("not yet." if at is None else f"<strong>since round {at}; you could stop.</strong>")
        + "</li>"
        for rule, at in found.advice.items()
    ]
    none = (
        "<p>None yet. It takes labels of two rounds, and classes of which a sample has one, or a "
        "strategy that tells how much its picks leave to cover.</p>"
    )
    body = [f"<ul>{''.join(items)}</ul>"] if items else [none]
    if len(found.stability) > 1:
        series = {"kappa with the model of the round before": _of(found.stability)}
        body.append(chart(series, x="labels", y="kappa"))
    if len(found.potential) > 1:
        series = {"mean D² that is left": _of(found.potential)}
        body.append(chart(series, x="labels", y="mean D²", log=True))
    return page.section("When to stop", "Advice that needs no labels; you decide.", *body)


def _classes(of: Read) -> str:
    if of.task == "regression":
        return ""
    rows, warning = class_counts(of)
    columns: dict[str, list[Any]] = {
        "class": [row["class"] for row in rows],
        "labels": [row["random"] + row["strategy"] + row["other"] for row in rows],
        "of random picks": [row["random"] for row in rows],
        "in the test set": [row["test"] for row in rows],
        "share of all samples, estimated": [_interval(row) for row in rows],
    }
    none = [row["class"] for row in rows if not row["random"] + row["strategy"] + row["other"]]
    few = f"<p>No label to learn from yet: {escape(', '.join(none))}.</p>" if none else ""
    head = "<strong>Do not read class shares off the labels.</strong>"
    any_label = any(row[kind] for row in rows for kind in ("test", "random", "strategy", "other"))
    note = f'<p class="note">{head} {escape(warning)}</p>' if any_label else ""
    return page.section("Classes", "", page.table(columns), few, note)


def _people(found: Statistics, task: str) -> str:
    body = []
    if found.agreement is not None:
        value, low, high = found.agreement
        said = "not defined: all say the same one thing" if np.isnan(value) else f"{value:.2f}"
        if np.isfinite([low, high]).all():
            said += f" (95 % interval {low:.2f} to {high:.2f})"
        body.append(
            f"<p>{counted(found.common, 'sample')} labelled by several people. Krippendorff's "
            f"alpha: {said}. 1 is full agreement, 0 what chance would give; 0.8 is called "
            "reliable, below 0.67 nothing should be concluded.</p>"
        )
        if found.pairs:
            body.append(
                page.table(
                    {
                        "annotator": [pair.people[0] for pair in found.pairs],
                        "and": [pair.people[1] for pair in found.pairs],
                        "common": [pair.n for pair in found.pairs],
                        "Cohen's kappa": [round(pair.kappa, 2) for pair in found.pairs],
                    }
                )
            )
        elif task != "regression":
            body.append(f"<p>Cohen's kappa is told from {FEW_COMMON} common samples on.</p>")
    else:
        body.append(
            "<p>No sample was labelled by two people. <code>--overlap 0.1</code> asks two for a "
            "tenth.</p>"
        )
    if found.times:
        times = found.times.values()
        body += [
            "<h3>Time for a label</h3>",
            page.table(
                {
                    "annotator": list(found.times),
                    "labels timed": [each[0] for each in times],
                    "median (s)": [each[2] for each in times],
                    "middle half (s)": [f"{each[1]:.1f} to {each[3]:.1f}" for each in times],
                }
            ),
        ]
    return page.section("People", "", *body)


def _map(of: Read) -> str:
    """Draw the rounds on the map of the loop's features, where it has them."""
    loop, rounds = of.loop, of.chosen
    folder = loop.folder / "features"
    if not folder.is_dir() or not rounds:
        return ""
    samples, y = loop.samples(), of.labels.y
    picks = [
        {"round": each["number"], **pick} for each in rounds for pick in of.picks[each["number"]]
    ]
    told = "" if len(picks) <= ON_MAP else f" The last {ON_MAP:,} of {len(picks):,} are here."
    picks = picks[-ON_MAP:]
    rows = np.array([of.row[pick["id"]] for pick in picks], dtype=np.int64)
    try:
        pool = Pool.of(open_pool(folder), ids=samples.ids)
        drawn, points, what = drawn_map(pool, rows, 20_000)
    except (OSError, ValueError):
        return ""
    said = [y[at] for at in rows]
    contents: list[Any] = samples.contents
    if samples.kind == "image":
        contents = [Path(content) for content in contents]
    elif samples.kind == "row":
        contents = [{}] * len(contents)
        for at in rows:
            contents[at] = json.loads(samples.contents[at])
    described = Described(
        [f"{pick['round']}.{pick['rank']}. {pick['id']}" for pick in picks],
        {
            "round": [pick["round"] for pick in picks],
            "rank in it": [pick["rank"] for pick in picks],
            "id": [pick["id"] for pick in picks],
            "why": [pick["kind"] for pick in picks],
            "predicted": [pick["pseudo_label"] for pick in picks],
            "label": said,
        },
        seen(pool, contents, rows, root=samples.root),
        numbered=False,
    )
    numbers = [each["number"] for each in rounds]
    nothing = np.full(len(drawn), np.nan)
    shades = [
        Shade(
            *("round", "Round", "The round that asked for it."),
            *(nothing, np.array([numbers.index(pick["round"]) for pick in picks], float)),
            names=[f"round {number}" for number in numbers],
        )
    ]
    if loop.task == "multiclass" and loop.classes:
        place = {name: float(at) for at, name in enumerate(loop.classes)}
        labelled = np.array([place.get(value, np.nan) for value in y])
        shades.append(
            Shade(
                *("label", "Label", "What people said; grey is not labelled."),
                *(
                    np.array([labelled[at] for at in drawn]),
                    np.array([labelled[at] for at in rows]),
                ),
                names=loop.classes,
                of_cell="most",
            )
        )
    part = map_part(described, drawn, points, f"{what}{told}", shades)
    picked = page.details("The picks", table_of(described))
    return page.section("The map, round by round", "", part, picked)


def _rounds(of: Read) -> str:
    rounds = of.rounds
    if not rounds:
        return "<p>None yet.</p>"
    columns = {
        "round": [each["number"] for each in rounds],
        "kind": [each["strategy"] or each["kind"] for each in rounds],
        "state": [each["state"] for each in rounds],
        "picks": [each["picks"] for each in rounds],
        "labelled": [each["labeled"] for each in rounds],
        "answers missing": [each["missing"] for each in rounds],
        "drawn at random": [
            f"{100 * each['parameters'].get('random', 1):.0f} %" for each in rounds
        ],
        "seed": ["–" if each["seed"] is None else each["seed"] for each in rounds],
    }
    return page.table(columns)


def _of(points: list[Point]) -> list[tuple[float, float, float, float]]:
    return [(float(p.labels), p.value, p.low, p.high) for p in points]


def _share(value: float) -> str:
    return f"{100 * value:.1f}\u00a0%"


def _signed(n: int) -> str:
    return f"{n:,}".replace("-", "−")


def _interval(row: dict[str, Any]) -> str:
    if row["share"] is None:
        return "–"
    low, high = (100 * row[end] for end in ("low", "high"))
    return f"{100 * row['share']:.0f} % ({low:.0f} to {high:.0f})"
