"""The report: one HTML file that needs no network, with its tables and pictures beside it."""

from __future__ import annotations

import re
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from labelnext.experiment._results import Findings, levels_of
from labelnext.experiment._store import versions
from labelnext.experiment.outputs import REPORT, Outputs
from labelnext.utils.page import details, image, page, section, table
from labelnext.utils.text import as_csv, counted
from labelnext.visualization import (
    plot_error_distribution,
    plot_learning_curves,
    plot_penalties,
    plot_seconds,
    plot_stability,
)
from labelnext.visualization.figures import DOTTED, picture

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from matplotlib.figure import Figure

    from labelnext.experiment._records import Columns, Setting


class Results(Findings):
    """Every round of every run of an experiment, and what can be read from them.

    `Experiment.run` returns it.

    Parameters
    ----------
    rounds : dict of (Setting, str, int) to tuple of Round
        The rounds by setting, strategy and seed.
    failures : tuple of Failure
        The runs that failed. Their rounds up to there are kept, but no mean or test uses them.
    budgets : dict of Setting to Budget
        How many labels were bought in each setting.
    strategies : tuple of str
        The names of the strategies.
    seeds : tuple of int
        The seeds.
    reference : str
        The strategy whose errors others are measured by.
    levels : tuple of float, default=()
        Accuracies of interest.

    Examples
    --------
    >>> from labelnext.experiment import Budget, Experiment
    >>> results = Experiment(
    ...     data="digits",
    ...     models="logistic",
    ...     strategies=["margin", "random"],
    ...     budgets=Budget(start=50, batch=50, rounds=1),
    ...     seeds=2,
    ... ).run(n_jobs=1)
    >>> frame = results.to_frame()
    >>> frame.groupby(["strategy", "labels"])["accuracy"].mean().round(3)
    strategy  labels
    margin    50        0.830
              100       0.912
    random    50        0.830
              100       0.886
    Name: accuracy, dtype: float64
    """

    def write_report(self, folder: str | Path) -> list[Path]:
        """Write the report: one HTML file that needs no network, tables and pictures.

        Parameters
        ----------
        folder : str or Path
            Where to; made if there is none. Files of an earlier report are replaced, which the
            file ``labelnext-files.json`` lists.

        Returns
        -------
        list of Path
            The files, ``report.html`` first.

        Raises
        ------
        FileExistsError
            If something else has a name that would be written; nothing is written then.
        """
        outputs = Outputs(folder, "report")
        outputs.check(REPORT)
        tables, pictures = self.tables(), _pictures(self)
        files = {"report.html": _page(self, tables, pictures)}
        files |= {f"{name}.csv": as_csv(columns) for name, columns in tables.items()}
        files |= {f"{name}.png": content for name, content in pictures.items()}
        return outputs.write(files, remove=REPORT)


