"""What a loop's labels say: against loops whose answers are known."""

import csv
import json
import re

import numpy as np
import pytest

import labelnext
from labelnext.loop import Loop
from labelnext.loop.model import fit
from labelnext.report.read import Read
from labelnext.report.statistics import Saved, statistics
from labelnext.report.summary import (
    for_page,
    for_terminal,
    next_step,
    no_score,
    saving,
    score,
    summary,
    verdict,
)
from labelnext.report.told import Point, with_test_set
from labelnext.tools.export import export
from pages import chromium

CLASSES = ["a", "b", "c"]


class Simulated:
    """A loop of points in three clouds, with its features and truth, and people who err."""

    def __init__(self, folder, *, n=400, test=100, overlap=0.0, features=True, kind="text"):
        rng = np.random.default_rng(0)
        self.truth = rng.choice(3, n, p=[0.7, 0.2, 0.1])
        self.X = np.eye(3)[self.truth] * 2.5 + rng.normal(size=(n, 3))
        self.y = [CLASSES[c] for c in self.truth]
        self.ids = [f"s{i}" for i in range(n)]
        samples = [{"id": name, "text": f"<i>{name}"} for name in self.ids]
        self.loop = Loop.create(
            folder, samples, classes=CLASSES, test=test, random_state=0, overlap=overlap
        )
        self.rng = rng
        if features:
            pool = labelnext.Pool(features=self.X.astype(np.float32))
            labelnext.write_pool(self.loop.folder / "features", pool)

    def answer(self, *people, wrong=0.0, milliseconds=2000):
        for who in people:
            while items := self.loop.take(who, 100):
                for item in items:
                    value = self.y[item.key]
                    if self.rng.random() < wrong:
                        value = CLASSES[self.rng.integers(3)]
                    self.loop.record(item, "label", value, annotator=who, milliseconds=milliseconds)

    def round(self, k, *, random=0.2, seed=0, model=None):
        from sklearn.linear_model import LogisticRegression

        rows = self.loop.labels().labeled
        proba = None
        if len({self.y[row] for row in rows}) > 1:
            fitted = LogisticRegression().fit(self.X[rows], [self.y[row] for row in rows])
            proba, classes = fitted.predict_proba(self.X), fitted.classes_.tolist()
        pool = (
            labelnext.Pool(features=self.X, ids=self.ids)
            if proba is None
            else labelnext.Pool(proba, self.X, ids=self.ids, classes=classes)
        )
        self.loop.next(pool, k, random=random, random_state=seed, model=model)


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    """Three rounds, with a test set and two people for half of the picks."""
    one = Simulated(tmp_path_factory.mktemp("loop") / "l", overlap=0.5)
    one.answer("ann", "bob")
    for number in range(3):
        one.round(40, seed=number)
        one.answer("ann", "bob")
        one.loop.close({"accuracy": 0.8 + 0.05 * number, "loss": 1.5 - number}, round=number + 1)
    return one


def test_curves_have_labels_and_intervals(simulated):
    (curves,) = statistics(simulated.loop).curves.values()
    assert [(p.round, p.labels, p.value) for p in curves["accuracy"]] == [
        (1, 40, 0.8),
        (2, 80, pytest.approx(0.85)),
        (3, 120, pytest.approx(0.9)),
    ]
    last = curves["accuracy"][-1]
    assert (last.low, last.high) == (
        pytest.approx(0.8256, abs=1e-3),
        pytest.approx(0.9448, abs=1e-3),
    )
    assert np.isnan(curves["loss"][0].low)


def test_a_sample_counts_from_the_first_round_that_asked_for_it(tmp_path):
    loop = Loop.create(tmp_path / "l", list("vwxyz"), classes=["a", "b"], random_state=0)
    loop.add_labels(["0"], ["a"], annotator="ann", source="csv")  # nobody had asked
    for rows in ([1, 2], [1, 3]):  # the first was skipped once
        loop.next(labelnext.Pool(features=np.eye(2), ids=[*map(str, rows)]), 2, random=1.0)
        loop.close()
    loop.add_labels(["1", "2", "3"], ["a", "b", "b"], annotator="ann", source="csv")
    assert [Read(loop).labels_until(number) for number in range(4)] == [1, 3, 4, 4]


