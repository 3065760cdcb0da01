"""What a person wants to know of a loop first, in a few sentences: for its page and a terminal.

Commands in a text stand between backticks, as in `labelnext loop label`, without the loop that they
are about; `for_terminal` and `for_page` add it.
"""

from __future__ import annotations

import re
import shlex
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from labelnext.report import told
from labelnext.utils.text import counted, printable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from labelnext.report.read import Read
    from labelnext.report.statistics import Saved, Statistics
    from labelnext.report.told import Agreement, Point

# What metrics of ours are called where people read them.
TOLD = {"macro_f1": "macro F1", "micro_f1": "micro F1", "rmse": "RMSE", "r2": "R²"}
MOST = 3  # other models that are named
STOP = {"agreement": "predictions are stable", "potential": "little is left to cover"}
COMMAND = re.compile("`(labelnext loop (?!init)[^`]*)`")
OPTION = re.compile(r"(?<= )--?\w[^\s<]*")  # in a line it is not cut after its dashes
CODE = re.compile("`([^`]+)`")
LAST = re.compile(r": `[^`]+`(?=\.?$)")


def summary(of: Read, found: Statistics | None = None) -> list[str]:
    """Return the sentences, the next step last; without statistics what needs no model."""
    at = of.at
    lines = [
        f"{counted(at['samples'] - at['test'], 'sample')}, {len(of.labels.labeled):,} labelled; "
        f"test set {at['test']:,}, {len(of.test.labeled):,} labelled. "
        f"{counted(len(of.chosen), 'round')}, {counted(len(at['people']), 'annotator')}.",
        measured(of, found),
    ]
    if found is not None and of.chosen:
        if found.saved is None:
            lines.append(unsaved(of, found))
        else:
            lines.append(f"{verdict(found.saved)} {saving(found.saved)}")
        stable = [f"{STOP[rule]} since round {at}" for rule, at in found.advice.items() if at]
        if stable:
            lines.append(f"You could stop: {', and '.join(stable)}.")
    agreement = told.agreement(of) if found is None else found.agreement
    if agreement is not None:
        lines.append(alpha(agreement))
    if odd := len(of.disagreements):
        lines.append(
            f"People disagree on {counted(odd, 'sample')}, without a label where it is a tie: "
            "decide on the page, under Agreement: `labelnext loop label`"
        )
    return [*lines, next_step(of)]


def measured(of: Read, found: Statistics | None = None) -> str:
    """Say what was reached, or what to do to know it."""
    curves = told.curves(of) if found is None else found.curves
    if not curves:
        return f"Not measured yet. {no_score(of)}"
    (model, newest), *others = curves.items()
    computed = found is not None and "curves" in found.why
    by = f", {of_model(model)}" if computed or others else ""
    more = ", ".join(of_model(name) for name, _ in others[:MOST])
    more += f" and {len(others) - MOST:,} more" if len(others) > MOST else ""
    also = f" There are scores {more}, too, each a curve of its own." if others else ""
    return f"Newest score{by}: {score(newest)}{also}"


def of_model(name: str) -> str:
    """Say whose a score is."""
    return {"default": "of the default model", "unnamed": "of a model without a name"}.get(
        name, f"of {printable(name)}"
    )


def headline(curves: Mapping[str, Any]) -> str:
    """Return the metric that is told first: accuracy where it is known."""
    return "accuracy" if "accuracy" in curves else min(curves)


def score(curves: Mapping[str, Sequence[Point]]) -> str:
    """Say what was reached last, with its interval, and on what."""
    # A metric that was told once, long ago, is not the newest.
    newest = max(points[-1][:2] for points in curves.values())
    curves = {name: points for name, points in curves.items() if points[-1][:2] == newest}
    return score_of(name := headline(curves), curves[name])


def score_of(name: str, points: Sequence[Point]) -> str:
    """Say the same of one metric."""
    last = points[-1]
    value = share(last.value) if is_share(name, points) else f"{last.value:.3g}"
    interval = ""
    if np.isfinite(last.low):
        interval = f" (95 % interval {share(last.low)} to {share(last.high)})"
    on = f" on {counted(last.n, 'sample')} of the test set" if last.n else " on the test set"
    return f"{told_as(name)} {value}{interval}{on}, with {counted(last.labels, 'label')}."


def told_as(name: str) -> str:
    """Return what people read for the name of a metric."""
    return TOLD.get(name, printable(name))


def chosen_by(each: Mapping[str, Any]) -> str:
    """Say what has chosen a round: a strategy, or the draw of the test set."""
    return printable(each["strategy"] or {"test": "test set"}.get(each["kind"], each["kind"]))


def state_of(each: Mapping[str, Any]) -> str:
    """Say where a round stands."""
    return "not begun" if each["state"] == "selected" else str(each["state"])


def called(loop: Any) -> str:
    """Return what a loop is called: its folder, or the one around a folder "loop"."""
    folder = loop.folder.resolve()
    return str(folder.parent.name if folder.name == "loop" and folder.parent.name else folder.name)