def _page(results: Findings, tables: Mapping[str, Columns], pictures: Mapping[str, bytes]) -> bytes:
    """Put the sections together."""
    reference = escape(results.reference)
    sections = [
        section(
            "At a glance",
            "Accuracy is averaged over the curves and settings. A strategy beats another at a "
            "number of labels if a paired t-test over the seeds says so (p &lt; 0.05); numbers of "
            "labels count as shares of their setting. The error is that of the compared numbers of "
            f"labels, divided by that of {reference}. Seconds are the median for one batch on one "
            "core.",
            table("At a glance", tables["summary"]),
        ),
        section(
            "Learning curves",
            "Mean accuracy on the test set and its 95 % interval over the seeds. A dotted line "
            "is an accuracy for which labels are counted below.",
            _picture(pictures, "learning-curves"),
            "<h3>In the end</h3>",
            table("In the end", tables["final-accuracy"], percent=results.strategies),
        ),
        section(
            "Labels needed",
            "The labels at which a strategy first measured at least this accuracy: mean and 95 % "
            "interval over the seeds, in steps of a batch. Without a level of your own, it is the "
            "highest whole percent that all strategies reached in the end.",
            table("Labels needed", tables["labels-needed"], percent=("accuracy",)),
        ),
    ]
    if len(results.strategies) > 1:
        sections += [
            section(
                "Who beats whom",
                "The pairwise penalty matrix of the BADGE paper (Ash et al., ICLR 2020): how often "
                "the strategy of the row beat that of the column, of at most "
                f"{len(results.budgets)}, the number of settings. The sums below the columns say "
                "how often a strategy was beaten: less is better.",
                _picture(pictures, "penalties"),
            ),
            section(
                "How large the errors are",
                f"Errors as multiples of those of {reference}, over all compared numbers of labels "
                "and settings: a curve farther left and up is better.",
                _picture(pictures, "normalized-errors"),
            ),
            section(
                "Paired tests",
                "For two strategies in one setting, the difference in accuracy averaged over the "
                "curve, seed by seed, ± half the width of its 95 % interval. p is that of a "
                "two-sided paired t-test; p (Holm) is corrected for all tests in this table.",
                details("All tests", _tests(tables["paired-tests"])),
                _found(tables["paired-tests"]),
            ),
        ]
    sections += [
        section(
            "Seconds for a batch",
            "The median time for choosing one batch, on one core. Times depend on the machine "
            "and on what else it does.",
            _picture(pictures, "seconds"),
            table("Seconds for a batch", tables["seconds"]),
        ),
        section(
            "When to stop",
            "Nothing was stopped; this is what two rules would have advised, which see no labels "
            "of the pool. <em>Agreement</em>: predictions are stable, kappa of successive models "
            "is 0.99 or more on average over three rounds (Bloodgood and Vijay-Shanker, CoNLL "
            "2009). <em>Potential</em>: the mean D² that a batch leaves has fallen to a tenth of "
            "its highest, two rounds in a row; a rule of thumb. Labels and accuracy are means over "
            "the seeds at which the rule would have stopped, beside the accuracy of the same runs "
            "in the end.",
            _picture(pictures, "stability"),
            table("When to stop", tables["stopping"], percent=("accuracy", "final")),
        ),
        section("Settings", "", _settings(results)),
    ]
    body = "\n".join([_failures(results), *sections])
    return page("Query strategies compared", f"{_lead(results)}\n{body}")


def _lead(results: Findings) -> str:
    strategies = counted(len(results.strategies), "strategy", "strategies")
    settings = counted(len(results.budgets), "setting")
    seeds = counted(len(results.seeds), "seed")
    runs = counted(len(results.rounds), "run")
    return (
        f'<p class="quiet">{strategies} in {settings} at {seeds}: {runs}. At a seed all strategies '
        "have the same pool, test set, start and model.</p>"
    )


def _failures(results: Findings) -> str:
    """Say first what went wrong."""
    if not results.failures:
        return ""
    items = "".join(
        f"<li>{escape(failure.strategy)} in {escape(str(failure.setting))}, seed {failure.seed}, "
        f"round {failure.round}: {escape(failure.error)}"
        + details("Traceback", f"<pre>{escape(failure.details)}</pre>")
        + "</li>"
        for failure in results.failures
    )
    return (
        f'<div class="failed"><strong>{len(results.failures)} of '
        f"{counted(len(results.rounds), 'run')} "
        "failed.</strong> The others went on. Those are left out of all means and tests: the "
        "curves of such a strategy are over fewer seeds, and its tests over those that are left."
        f"{details('Which', f'<ul>{items}</ul>')}</div>"
    )


def _found(tests: Columns) -> str:
    """Sum the tests up."""
    p = np.array(tests["p_holm"], dtype=np.float64)
    lines = []
    for place in np.flatnonzero(p < 0.05):
        first, second = tests["first"][place], tests["second"][place]
        if tests["difference"][place] < 0:
            first, second = second, first
        lines.append(
            f"<li>{escape(tests['setting'][place])}: {escape(first)} above {escape(second)} by "
            f"{100 * abs(tests['difference'][place]):.2f} points (p (Holm) {_small(p[place])})</li>"
        )
    if not lines:
        return f"<p>Of {len(p)} pairs, none differ after correction (p (Holm) &lt; 0.05).</p>"
    return (
        f"<p>Of {len(p)} pairs, {len(lines)} differ after correction (p (Holm) &lt; 0.05):</p>"
        f"<ul>{''.join(lines)}</ul>"
    )


def _tests(tests: Columns) -> str:
    shown: Columns = {
        "setting": tests["setting"],
        "first": tests["first"],
        "second": tests["second"],
        "difference (points)": [
            f"{100 * mean:+.2f} ± {100 * half:.2f}"
            for mean, half in zip(tests["difference"], tests["half"], strict=True)
        ],
        "p": [_small(value) for value in tests["p"]],
        "p (Holm)": [_small(value) for value in tests["p_holm"]],
        "seeds": tests["n_seeds"],
    }
    return table("Paired tests", shown)