def test_guesses_are_held_against_labels_given_later(simulated):
    right = statistics(simulated.loop).right
    assert [(p.round, p.labels, p.n) for p in right["random"]] == [(2, 40, 8), (3, 80, 8)]
    expected = [
        pick["pseudo_label"] == simulated.y[int(pick["id"][1:])]
        for pick in simulated.loop.picks(2)
        if pick["kind"] == "strategy"
    ]
    assert right["strategy"][0].value == pytest.approx(np.mean(expected))
    # Those chosen are the hard ones.
    assert right["strategy"][0].value < right["random"][0].value


def test_labels_saved_are_told_with_an_interval(simulated):
    saved = statistics(simulated.loop).saved
    assert saved.random == 24
    assert saved.along[-1].labels == 120
    low, high = saved.saved
    assert low <= saved.random - saved.needed <= high
    assert saved.at_random[-1].value == pytest.approx(saved.accuracy)


def test_without_a_difference_nothing_is_saved(tmp_path):
    one = Simulated(tmp_path / "l")
    one.answer("ann")
    one.round(60, random=1.0)
    one.answer("ann")
    low, high = statistics(one.loop).saved.saved
    assert low <= 0 <= high


def test_why_nothing_is_told_of_labels_saved(tmp_path):
    few = Simulated(tmp_path / "few", test=5)
    few.answer("ann")
    few.round(10)
    few.answer("ann")
    assert statistics(few.loop).why["saved"] == (
        "It takes 20 labels of the test set (there are 5) and 10 labels of random picks "
        "(there are 2): make a loop with a larger one, `labelnext loop init SAMPLES --test 40 "
        "--loop NEW`; `labelnext loop next --strategy random`, then `labelnext loop label`."
    )
    none = Simulated(tmp_path / "none", features=False)
    assert "features, which `labelnext loop next` computes" in statistics(none.loop).why["saved"]


def test_classes_are_counted_and_the_warning_is_there(simulated):
    simulated.loop.report(simulated.loop.folder / "r.html", overwrite=True)
    page = (simulated.loop.folder / "r.html").read_text("utf-8")
    n = np.count_nonzero(simulated.loop.labels().y == "b")
    assert f"<td>b</td><td>{n}</td>" in page
    assert "Do not read class shares off the labels" in page
    share = simulated.loop.class_counts().rows[1]["share"]
    assert f"{100 * share:.0f}\u00a0%\u00a0(" in page


def test_agreement_of_people_who_guess_and_who_know(tmp_path, simulated):
    value, low, high = statistics(simulated.loop).agreement.alpha
    assert value == low == high == 1
    assert statistics(simulated.loop).agreement.pairs[0].people == ("ann", "bob")
    one = Simulated(tmp_path / "l", test=100, overlap=1.0)
    one.answer("ann")
    one.answer("bob", wrong=1.0)
    value, low, high = statistics(one.loop).agreement.alpha
    assert low < 0.2
    assert value == pytest.approx(statistics(one.loop).agreement.pairs[0].kappa, abs=0.15)


def test_what_was_taken_back_is_no_disagreement(tmp_path):
    loop = Loop.create(tmp_path / "l", ["x", "y"], classes=["a", "b"], test=1, random_state=0)
    for who, value in (("ann", "a"), ("bob", "b"), ("ann", "b")):
        loop.record("0", "label", value, annotator=who)
    assert statistics(loop).agreement.common == 1
    assert np.isnan(statistics(loop).agreement.pairs[0].kappa)  # of one sample
    loop.undo("bob")
    assert statistics(loop).agreement is None
    assert loop.votes() == {"0": {"ann": "b"}}


def test_time_of_each_person(simulated):
    n, low, middle, high = statistics(simulated.loop).times["ann"]
    assert n > 100
    assert low == middle == high == 2


def test_advice_to_stop(simulated, monkeypatch):
    found = statistics(simulated.loop)
    assert [point.round for point in found.stability] == [1, 2, 3]
    assert found.advice["agreement"] is None
    import labelnext.report.statistics as module

    monkeypatch.setattr(module, "kappa", lambda *_: 1.0)
    monkeypatch.setattr(module, "stable_at", lambda values: len(values) - 1)
    assert statistics(simulated.loop).advice["agreement"] == 3