def is_share(name: str, points: Sequence[Point]) -> bool:
    """Tell whether a metric is a share of something."""
    return told.named_share(name) and all(0 <= point.value <= 1 for point in points)


def no_score(of: Read) -> str:
    """Say why nothing is measured, and what to do."""
    at = of.at
    if not at["test"]:
        return (
            "This loop has no test set, without which nothing can be measured; one is drawn when a "
            f"loop is made: {told.with_test_set(at['samples'])}."
        )
    if not at["test_labeled"]:
        if of.rounds[0]["closed_at"]:
            return (
                "The test set was closed without a label; to have people asked for it again: "
                "`labelnext loop reopen`."
            )
        return "It takes labels of the test set: `labelnext loop label`."
    if not at["labeled"]:
        return f"It takes labels of a first round. {next_step(of)}"
    return f"Train on what is labelled, and measure: `labelnext loop next`{of.as_before}."


def verdict(saved: Saved) -> str:
    """Say in a word what came of the choice, before any number."""
    low, high = saved.saved
    if round(low) > 0:
        return "Choosing has saved labels."
    if round(high) < 0:
        return "Choosing has cost labels."
    if saved.random <= saved.needed:
        return "Nothing was saved so far, and that may still be chance."
    return "It may still be chance that choosing has saved labels."


def unsaved(of: Read, found: Statistics) -> str:
    """Say why it cannot be told whether labels were saved, and what to do."""
    yet = " yet" if of.task == "multiclass" else ""
    return f"Whether choosing saves labels cannot be told{yet}. {found.why['saved']}"


def saving(saved: Saved) -> str:
    """Say how many labels were saved, with the interval."""
    low, high = (round(end) for end in saved.saved)
    ends = f"95 % interval {signed(low)} to {signed(high)}"
    if low <= saved.random - saved.along[-1].labels:
        ends += ", the lower end for a loop that never gets there"
    n, difference = saved.random, saved.random - saved.needed
    right = f"right in {share(saved.accuracy)} of the test set"
    what = f"what {counted(n, 'label')} drawn at random reach ({right})"
    if saved.along[-1].value < saved.accuracy:
        return f"For {what} {saved.needed:,} in the order of the loop were not enough ({ends})."
    many = f"about {abs(difference):,} {'fewer' if difference > 0 else 'more'}"
    many = many if difference else "as many"
    return f"For {what} the order of the loop takes {saved.needed:,}, {many} ({ends})."


def alpha(found: Agreement) -> str:
    """Say how far people agree."""
    value, low, high = found.alpha
    said = "not defined, as all say the same one thing" if np.isnan(value) else f"{value:.2f}"
    if np.isfinite([low, high]).all():
        said += f" (95 % interval {low:.2f} to {high:.2f})"
    return (
        f"{counted(found.common, 'sample')} labelled by several people; Krippendorff's alpha: "
        f"{said}. 1 is full agreement, 0 is chance; from 0.8 on labels are called reliable, below "
        "0.67 conclude nothing."
    )


def next_step(of: Read) -> str:
    """Say what is to be done now, with the command."""
    at = of.at
    if missing := at["missing_in_all"]:
        return f"{counted(missing, 'answer')} missing: `labelnext loop label`"
    if of.chosen and at["labeled"] == at["samples"] - at["test"]:
        how = of.as_before
        last = f"; `labelnext loop next`{how}{',' if how else ''} measures it"
        last = "" if of.chosen[-1]["state"] == "trained" else last
        return f"All is labelled: `labelnext loop export labels.csv`{last}"
    return f"Nothing is asked for: `labelnext loop next` chooses more{of.as_before}"


def share(value: float) -> str:
    """Write a share as a percentage."""
    return f"{100 * value:.1f}\u00a0%"


def signed(n: int) -> str:
    """Write a number with a minus that is one."""
    return f"{n:,}".replace("-", "−")


def for_terminal(text: str, same: str) -> str:
    """Return a text with its commands, for the loop that is named so on a command line."""
    return CODE.sub(r"\1", COMMAND.sub(lambda found: found[1] + same, text))


def without_command(text: str) -> str:
    """Return a text without the command that it ends in, where there is a button for that."""
    return CODE.sub(r"\1", LAST.sub("", text))


def beside(loop: Any) -> str:
    """Return what commands need that are run in the folder that a loop lies in."""
    name = loop.folder.name
    return "" if name == "loop" else f" --loop {shlex.quote(name)}"


def for_page(text: str, loop: Any) -> str:
    """Return a text as HTML, with commands that work in the folder that the loop lies in."""
    same = escape(beside(loop), quote=False)
    text = COMMAND.sub(lambda found: f"`{found[1]}{same}`", escape(text, quote=False))
    code = CODE.sub(r"<code>\1</code>", text.replace(" %", "\u00a0%"))
    return OPTION.sub(r"<span>\g<0></span>", code)
