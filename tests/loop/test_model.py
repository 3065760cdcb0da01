"""The default model: what it makes of labels, what it reaches, and before there are any."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

import labelnext
from labelnext.estimators.linear import measure
from labelnext.loop import Loop
from labelnext.loop.model import fit, strategy_for, without_features

KINDS = [*"aabbcc"] * 5
TEXTS = [f"{ {'a': 'apples and pears', 'b': 'wood and stone', 'c': 'rain or snow'}[k] } {i % 7}"
         for i, k in enumerate(KINDS)]  # fmt: skip


@pytest.fixture
def make(tmp_path):
    def make(task="multiclass", classes=("a", "b", "c", "d"), **options):
        classes = None if task == "regression" else list(classes)
        folder = tmp_path / "loop"
        return Loop.create(folder, TEXTS, classes=classes, task=task, random_state=0, **options)

    return make


def label(loop, rows, value=lambda row: KINDS[row]):
    ids = [str(row) for row in rows]
    loop.add_labels(ids, [value(row) for row in rows], annotator="ann", source="test")


def test_before_two_classes_have_a_label_there_are_features_alone(make):
    loop = make()
    label(loop, [0, 1])
    found = fit(loop)
    assert found.pool.proba is None
    assert found.metrics == {}
    assert "all labels are 'a', and a model needs two classes." in " ".join(found.said)
    assert strategy_for(found.pool) == "max-herding"
    batch = loop.next(k=3, random=0)
    assert {0, 1}.isdisjoint(batch.indices)
    assert len({KINDS[row] for row in batch.indices}) > 1


@pytest.mark.parametrize("rows", [[0, 2], [0, 2, 4], [0, 1, 2, 3, 4, 5]])
def test_probabilities_and_the_last_layer_say_the_same(make, rows):
    loop = make()
    label(loop, rows)
    pool = fit(loop).pool
    weights, offsets = pool.last_layer
    scores = np.asarray(pool.features) @ weights.T + offsets
    expected = np.exp(scores - scores.max(axis=1, keepdims=True))
    expected /= expected.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(pool.proba, expected, atol=1e-5)
    seen = sorted({"abcd".index(KINDS[row]) for row in rows})
    unseen = [c for c in range(4) if c not in seen]
    assert pool.proba[:, unseen].max() == 0
    known = [row for row in range(30) if "abcd".index(KINDS[row]) in seen]
    found = pool.proba[known].argmax(axis=1)
    assert found.tolist() == ["abcd".index(KINDS[row]) for row in known]
    assert pool.labeled.tolist() == rows


def test_two_classes_are_as_scikit_learn_says(make):
    loop = make()
    label(loop, [0, 2, 3])
    pool = fit(loop).pool
    X = np.asarray(pool.features)
    model = LogisticRegression(C=30.0, max_iter=200).fit(X[[0, 2, 3]], [0, 1, 1])
    np.testing.assert_allclose(pool.proba[:, :2], model.predict_proba(X), atol=1e-4)


def test_it_is_measured_on_the_test_set_and_never_trained_on_it(make):
    loop = make(test=10)
    testing = [pick["id"] for pick in loop.picks(0)]
    label(loop, [int(i) for i in testing])
    found = fit(loop)
    assert found.pool.proba is None
    label(loop, [row for row in range(30) if str(row) not in testing][:6])
    found = fit(loop)
    assert found.metrics["accuracy"] > 0.6
    assert found.pool.labeled.size == 6


def test_every_strategy_of_the_guide_takes_the_pool(make):
    loop = make(test=3)
    label(loop, [0, 2, 4])
    pool = fit(loop).pool
    assert strategy_for(pool) == "uncertainty-herding"
    for name in ("uncertainty-herding", "drop-query", "badge", "clue"):
        assert len(labelnext.select(pool, 3, strategy=name, random_state=0)) == 3
    assert len(loop.next(k=6, random_state=0)) == 6
    assert loop.rounds()[-1]["strategy"] == "uncertainty-herding"


def test_several_labels(make):
    loop = make("multilabel")
    label(loop, range(12), lambda row: ["a", KINDS[row]] if KINDS[row] != "a" else ["a"])
    found = fit(loop)
    proba = np.asarray(found.pool.proba)
    assert found.pool.task == "multilabel"
    np.testing.assert_allclose(proba[:, 0], 13 / 14)  # all that are labelled have it
    np.testing.assert_allclose(proba[:, 3], 1 / 14)
    assert (proba[:, 1] > 0.5).tolist() == [kind == "b" for kind in KINDS]
    assert strategy_for(found.pool) == "badge"
    assert len(loop.next(k=4, random_state=0)) == 4


def test_numbers(make):
    loop = make("regression")
    assert fit(loop).pool.proba is None
    label(loop, range(12), lambda row: 10.0 * "abc".index(KINDS[row]))
    found = fit(loop)
    assert found.pool.task == "regression"
    assert strategy_for(found.pool) == "max-herding"
    assert len(loop.next(k=4, random_state=0)) == 4


def test_what_is_measured():
    y = np.array([["a"], None, ["a", "b"], []], object)
    guess = np.empty(4, object)
    guess[:] = [["a"], ["b"], ["b"], []]
    found = measure("multilabel", y, guess)
    assert found["accuracy"] == pytest.approx(2 / 3)
    assert found["micro_f1"] == pytest.approx(0.8)
    found = measure("regression", np.array([1.0, np.nan, 3.0]), np.array([1.0, 9.0, 1.0]))
    assert found["rmse"] == pytest.approx(2**0.5)
    assert measure("regression", np.array([np.nan]), np.array([1.0])) == {}


def test_a_classifier_of_the_users(make):
    loop = make(test=6)
    label(loop, range(30))
    rows = loop.labels().labeled
    X = np.asarray(fit(loop, LogisticRegression().fit(np.eye(2, 8), ["a", "b"])).pool.features)
    classifier = LogisticRegression(C=100).fit(X[rows], loop.labels().y[rows].astype(str))
    found = fit(loop, classifier)
    assert found.metrics["accuracy"] == 1
    assert found.pool.classes.tolist() == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("classifier", "error", "words"),
    [
        (7, TypeError, "has no predict_proba"),
        (LogisticRegression(), TypeError, "has no classes_"),
        (LogisticRegression().fit(np.eye(2, 8), ["a", "x"]), ValueError, "not know: 'x'"),
    ],
)
def test_classifiers_that_do_not_fit(make, classifier, error, words):
    loop = make()
    with pytest.raises(error, match=words):
        loop.next(classifier, 3)


def test_random_choice_needs_no_features(make):
    loop = make()
    assert len(loop.next(without_features(loop), 5, strategy="random", random_state=0)) == 5
    assert not (loop.folder / "features").exists()
