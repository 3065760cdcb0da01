"""The report: whole, self-contained, and saying what failed."""

import csv
import re
import shutil
from html.parser import HTMLParser

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB

from broken_strategies import FailsLater
from labelnext.experiment import Budget, Experiment, _report
from labelnext.experiment.outputs import MANIFEST, REPORT
from labelnext.pool import RandomSampling, UncertaintySampling
from labelnext.visualization.figures import picture

X, y = load_digits(return_X_y=True)


class Page(HTMLParser):
    """Collects text, what is linked to, and whether all tags are closed."""

    def __init__(self, html):
        super().__init__()
        self.text, self.links, self.open = "", [], []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.links += [value for name, value in attrs if name in ("src", "href")]
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


@pytest.fixture(scope="module", autouse=True)
def coarse():
    """Draw all, with few pixels."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_report, "picture", lambda figure, **_: picture(figure, dpi=20))
        yield


@pytest.fixture(scope="module")
def experiment():
    return Experiment(
        data={"digits <8×8>": (X[:300] / 16, y[:300])},
        models={"logistic": LogisticRegression(), "$b^$": GaussianNB()},
        strategies={
            "margin": UncertaintySampling("margin_sampling"),
            "fails": FailsLater(),
            "a$^$b<i>": RandomSampling(),
        },
        budgets=Budget(20, 10, 4),
        seeds=3,
    )


@pytest.fixture(scope="module")
def results(experiment):
    return experiment.run(n_jobs=1)


@pytest.fixture(scope="module")
def written(results, tmp_path_factory):
    return results.write_report(tmp_path_factory.mktemp("report") / "new" / "folder")


def read(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_one_page_that_needs_nothing_else(written):
    assert {path.name for path in written} == set(REPORT)
    assert all(path.is_file() for path in written)
    assert written[0].name == "report.html"
    html = written[0].read_text(encoding="utf-8")
    page = Page(html)
    assert page.open == []
    assert len(page.links) == 5
    assert all(link.startswith("data:image/png;base64,") for link in page.links)
    assert not re.search(r"https?://|<script|@import|url\(", html)
    for words in (
        "2 of 18 runs failed",
        "ZeroDivisionError: no more of this",
        "digits <8×8>, $b^$, batches of 10 from 20",  # escaped in the source
        "a$^$b<i>",
        "Who beats whom",
        "p (Holm)",
        "When to stop",
        "Seeds: 0, 1, 2.",
    ):
        assert words in page.text


def test_the_same_results_make_the_same_files_in_place_of_the_old(results, written):
    before = [path.read_bytes() for path in written]
    assert results.write_report(written[0].parent) == written
    assert [path.read_bytes() for path in written] == before


def test_tables_hold_what_the_results_say(results, written):
    tmp_path = written[0].parent
    rows = read(tmp_path / "results.csv")
    columns = results.to_dict()
    assert len(rows) == len(columns["seed"])
    assert [float(row["accuracy"]) for row in rows] == columns["accuracy"]
    summary = {row["strategy"]: row for row in read(tmp_path / "summary.csv")}
    curves = results.curves().values()
    mean = np.mean([curve.accuracy["margin"].mean() for curve in curves])
    assert float(summary["margin"]["mean accuracy"]) == pytest.approx(mean)
    assert summary["fails"]["failed"] == "2"
    totals = [float(value) for value in list(read(tmp_path / "penalties.csv")[-1].values())[1:]]
    assert totals == pytest.approx(results.penalties().totals.tolist())
    assert [float(summary[name]["was beaten"]) for name in summary] == pytest.approx(totals)
    failures = read(tmp_path / "failures.csv")
    assert [(row["strategy"], row["seed"]) for row in failures] == [("fails", "1")] * 2


def test_without_failures_there_is_no_word_of_them(experiment, written, tmp_path):
    shutil.copytree(written[0].parent, tmp_path, dirs_exist_ok=True)
    one = Experiment(
        data=experiment.data,
        models={"bayes": GaussianNB()},
        strategies={"random": RandomSampling()},
        budgets=Budget(20, 10, 1),
        seeds=1,
        levels=[0.3],
    ).run(n_jobs=1)
    files = one.write_report(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {path.name for path in files} | {MANIFEST}
    assert not {"failures.csv", "penalties.png"} & {path.name for path in files}
    page = Page(files[0].read_text(encoding="utf-8"))
    assert "failed." not in page.text
    assert "Who beats whom" not in page.text  # there is nobody to beat
    assert "30.0\u00a0%" in page.text


def test_where_every_run_failed(tmp_path):
    results = Experiment(
        data={"digits": (X[:300] / 16, y[:300])},
        models={"bayes": GaussianNB()},
        strategies={"one": FailsLater(0, 0), "two": FailsLater(0, 0)},
        budgets=Budget(20, 10, 2),
        seeds=1,
    ).run(n_jobs=1)
    page = Page(results.write_report(tmp_path)[0].read_text(encoding="utf-8"))
    assert "2 of 2 runs failed" in page.text
