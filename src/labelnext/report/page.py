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
from labelnext.report.statistics import NO_FEATURES, statistics_of
from labelnext.report.summary import (
    alpha,
    for_page,
    is_share,
    next_step,
    no_score,
    saving,
    score_of,
    summary,
    unsaved,
    verdict,
)
from labelnext.report.told import FEW_COMMON
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

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    from labelnext.report.statistics import Statistics
    from labelnext.report.told import Point

    Say = Callable[[str], str]

KINDS = {
    "random": "drawn at random",
    "strategy": "chosen by the strategy",
}
# So many picks are on the map, the last ones: it is a picture, no archive.
ON_MAP = 1000


def write_report(loop: Any, path: str | os.PathLike[str], *, overwrite: bool = False) -> list[str]:
    """Write the report of a loop, see `Loop.report`; return its summary.

    The file appears whole or not at all.
    """
    path = Path(path)
    if path.suffix.lower() != ".html":
        raise ValueError(f"The name of a report must end in .html, got {str(path)!r}.")
    of = Read(loop)
    found = statistics_of(of)
    told = summary(of, found)
    content = _page(of, found, told)
    try:
        with writing(str(path), "make room, or choose another place."):
            check_place(path)
            write_whole(path, content, overwrite=overwrite)
    except FileExistsError:
        raise FileExistsError(f"{path} exists already; replace it with overwrite=True.") from None
    return told


def _page(of: Read, found: Statistics, told: list[str]) -> bytes:
    loop = of.loop

    def say(text: str) -> str:
        return f"<p>{for_page(text, loop)}</p>"

    the_map = _map(of)
    lines = "".join(f"<li>{for_page(line, loop)}</li>" for line in told)
    parts = [
        f'<ul class="summary">{lines}</ul>',
        _learning(of, found, say),
        _saving(of, found, say),
        _stopping(of, found, say),
        _classes(of, say),
        _people(found, say),
        the_map or page.section("The map, round by round", "", say(_no_map(of))),
        page.section("Rounds", "", _rounds(of) if of.rounds else say(f"None yet. {next_step(of)}")),
    ]
    script = SCRIPT.read_text("utf-8") if the_map else ""
    return page.page(
        f"The loop in {loop.folder.name}", "\n".join(parts), style=STYLE, script=script
    )


def _learning(of: Read, found: Statistics, say: Say) -> str:
    body = [say(found.why["curves"])] if "curves" in found.why else []
    for name, points in found.curves.items():
        if len(points) > 1:  # one alone is no curve
            series = {f"{name} on the test set": _of(points)}
            body.append(chart(series, x="labels", y=name, shares=is_share(name, points)))
        body.append(say(f"The last: {score_of(name, points)}"))
    if not found.curves:
        body.append(say(no_score(of)))
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


def _saving(of: Read, found: Statistics, say: Say) -> str:
    title, saved = "Labels saved", found.saved
    if saved is None:
        return page.section(title, "", say(unsaved(of, found)))
    body = [
        f"<p><strong>{verdict(saved)}</strong> {saving(saved)} Beyond {saved.random:,} labels "
        "nothing is compared: there are no more of random picks.</p>",
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


def _stopping(of: Read, found: Statistics, say: Say) -> str:
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
    body = [f"<ul>{''.join(items)}</ul>"] if items else [say(_no_advice(of))]
    if len(found.stability) > 1:
        series = {"kappa with the model of the round before": _of(found.stability)}
        body.append(chart(series, x="labels", y="kappa"))
    if len(found.potential) > 1:
        series = {"mean D² that is left": _of(found.potential)}
        body.append(chart(series, x="labels", y="mean D²", log=True))
    return page.section("When to stop", "Advice that needs no labels; you decide.", *body)


def _no_advice(of: Read) -> str:
    """Say what it takes to tell when to stop."""
    how = "None yet. It takes two rounds with labels"
    if of.task == "multiclass":
        how += " and the loop's features"
    else:
        how += " of a strategy that tells how much is left to cover, such as BADGE"
    more = "" if of.task == "multiclass" else " --strategy badge"
    if of.at["missing_in_all"]:
        return f"{how}: `labelnext loop label`, then `labelnext loop next{more}`."
    return f"{how}: `labelnext loop next{more}`, then `labelnext loop label`."


def _classes(of: Read, say: Say) -> str:
    if of.task == "regression":
        return ""
    rows, warning = class_counts(of)
    columns: dict[str, list[Any]] = {
        "class": [row["class"] for row in rows],
        "labels": [row["random"] + row["strategy"] + row["other"] for row in rows],
        "of random picks": [row["random"] for row in rows],
        "in the test set": [row["test"] for row in rows],
        "share, estimated": [_interval(row) for row in rows],
    }
    none = [row["class"] for row in rows if not row["random"] + row["strategy"] + row["other"]]
    few = f"<p>No label to learn from yet: {escape(', '.join(none))}.</p>" if none else ""
    head = "<strong>Do not read class shares off the labels.</strong>"
    any_label = any(row[kind] for row in rows for kind in ("test", "random", "strategy", "other"))
    note = f'<p class="note">{head} {escape(warning)}</p>' if any_label else say(next_step(of))
    return page.section("Classes", "", page.table(columns), few, note)


def _people(found: Statistics, say: Say) -> str:
    if found.agreement is not None:
        pairs = found.agreement.pairs
        body = [
            say(alpha(found.agreement)),
            page.table(
                {
                    "annotator": [pair.people[0] for pair in pairs],
                    "and": [pair.people[1] for pair in pairs],
                    "common": [pair.n for pair in pairs],
                    "the same": [pair.same for pair in pairs],
                    "Cohen's kappa": [pair.kappa for pair in pairs],
                },
                percent=["the same"],
            ),
        ]
        if any(pair.n < FEW_COMMON for pair in pairs):
            body.append(say(f"Cohen's kappa is told from {FEW_COMMON} common samples on."))
    else:
        body = [
            say(
                "No sample was labelled by two people. `labelnext loop next --overlap 0.1` asks "
                "two for a tenth; let each have a name: `labelnext loop label --people ann,bo`."
            )
        ]
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
    else:
        body.append(say("No label was timed yet; the page does: `labelnext loop label`."))
    return page.section("People", "", *body)


def _no_map(of: Read) -> str:
    """Say what it takes to draw the map."""
    if not of.chosen:
        return "It shows the picks of each round, and there is no round yet: `labelnext loop next`."
    return f"It is drawn of the loop's features. {NO_FEATURES}"


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
    columns = {
        "round": [each["number"] for each in rounds],
        "kind": [each["strategy"] or each["kind"] for each in rounds],
        "state": [each["state"] for each in rounds],
        "picks": [each["picks"] for each in rounds],
        "labelled": [each["labeled"] for each in rounds],
        "missing": [each["missing"] for each in rounds],
        "at random": [f"{100 * each['parameters'].get('random', 1):.0f} %" for each in rounds],
        "seed": ["–" if each["seed"] is None else each["seed"] for each in rounds],
    }
    return page.table(columns)


def _of(points: list[Point]) -> list[tuple[float, float, float, float]]:
    return [(float(p.labels), p.value, p.low, p.high) for p in points]


def _interval(row: dict[str, Any]) -> str:
    if row["share"] is None:
        return "–"
    low, high = (100 * row[end] for end in ("low", "high"))
    return f"{100 * row['share']:.0f}\u00a0% ({low:.0f} to {high:.0f})"