def test_the_report_is_whole_and_nothing_in_it_acts(simulated, tmp_path):
    path = tmp_path / "loop.html"
    simulated.loop.report(path)
    page = path.read_text("utf-8")
    for title in ("Learning curve", "Labels saved", "When to stop", "Classes", "People", "Rounds"):
        assert f"<h2>{title}</h2>" in page
    assert "The map, round by round" in page
    content = json.loads(re.search(r'id="map-data">(.*?)</script>', page)[1])
    assert len(content["picks"]) == 120
    assert [mode["key"] for mode in content["modes"]] == ["round", "label"]
    assert content["picks"][0]["sample"]["fields"][0][1].startswith("<i>s")
    assert "<i>s" not in page.replace(json.dumps("<i>s")[1:-1], "") or "\\u003ci>s" in page
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", page)
    with pytest.raises(FileExistsError, match="overwrite=True"):
        simulated.loop.report(path)
    with pytest.raises(ValueError, match=r"must end in \.html"):
        simulated.loop.report(tmp_path / "loop.pdf")


def test_rounds_that_brought_no_labels_are_no_curve(tmp_path):
    """They stood above each other, in a vertical line at 0 labels."""
    loop = Loop.create(tmp_path / "l", list("abcdefgh" * 5), classes=["a", "b"], random_state=0)
    rng = np.random.default_rng(0)
    pool = labelnext.Pool(
        rng.dirichlet([1, 1], 40),
        rng.normal(size=(40, 3)),
        ids=loop.samples().ids,
        classes=["a", "b"],
    )
    for number in range(3):
        loop.next(pool, 5, random=0.0, random_state=number)
        loop.close()
    assert statistics(loop).potential == []
    assert statistics(loop).advice == {}
    loop.report(tmp_path / "l.html")
    assert "None yet. It takes two rounds with labels" in (tmp_path / "l.html").read_text("utf-8")
    for number in (2, 3):
        picks = [pick["id"] for pick in loop.picks(number)]
        loop.add_labels(picks, ["a"] * 5, annotator="ann", source="csv")
    labels = [0, *(point.labels for point in statistics(loop).potential)]
    assert len(labels) > 2
    assert labels == sorted(set(labels))


def test_scores_of_the_same_labels_are_drawn_over_rounds():
    from labelnext.report.page import _chart

    points = [Point(number, 20, 0.5 + number / 10) for number in (1, 2, 3)]
    assert 'aria-label="accuracy over rounds"' in _chart({"a": points}, y="accuracy")
    apart = [Point(number, 20 * number, 0.5) for number in (1, 2, 3)]
    assert 'aria-label="accuracy over labels"' in _chart({"a": apart}, y="accuracy")


@pytest.mark.parametrize(
    "options",
    [
        {"classes": ["a", "b"]},
        {"classes": ["a", "b"], "task": "multilabel", "test": 1},
        {"task": "regression", "test": 1, "overlap": 1.0},
        {"classes": ["<b>", "</script>"]},
    ],
)
def test_a_report_of_little(tmp_path, options):
    loop = Loop.create(tmp_path / "<l>", ["x", "y", "z"], random_state=0, **options)
    value = {"regression": 1.5, "multilabel": [], "multiclass": (loop.classes or [0])[0]}[loop.task]
    loop.report(tmp_path / "before.html")
    for who in ("ann", "<bob>"):
        loop.add_labels(["0", "1", "2"], [value] * 3, annotator=who, source="csv")
    loop.report(tmp_path / "after.html")
    page = (tmp_path / "after.html").read_text("utf-8")
    assert "nan" not in re.sub("[\\w-]*nan[\\w]+|[\\w]+nan[\\w-]*", "", page)
    assert not re.search("<bob>|<l>|<b>", page)


# What fills what is empty yet, by where the loop stands.
NEXT, LABEL = (
    "<code>labelnext loop next --loop l</code>",
    "<code>labelnext loop label --loop l</code>",
)
OVERLAP = "<code>labelnext loop next --overlap 0.1 --loop l</code>"
TO_FILL = {
    "nothing": {
        "top": "<code>labelnext loop init SAMPLES --test 20 --loop NEW</code>",
        "Learning curve": "<code>labelnext loop init SAMPLES --test 20 --loop NEW</code>",
        "Labels saved": NEXT,
        "When to stop": NEXT,
        "Classes": NEXT,
        "People": OVERLAP,
        "The map, round by round": NEXT,
        "Rounds": NEXT,
    },
    "test set": {
        "top": LABEL,
        "Learning curve": LABEL,
        "Labels saved": NEXT,
        "When to stop": LABEL,
        "Classes": LABEL,
        "People": LABEL,
        "The map, round by round": NEXT,
    },
    "test set labelled": {
        "top": NEXT,
        "Learning curve": NEXT,
        "Labels saved": NEXT,
        "When to stop": NEXT,
        "The map, round by round": NEXT,
    },
    "one round": {
        "top": LABEL,
        "Learning curve": LABEL,
        "Labels saved": "labelnext loop next --strategy random --loop l",
        "When to stop": LABEL,
    },
    "one round labelled": {
        "top": NEXT,
        "Labels saved": "labelnext loop next --strategy random --loop l",
        "When to stop": NEXT,
        "People": OVERLAP,
    },
}


