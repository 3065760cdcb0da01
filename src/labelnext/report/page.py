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
from labelnext.report.statistics import no_features, statistics_of
from labelnext.report.summary import (
    alpha,
    called,
    chosen_by,
    for_page,
    is_share,
    next_step,
    no_score,
    of_model,
    saving,
    score_of,
    state_of,
    summary,
    told_as,
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
from labelnext.utils.text import counted

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping

    from labelnext.report.statistics import Statistics
    from labelnext.report.told import Point

    Say = Callable[[str], str]

KINDS = {
    "random": "drawn at random",
    "strategy": "chosen by the strategy",
}
# So many picks are on the map, the last ones: it is a picture, no archive.
ON_MAP = 1000
# The newest models whose curves are drawn: so many colours there are.
MOST_MODELS = 6


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
    return page.page(f"Labels of {called(loop)}", "\n".join(parts), style=STYLE, script=script)


def _learning(of: Read, found: Statistics, say: Say) -> str:
    body = []
    names = dict.fromkeys(name for curves in found.curves.values() for name in curves)
    several = len(found.curves) > 1
    for name in names:
        title = told_as(name)
        part = f"<h3>{escape(title[:1].upper() + title[1:])}</h3>"
        series = {
            f"on the test set{', ' * several}{of_model(model) * several}": curves[name]
            for model, curves in found.curves.items()
            if name in curves
        }
        whose, points = next(iter(series.items()))
        if several or len(points) > 1:  # one alone is no curve
            share = all(is_share(name, each) for each in series.values())
            part += _chart(dict([*series.items()][:MOST_MODELS]), y=title, shares=share)
        whose = whose.removeprefix("on the test set")
        body.append(part + say(f"Newest{whose}: {score_of(name, points)}"))
    if found.right:
        series = {f"picks {KINDS[kind]}": points for kind, points in found.right.items()}
        body.append(
            "<h3>Was the guess right?</h3>"
            + _chart(series, x="labels before", y="share of right guesses", shares=True)
            + "<p>How often people then said what the model had guessed. Picks drawn at random "
            "show how good the model was on the samples without a label. Chosen picks are the hard "
            "ones, and show little of that.</p>"
        )
    intro = (
        "How good the model was after each round. The test set was drawn at random; no strategy "
        "chose from it."
    )
    if "accuracy" in names or found.right:
        intro += " Bands are 95 % intervals (Wilson), for the number of samples alone."
    why = [say(found.why["curves"])] if "curves" in found.why else []
    none = [] if found.curves else [say(no_score(of))]
    return page.section("Learning curve", intro, *why, *none, page.beside(*body))


def _saving(of: Read, found: Statistics, say: Say) -> str:
    title, saved = "Labels saved", found.saved
    if saved is None:
        return page.section(title, "", say(unsaved(of, found)))
    said = (
        f"<p><strong>{verdict(saved)}</strong> {saving(saved)}</p><p>The same model, the default "
        "one on the loop's features, was trained on labels in the order in which the loop asked "
        "for them, and on those drawn at random alone. The interval is for the size of the test "
        f"set and for the luck of the draw. Only {counted(saved.random, 'pick')} came at "
        "random, so nothing is compared beyond that.</p>"
    )
    series = {"in the order of the loop": saved.along, "drawn at random": saved.at_random}
    drawn = _chart(series, y="accuracy on the test set", shares=True)
    return page.section(title, "", page.beside(said, drawn))


def _stopping(of: Read, found: Statistics, say: Say) -> str:
    words = {
        "agreement": (
            "Predictions are stable: the default model, trained after a round, says what it said "
            "after the round before, kappa 0.99 or more on average over three rounds (Bloodgood "
            "and Vijay-Shanker, CoNLL 2009)"
        ),
        "potential": (
            "Little is left to cover: the mean D², which says how unlike all picks the rest of the "
            "pool is, has fallen to a tenth of its highest, two rounds in a row (a rule of thumb)"
        ),
    }
    items = [
        f"<li>{words[rule]}: "
        + ("not yet." if at is None else f"<strong>since round {at}; you could stop.</strong>")
        + "</li>"
        for rule, at in found.advice.items()
    ]
    body = [f"<ul>{''.join(items)}</ul>" if items else say(_no_advice(of))]
    if len(found.stability) > 1:
        series = {"of the default model, with what it said a round before": found.stability}
        body.append(_chart(series, y="agreement of predictions (kappa)"))
    if len(found.potential) > 1:
        series = {"after each batch": found.potential}
        body.append(_chart(series, y="mean D² that is left", log=True))
    intro = "Two rules, which need no test set. They advise; you decide."
    return page.section("When to stop", intro, page.beside(*body))


def _no_advice(of: Read) -> str:
    """Say what it takes to tell when to stop."""
    how = "None yet. It takes two rounds with labels"
    if of.chosen and of.task == "multiclass" and not (of.loop.folder / "features").is_dir():
        return f"{how}. {no_features(of)}"
    if of.task == "multiclass":
        how += " and the loop's features"
    else:
        how += " of a strategy that tells how much is left to cover, such as BADGE"
    more = "" if of.task == "multiclass" else " --strategy badge"
    if of.at["missing_in_all"]:
        return f"{how}: `labelnext loop label`, then `labelnext loop next{more}`{of.as_before}."
    return f"{how}: `labelnext loop next{more}`{of.as_before}, then `labelnext loop label`."


def _classes(of: Read, say: Say) -> str:
    if of.task == "regression":
        return ""
    rows, warning = class_counts(of)
    columns: dict[str, list[Any]] = {
        "class": [row["class"] for row in rows],
        "labels": [row["random"] + row["strategy"] + row["other"] for row in rows],
        "at random": [row["random"] for row in rows],
        "test set": [row["test"] for row in rows],
        "estimated share": [_interval(row) for row in rows],
    }
    none = [row["class"] for row in rows if not row["random"] + row["strategy"] + row["other"]]
    few = f"<p>No label to learn from yet: {escape(', '.join(none))}.</p>" if none else ""
    head = "<strong>Do not read class shares off the labels.</strong>"
    any_label = any(row[kind] for row in rows for kind in ("test", "random", "strategy", "other"))
    note = f'<p class="note">{head} {escape(warning)}</p>' if any_label else say(next_step(of))
    counts = page.table("Classes", columns)
    return page.section("Classes", "", page.beside(counts, note + few))


def _people(found: Statistics, say: Say) -> str:
    if found.agreement is not None:
        pairs = found.agreement.pairs
        agree = say(alpha(found.agreement)) + page.table(
            "Agreement",
            {
                "people": [" and ".join(pair.people) for pair in pairs],
                "both labelled": [pair.n for pair in pairs],
                "the same": [pair.same for pair in pairs],
                "Cohen's kappa": [pair.kappa for pair in pairs],
            },
            percent=["the same"],
        )
        if any(pair.n < FEW_COMMON for pair in pairs):
            agree += say(f"Cohen's kappa is shown from {FEW_COMMON} samples on that both labelled.")
    else:
        agree = say(
            "No sample was labelled by two people. `labelnext loop next --overlap 0.1` asks "
            "two for a tenth; let each have a name: `labelnext loop label --people ann,bo`."
        )
    if found.times:
        times = found.times.values()
        spent = "<p>Half of the labels took a time within the middle half.</p>" + page.table(
            "Time for a label",
            {
                "annotator": list(found.times),
                "labels timed": [each[0] for each in times],
                "median": [f"{each[2]:.1f} s" for each in times],
                "middle half": [f"{each[1]:.1f} to {each[3]:.1f} s" for each in times],
            },
        )
    else:
        spent = say("No label was timed yet; the page does: `labelnext loop label`.")
    agree, spent = f"<h3>Agreement</h3>{agree}", f"<h3>Time for a label</h3>{spent}"
    return page.section("People", "", page.beside(agree, spent))


def _no_map(of: Read) -> str:
    """Say what it takes to draw the map."""
    if not of.chosen:
        return "It shows the picks of each round, and there is no round yet: `labelnext loop next`."
    return no_features(of)


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
        [f"Round {pick['round']}, pick {pick['rank']}" for pick in picks],
        {
            "round": [pick["round"] for pick in picks],
            "pick": [pick["rank"] for pick in picks],
            "id": [pick["id"] for pick in picks],
            "why": [KINDS[pick["kind"]] for pick in picks],
            "model's guess": [pick["pseudo_label"] for pick in picks],
            "label": said,
        },
        seen(pool, contents, rows, root=samples.root),
        numbered=False,
        titled=("round", "pick"),
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
        "chosen by": [chosen_by(each) for each in rounds],
        "state": [state_of(each) for each in rounds],
        "picks": [each["picks"] for each in rounds],
        "labelled": [each["labeled"] for each in rounds],
        "missing": [each["missing"] for each in rounds],
        "at random": [f"{100 * each['parameters'].get('random', 1):.0f} %" for each in rounds],
        "seed": ["–" if each["seed"] is None else each["seed"] for each in rounds],
    }
    return page.table("Rounds", columns)


def _chart(series: Mapping[str, list[Point]], *, x: str = "labels", **how: Any) -> str:
    """Draw points over labels; over rounds where one has brought none, as they would coincide."""
    by_round = any(len({p.labels for p in points}) < len(points) for points in series.values())
    drawn = {
        name: [(float(p.round if by_round else p.labels), p.value, p.low, p.high) for p in points]
        for name, points in series.items()
    }
    return chart(drawn, x="rounds" if by_round else x, **how)


def _interval(row: dict[str, Any]) -> str:
    if row["share"] is None:
        return "–"
    low, high = (100 * row[end] for end in ("low", "high"))
    return f"{100 * row['share']:.0f} % ({low:.0f} to {high:.0f})".replace(" ", "\u00a0")