def _settings(results: Findings) -> str:
    items = "".join(
        f"<li>{escape(str(setting))}: {counted(budget.rounds, 'batch', 'batches')} "
        f"to {counted(budget.total, 'label')}</li>"
        for setting, budget in results.budgets.items()
    )
    seeds = ", ".join(map(str, results.seeds))
    used = ", ".join(f"{name} {number}" for name, number in versions().items())
    return f"<ul>{items}</ul><p>Seeds: {seeds}.<br>Versions: {escape(used)}.</p>"


def _picture(pictures: Mapping[str, bytes], name: str) -> str:
    if name not in pictures:
        return ""
    return image(pictures[name], name.replace("-", " "))


def _small(p: float) -> str:
    return "–" if np.isnan(p) else "< 0.001" if p < 0.001 else f"{p:.3f}"


def _pictures(results: Findings) -> dict[str, bytes]:
    """Draw all that a report shows, as the contents of .png files by their names."""
    figures = {"learning-curves": _learning_curves(results), "stability": _stability(results)}
    n = len(results.strategies)
    if n > 1:
        matrix = results.penalties()
        figures["penalties"] = _figure(3.4 + 0.62 * n, 2.6 + 0.62 * n)
        axes = figures["penalties"].add_subplot()
        plot_penalties(matrix.matrix, matrix.strategies, n_settings=matrix.n_settings, axes=axes)
        figures["normalized-errors"] = _figure(7.5, 4.6)
        axes = figures["normalized-errors"].add_subplot()
        plot_error_distribution(results.normalized_errors(), reference=results.reference, axes=axes)
    seconds = {str(setting): found for setting, found in results.select_seconds().items()}
    if len(seconds) <= 12:  # beyond that the table is clearer
        figures["seconds"] = _figure(9, 1.4 + 0.25 * n * len(seconds))
        plot_seconds(seconds, axes=figures["seconds"].add_subplot())
    return {name: picture(figure, dpi=130) for name, figure in figures.items()}


def _learning_curves(results: Findings) -> Figure:
    curves = results.curves()
    columns = min(2, len(curves))
    rows = -(-len(curves) // columns)
    figure = _figure(6.6 * columns, 4.4 * rows + 0.4)
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for panel in panels[len(curves) :]:
        panel.set_axis_off()
    for panel, (setting, curve) in zip(panels, curves.items(), strict=False):
        plot_learning_curves(curve.labels, curve.accuracy, axes=panel)
        low, high = panel.get_ylim()
        for level in levels_of(results, curve):
            if low <= level <= high:  # a line far from all curves would flatten them
                panel.axhline(level, **DOTTED)
        _title(panel, setting)
    return _with_one_legend(figure)


def _stability(results: Findings) -> Figure:
    figure = _figure(13.2, 3.8 * len(results.budgets) + 0.4)
    panels = figure.subplots(len(results.budgets), 2, squeeze=False)
    for row, (setting, budget) in zip(panels, results.budgets.items(), strict=True):
        whole = {name: results.complete(setting, name) for name in results.strategies}
        agreement, potential = (
            {
                name: [[getattr(step, measure) for step in steps] for steps in runs]
                for name, runs in whole.items()
                if runs
            }
            for measure in ("agreement", "potential")
        )
        plot_stability(budget.labels, agreement, potential, axes=row)
        _title(row[0], setting)
    return _with_one_legend(figure)


def _title(panel: Any, setting: Setting) -> None:
    # A name with dollars is no mathematics.
    panel.set_title(str(setting), loc="left", weight="bold", fontsize=11, parse_math=False)


def _with_one_legend(figure: Figure) -> Figure:
    """Put one legend below all panels; in them it would hide curves."""
    found: dict[str, Any] = {}
    for panel in figure.axes:
        for line, label in zip(*panel.get_legend_handles_labels(), strict=True):
            # Of how many seeds a curve is, which a label may add, differs between panels.
            found.setdefault(re.sub(r" \(\d+ of \d+\)$", "", str(label)), line)
        if (legend := panel.get_legend()) is not None:
            legend.remove()
    if found:
        columns = min(len(found), 8)
        figure.legend(
            found.values(), list(found), loc="outside lower center", ncols=columns, frameon=False
        )
    return figure


def _figure(width: float, height: float) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")