@pytest.mark.parametrize("task", ["multiclass", "multilabel", "regression"])
@pytest.mark.parametrize("state", TO_FILL)
def test_what_is_empty_names_the_command_that_fills_it(tmp_path, state, task):
    texts = [f"{word} {i}" for i in range(10) for word in ("good", "bad", "fine")]
    classes = None if task == "regression" else ["a", "b"]
    test = 20 if state != "nothing" else 0
    options = {"classes": classes, "task": task, "test": test, "random_state": 0}
    loop = Loop.create(tmp_path / "l", texts, **options)
    value = {"multiclass": "a", "multilabel": ["a"], "regression": 1.0}[task]

    def answer():
        for item in loop.take("ann", 100):
            loop.record(item, "label", value, annotator="ann")

    if "labelled" in state or "round" in state:
        answer()
    if "round" in state:
        loop.next(k=5, random=0.2)
    if state == "one round labelled":
        answer()
    loop.report(tmp_path / "l.html")
    page = re.sub("<span>|</span>", "", (tmp_path / "l.html").read_text("utf-8"))
    _, top, *sections = re.split(r"<h[12]>", page)
    found = {"top": top} | dict(section.split("</h2>", 1) for section in sections)
    expected = dict(TO_FILL[state])
    if task != "multiclass":
        expected["Labels saved"] = "classes, of which a sample has one"
        expected["When to stop"] = expected["When to stop"].replace(
            "loop next", "loop next --strategy badge"
        )
    if task == "regression":
        expected.pop("Classes", None)
    assert {
        title: command for title, command in expected.items() if command not in found[title]
    } == {}


@pytest.mark.parametrize("task", ["multiclass", "multilabel", "regression"])
def test_a_curve_is_computed_where_no_metrics_were_told(tmp_path, task):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(120, 2))
    rows = [{"a": a, "b": b} for a, b in X.tolist()]
    truth = {
        "multiclass": ["b" if a > 0 else "a" for a, _ in X],
        "multilabel": [[n for n, v in zip("ab", x, strict=True) if v > 0] for x in X],
        "regression": (X @ [2, 1]).tolist(),
    }[task]
    classes = None if task == "regression" else ["a", "b"]
    loop = Loop.create(tmp_path / "l", rows, classes=classes, task=task, test=40, random_state=0)

    def answer():
        while items := loop.take("ann", 50):
            for item in items:
                loop.record(item, "label", truth[item.key], annotator="ann")

    name = "rmse" if task == "regression" else "accuracy"
    for number in range(2):
        answer()
        if number == 1:
            loop.report(tmp_path / "one.html")
            page = (tmp_path / "one.html").read_text("utf-8").replace("RMSE", "rmse")
            assert "macro_f1" not in page
            assert re.search(f"Newest: {name} .* on 40 samples of the test set, with 15 ", page)
            assert f'aria-label="{name} over labels"' not in page  # one point is no curve
        loop.next(fit(loop).pool, 15, random_state=number)  # of a pool it is not known what made it
    answer()
    found = statistics(loop)
    curve = found.curves["default"][name]
    assert [point.labels for point in curve] == [15, 30]
    assert "default model" in found.why["curves"]
    assert curve[-1].value < 0.1 if classes is None else curve[-1].value > 0.8
    loop.report(tmp_path / "l.html")
    page = (tmp_path / "l.html").read_text("utf-8")
    assert "default model" in page
    # A number of no known kind is no percentage.
    assert (" %</text>" in page.split("<h2>")[1]) == (task != "regression")
    # Records are shown by their columns.
    content = json.loads(re.search(r'id="map-data">(.*?)</script>', page)[1])
    assert [name for name, _ in content["picks"][0]["sample"]["fields"]] == ["a", "b"]
    loop.close({"accuracy": 0.5}, round=1)
    (points,) = statistics(loop).curves["unnamed"].values()
    assert [point.value for point in points] == [0.5]
    assert "curves" not in statistics(loop).why


def test_a_round_drawn_at_random_is_a_random_slice(tmp_path):
    one = Simulated(tmp_path / "l", n=200, test=40)
    one.answer("ann")
    one.loop.next(labelnext.Pool(features=one.X, ids=one.ids), 30, strategy="random")
    one.answer("ann")
    assert {pick["kind"] for pick in one.loop.picks(1)} == {"random"}
    assert one.loop.rounds()[1]["parameters"]["random"] == 1
    assert statistics(one.loop).saved.random == 30


def test_no_page_tells_where_files_are(tmp_path):
    from PIL import Image

    home = tmp_path / "home-of-ann"
    (home / "pictures" / "in").mkdir(parents=True)
    for i in range(6):
        Image.new("RGB", (8, 8), (40 * i, 0, 0)).save(home / "pictures" / "in" / f"{i}.png")
    (home / "pictures" / "in" / "7.png").write_bytes(b"no picture")
    loop = Loop.create(tmp_path / "l", home / "pictures", classes=["a", "b"], random_state=0)
    (home / "pictures" / "in" / "5.png").unlink()
    loop.next(k=7)
    loop.report(tmp_path / "l.html")
    page = (tmp_path / "l.html").read_text("utf-8")
    assert "home-of-ann" not in page
    assert page.count("data:image/png") == 5
    for broken, why in [("5", "No such file or directory"), ("7", "no picture that can be read")]:
        assert f"in/{broken}.png (not shown: {why})" in page
    paths = [str(home / "pictures" / name) for name in loop.samples().ids]
    pool = labelnext.open_pool(loop.folder / "features")
    labelnext.select(pool, 3, strategy="random").report(tmp_path / "b.html", samples=paths)
    assert "home-of-ann" not in (tmp_path / "b.html").read_text("utf-8")


def test_a_lucky_peak_saves_nothing(simulated, monkeypatch):
    """Right at once with a few labels, then wrong until the end."""
    import labelnext.report.statistics as module

    loop, truth = simulated.loop, np.array(simulated.y, dtype=object)

    def fit(X, y, classes):
        n = sum(value is not None for value in y)
        share = {5: 0.95}.get(n, 0.9 if n > 90 else 0.8 if n == 24 else 0.5)
        right = np.random.default_rng(5).permutation(len(y)) < share * len(y)
        return {}, np.where(right, truth, "none")

    monkeypatch.setitem(module.linear.FITS, "multiclass", fit)
    saved = statistics(loop).saved
    assert saved.along[0].value > saved.accuracy > saved.along[1].value
    assert saved.needed > 60


@pytest.mark.parametrize(("speed", "verdict"), [(3, "saved labels"), (0.2, "cost labels")])
def test_a_saving_that_is_known_is_found(simulated, monkeypatch, speed, verdict):
    """A model that is right in so many of the test set, by how many labels it has seen."""
    import labelnext.report.statistics as module

    loop = simulated.loop
    random = {
        int(pick["id"][1:])
        for number in (1, 2, 3)
        for pick in loop.picks(number)
        if pick["kind"] == "random"
    }
    truth = np.array(simulated.y, dtype=object)

    def fit(X, y, classes):
        rows = {row for row, value in enumerate(y) if value is not None}
        share = min(1.0, len(rows) * (1 if rows <= random else speed) / 30)
        right = np.random.default_rng(5).permutation(len(y)) < share * len(y)
        return {}, np.where(right, truth, "none")

    monkeypatch.setitem(module.linear.FITS, "multiclass", fit)
    saved = statistics(loop).saved
    low, high = saved.saved
    assert (low > 0) if speed > 1 else (high < 0)
    assert low <= saved.random - saved.needed <= high
    loop.report(loop.folder / "r.html", overwrite=True)
    page = (loop.folder / "r.html").read_text("utf-8")
    # The verdict comes first, in the summary and where it is explained.
    assert page.count(f"<li>Choosing has {verdict}. For what ") == 1
    assert page.count(f"<p><strong>Choosing has {verdict}.</strong> For what ") == 1


def test_the_summary_says_what_is_wanted_first(simulated, tmp_path):
    of = Read(simulated.loop)
    *lines, last = summary(of, statistics(simulated.loop))
    assert lines[0] == (
        "300 samples, 120 labelled; test set 100, 100 labelled. 3 rounds, 2 annotators."
    )
    assert lines[1].replace("\u00a0", " ") == (
        "Newest score: accuracy 90.0 % (95 % interval 82.6 % to 94.5 %) on 100 samples of the test "
        "set, with 120 labels."
    )
    assert "may still be chance" in lines[2].split(".")[0]
    assert "for what 24 labels drawn at random reach" in lines[2].lower()
    assert lines[3].startswith("110 samples labelled by several people; Krippendorff's alpha: 1.00")
    assert last == "Nothing is asked for: `labelnext loop next` chooses more"
    # A terminal says the same, less what takes models.
    assert summary(of) == [*lines[:2], lines[3], last]
    assert for_terminal(last, " --loop 'a b'").endswith(
        ": labelnext loop next --loop 'a b' chooses more"
    )
    simulated.loop.report(tmp_path / "l.html")
    page = (tmp_path / "l.html").read_text("utf-8")
    assert re.findall("<li>.*?</li>", page)[:5] == [
        f"<li>{for_page(line, simulated.loop)}</li>" for line in [*lines, last]
    ]


def test_what_comes_next(tmp_path):
    loop = Loop.create(tmp_path / "l", ["x", "y", "z"], classes=["a", "b"], random_state=0)
    loop.add_labels(["0"], ["a"], annotator="ann", source="csv")
    assert next_step(Read(loop)) == "Nothing is asked for: `labelnext loop next` chooses more"
    loop.next(k=2)
    assert next_step(Read(loop)) == "2 answers missing: `labelnext loop label`"
    loop.add_labels(["1", "2"], ["a", "b"], annotator="ann", source="csv")
    export = "All is labelled: `labelnext loop export labels.csv`"
    assert next_step(Read(loop)) == f"{export}; `labelnext loop next` measures it"
    loop.close({"accuracy": 1.0})
    assert next_step(Read(loop)) == export


@pytest.mark.parametrize(("n", "test"), [(2, 1), (15, 14), (61, 20), (1000, 100), (9000, 200)])
def test_the_size_of_a_test_set_fits_the_samples(n, test):
    assert f"--test {test} " in with_test_set(n)


def test_a_score_that_was_told_once_is_not_the_newest():
    points = [Point(1, 10, 0.5, 0.4, 0.6, 100)], [Point(1, 10, 2.0), Point(2, 20, 1.0)]
    assert score({"accuracy": points[0], "loss": points[1]}) == (
        "loss 1 on the test set, with 20 labels."
    )
    assert score({"z\x1b[2J": points[1]}).startswith("z\\x1b[2J 1 on")


@pytest.mark.parametrize(
    ("needed", "reached", "interval", "words"),
    [
        (12, True, (2, 20), "Choosing has saved labels. For what 24 labels drawn at random reach"),
        (12, True, (-2, 20), "It may still be chance that choosing has saved labels. For what 24"),
        (24, True, (-2, 9), "Nothing was saved so far, and that may still be chance. For what 24"),
        (40, False, (-30, 4), "Nothing was saved so far, and that may still be chance. For what"),
        (40, False, (-30, -4), "Choosing has cost labels. For what 24 labels drawn at random"),
    ],
)
def test_what_may_be_chance_is_said_before_the_number(needed, reached, interval, words):
    along = [Point(-1, 40, 0.9 if reached else 0.5)]
    saved = Saved(24, 0.8, needed, interval, along, [Point(-1, 24, 0.8)])
    said = f"{verdict(saved)} {saving(saved)}"
    assert said.startswith(words)
    assert ("were not enough" in said) != reached
    assert ("never gets there" in said) == (interval[0] <= -16)


WIDER = """() => [...document.querySelectorAll("body *")].filter(one => {
  const box = one.getBoundingClientRect();
  if (!box.width || !box.height || (box.left >= 0 && box.right <= innerWidth)) return false;
  for (let at = one.parentElement; at !== document.body; at = at.parentElement)
    if (getComputedStyle(at).overflowX !== "visible") return false;
  return true;
}).map(one => [one.outerHTML.slice(0, 80), one.getBoundingClientRect().toJSON()])"""


@pytest.mark.xdist_group("chromium")
def test_nothing_is_wider_than_a_phone(tmp_path):
    one_word = "Donaudampfschifffahrtsgesellschaftskapitänsmütze" * 3
    classes = [one_word, "قماش أزرق طويل جدا", "<b>", "a b " * 30, *map(str, range(26))]
    texts = [f"{name} {'x' * 90} {name}" for name in classes for _ in range(5)]
    loop = Loop.create(tmp_path / one_word[:120], texts, classes=classes, test=25, random_state=0)
    pages = {"before": tmp_path / "before.html", "after": tmp_path / "after.html"}
    loop.report(pages["before"])
    for number in range(3):
        for who in ("ann", f"{one_word}@example.org"):
            while items := loop.take(who, 50):
                for item in items:
                    label = classes[item.key // 5]
                    loop.record(item, "label", label, annotator=who, milliseconds=99_000)
        loop.next(k=20, random=0.5, overlap=1.0, random_state=number)
        loop.close({"accuracy": 0.9999 + number / 1e5, one_word: 1e-7 * number}, round=number)
    loop.report(pages["after"])
    pool = labelnext.open_pool(loop.folder / "features")
    proba = np.random.default_rng(0).dirichlet(np.ones(30), len(texts))
    pool = labelnext.Pool(
        proba, pool.features[:], ids=[f"{t}{i}" for i, t in enumerate(texts)], classes=classes
    )
    pages["batch"] = tmp_path / "batch.html"
    labelnext.select(pool, 30, random_state=0).report(pages["batch"], samples=texts)
    with chromium() as browser:
        window = browser.new_page(viewport={"width": 360, "height": 800})
        for path in pages.values():
            window.goto(path.as_uri())
            window.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
            assert window.evaluate(WIDER) == [], path
            assert window.evaluate("document.documentElement.scrollWidth") == 360, path


@pytest.mark.slow
@pytest.mark.xdist_group("chromium")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_can_be_used_by_all(simulated, tmp_path, scheme):
    from axe_playwright_python.sync_playwright import Axe

    simulated.loop.report(tmp_path / "loop.html")
    Loop.create(tmp_path / "new", ["x"], classes=["<b>", "b"]).report(tmp_path / "new.html")
    said, faults = [], []
    with chromium() as browser:
        for width, name in [(390, "loop"), (1280, "loop"), (1280, "new")]:
            page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
            page.on("console", lambda message: said.append(message.text))
            page.on("pageerror", lambda error: said.append(str(error)))
            page.goto((tmp_path / f"{name}.html").as_uri())
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            if name == "loop":
                page.get_by_label("Label", exact=True).check()
                page.locator("summary").click()
            found = Axe().run(page).response["violations"]
            faults += [(each["id"], each["nodes"][0]["html"][:120]) for each in found]
    assert faults == []
    assert said == []


# Of each table that does not fit: its name, whether Tab reaches it, how much darker its edge is.
SCROLLED = """() => [...document.querySelectorAll(".wide")]
  .filter(one => one.scrollWidth > one.clientWidth + 1)
  .map(one => [one.getAttribute("aria-label"), one.getAttribute("role"), one.tabIndex])"""


@pytest.mark.xdist_group("chromium")
def test_room_is_used_and_what_scrolls_says_so(simulated, tmp_path):
    import io

    from PIL import Image

    simulated.loop.report(tmp_path / "loop.html")
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.goto((tmp_path / "loop.html").as_uri())
        for width in (1280, 1920):
            page.set_viewport_size({"width": width, "height": 800})
            boxes = page.evaluate(
                "[...document.querySelectorAll('.chart')].map(c => c.getBoundingClientRect().right)"
            )
            assert max(boxes) > 0.85 * width  # charts stand beside each other
            lines = page.evaluate(
                "[...document.querySelectorAll('p, li')].map(p => p.getBoundingClientRect().width)"
            )
            assert max(lines) < 760
        page.set_viewport_size({"width": 360, "height": 800})
        scrolled = page.evaluate(SCROLLED)
        assert ["Rounds", "region", 0] in scrolled
        assert all(name and role == "region" and tab == 0 for name, role, tab in scrolled)
        table = page.get_by_role("region", name="Rounds")

        def edge():
            shot = Image.open(io.BytesIO(table.screenshot())).convert("L")
            return shot.getpixel((shot.width - 2, shot.height - 6))

        before = edge()
        table.evaluate("one => { one.scrollLeft = 10_000 }")
        assert before < edge() - 20  # a shadow, until its end is seen


def test_curves_are_each_of_one_model_and_the_newest_is_told(tmp_path):
    """A score of 1.0 and one of 0.3 were joined into a curve that fell."""
    one = Simulated(tmp_path / "l")
    one.answer("ann")
    for number, (model, value) in enumerate(
        [("--pool p", 0.9), ("--pool p", 0.95), ("default", 0.3)]
    ):
        one.round(20, seed=number)
        one.answer("ann")
        one.loop.score({"accuracy": value, "macro_f1": value}, model=model)
    of = Read(one.loop)
    found = statistics(one.loop)
    assert {
        model: [(p.round, p.value) for p in curves["accuracy"]]
        for model, curves in found.curves.items()
    } == {"default": [(3, 0.3)], "--pool p": [(1, 0.9), (2, 0.95)]}
    line = summary(of, found)[1].replace("\u00a0", " ")
    assert line.startswith("Newest score, of the default model: accuracy 30.0 % (95 % interval")
    assert line.endswith("There are scores of --pool p, too, each a curve of its own.")
    one.loop.report(tmp_path / "l.html")
    page = (tmp_path / "l.html").read_text("utf-8")
    assert "</svg> on the test set, of the default model</span>" in page
    assert "</svg> on the test set, of --pool p</span>" in page
    one.loop.score({"accuracy": 0.97}, model="--pool p")
    assert [*statistics(one.loop).curves] == ["--pool p", "default"]
    assert "Newest score, of --pool p: accuracy 97.0" in summary(Read(one.loop))[1]


def test_what_models_say_is_never_held_against_what_another_says(tmp_path):
    one = Simulated(tmp_path / "l")
    one.answer("ann")
    for number, model in enumerate(["mine", "other", "mine", "mine"]):
        one.round(20, seed=number, model=model)
        one.answer("ann")
    found = statistics(one.loop)
    assert [point.round for point in found.right["random"]] == [3, 4]  # the first had no guesses
    assert [point.round for point in found.potential] == [3, 4]
    one.round(20, seed=5)  # of a model that nobody has named
    assert [point.round for point in statistics(one.loop).potential] == [5]


def test_a_loop_of_another_model_is_told_how_to_get_features_and_no_more(tmp_path):
    one = Simulated(tmp_path / "l", features=False)
    one.answer("ann")
    one.round(20, model="--pool p")
    one.answer("ann")
    why = statistics(one.loop).why["saved"]
    assert "`labelnext loop report --features --force` computes them, and chooses nothing" in why
    of = Read(one.loop)
    assert next_step(of).endswith(": `labelnext loop next` chooses more, with --pool as before")
    assert "Train on what is labelled, and measure: `labelnext loop next`, with --pool" in no_score(
        of
    )
    one.loop.report(tmp_path / "l.html")
    page = (tmp_path / "l.html").read_text("utf-8")
    assert page.count("report <span>--features</span>") == 4
    pool = labelnext.Pool(features=one.X.astype(np.float32))
    labelnext.write_pool(one.loop.folder / "features", pool)
    asked = "`labelnext loop next --strategy random`, with --pool as before, then"
    assert asked in statistics(one.loop).why["saved"]


def test_a_test_set_that_was_closed_without_labels_is_said(tmp_path):
    loop = Loop.create(tmp_path / "l", list("vwxyz"), classes=["a", "b"], test=2, random_state=0)
    loop.close()
    said = "The test set was closed without a label; to have people asked for it again: "
    assert summary(Read(loop))[1] == f"Not measured yet. {said}`labelnext loop reopen`."
    loop.reopen_test()
    assert "labelnext loop label" in no_score(Read(loop))


def test_a_tie_is_no_label(tmp_path):
    """Of the library, the status, the report and the export alike."""
    loop = Loop.create(tmp_path / "l", list("vwxyz"), classes=["a", "b"], test=2, random_state=0)
    rows = [pick["id"] for pick in loop.picks(0)]
    loop.add_labels(rows, ["a", "a"], annotator="ann", source="csv")
    loop.add_labels(rows, ["a", "b"], annotator="bo", source="csv")
    assert loop.labels(split="test").labeled.tolist() == [int(rows[0])]
    export(loop, tmp_path / "labels.csv")
    with open(tmp_path / "labels.csv", encoding="utf-8", newline="") as file:
        written = {row["id"]: row["label"] for row in csv.DictReader(file)}
    assert written == {rows[0]: "a", rows[1]: ""}
    loop.report(tmp_path / "l.html")
    page = (tmp_path / "l.html").read_text("utf-8")
    assert "test set 2, 1 labelled." in page
    assert "<td>test set</td><td>open</td><td>2</td><td>1</td>" in page
    of = Read(loop)
    assert summary(of)[0].startswith("3 samples, 0 labelled; test set 2, 1 labelled.")
    assert of.rounds[0]["labeled"] == 1
