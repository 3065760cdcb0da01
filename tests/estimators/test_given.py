"""What cannot mean what it seems to mean is refused, from every door that takes X and y."""

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import BaggingClassifier
from sklearn.linear_model import LogisticRegression, SGDClassifier

import labelnext
import small_nets
from labelnext.classifier import ParzenWindowClassifier, SklearnClassifier, SkorchClassifier
from labelnext.estimators import fit_on_labeled, proba_and_features, proba_of
from labelnext.pool import Badge, Bald, BatchBald

RNG = np.random.default_rng(0)
X = RNG.normal(size=(12, 3))
Y = np.where(np.arange(12) < 6, np.arange(12) % 2, np.nan)
CLF = LogisticRegression()
SGD = SGDClassifier(loss="log_loss")


def _skorch():
    sizes = {"module__n_features": 3, "module__n_outputs": 2}
    return SkorchClassifier(small_nets.Mlp, classes=[0, 1], max_epochs=1, **sizes)


FITS = {
    "query": lambda X, y, **k: Badge().query(X, y, CLF, **k),
    "query of a committee": lambda X, y, **k: Bald().query(X, y, [CLF, CLF], **k),
    "fit_on_labeled": lambda X, y, **k: fit_on_labeled(CLF, X, y, **k),
    "Parzen": lambda X, y, **k: ParzenWindowClassifier().fit(X, y, **k),
    "SklearnClassifier": lambda X, y, **k: SklearnClassifier(CLF).fit(X, y, **k),
    "partial_fit": lambda X, y, **k: SklearnClassifier(SGD).partial_fit(X, y, **k),
    "SkorchClassifier": lambda X, y, **k: _skorch().fit(X, y, **k),
}


ASKED = {
    "Parzen": lambda X: ParzenWindowClassifier().fit([[0.0] * 3] * 12, Y).predict_proba(X),
    "SklearnClassifier": lambda X: SklearnClassifier(CLF).fit([*np.eye(12, 3)], Y).predict_proba(X),
    "predict": lambda X: SklearnClassifier(CLF).fit([*np.eye(12, 3)], Y).predict(X),
    "SkorchClassifier": lambda X: _skorch().fit(np.eye(12, 3), Y).predict_proba(X),
    "proba_of": lambda X: proba_of(CLF, X),
    "proba_and_features": lambda X: proba_and_features(CLF, X),
    "features": lambda F: Badge().query(X, Y, CLF, features=F),
    "candidates": lambda C: Badge().query(X, Y, CLF, candidates=C),
}


@pytest.mark.parametrize("hidden", ["X", "y", "sample_weight"])
@pytest.mark.parametrize("door", FITS)
def test_masked_values_are_refused(door, hidden):
    given = {"X": X, "y": Y, "sample_weight": np.ones(12)}
    values = given[hidden]
    for masked in (np.ma.masked_array(values, values > 0.5), [*np.ma.array(values, mask=True)]):
        with pytest.raises(
            ValueError,
            match=rf"{hidden} has masked values, the first in row \d+, which would be used",
        ):
            FITS[door](**{**given, hidden: masked})
    FITS[door](**{**given, hidden: np.ma.masked_array(values)})  # nothing is hidden


@pytest.mark.parametrize("door", ASKED)
def test_masked_samples_are_refused(door):
    with pytest.raises(
        ValueError, match=r"has masked values, the first in row \d+, which would be used"
    ):
        ASKED[door](np.ma.masked_array(X, X > 0.5))


def test_the_way_out_of_a_mask():
    y = np.ma.masked_array([0, 1, 0, 1], [False, False, True, True])
    with pytest.raises(ValueError, match=r"with np.ma.filled\(y.astype\(object\), np.nan\) say"):
        fit_on_labeled(CLF, X[:4], y)
    fitted = fit_on_labeled(CLF, X[:4], np.ma.filled(y.astype(object), np.nan))
    assert fitted.classes_.tolist() == [0, 1]
    with pytest.raises(ValueError, match=r"filled\(y.astype\(object\), -1\) say"):
        fit_on_labeled(CLF, X[:4], y, missing_label=-1)
    with pytest.raises(ValueError, match=r"with np.ma.filled\(np.ma.array\(X\), 0\) say"):
        fit_on_labeled(CLF, [*np.ma.array(X, mask=X > 0)], Y)
    filled = np.ma.filled(np.ma.array([*np.ma.array(X, mask=X > 0)]), 0)
    np.testing.assert_array_equal(filled, np.minimum(X, 0))
    assert fit_on_labeled(CLF, filled, Y).classes_.tolist() == [0, 1]


@pytest.mark.parametrize("other", ["y", "sample_weight"])
@pytest.mark.parametrize("door", FITS)
def test_one_index_in_two_orders_is_refused(door, other):
    frame = pd.DataFrame(X, columns=[*"abc"], index=RNG.permutation(12))
    given = {"X": frame, "y": Y, "sample_weight": np.ones(12)}
    turned = pd.Series(given[other], index=frame.index[::-1])
    with pytest.raises(ValueError, match=f"X and {other} have the same index in another order"):
        FITS[door](**{**given, other: turned})
    # An index that says nothing of X counts for nothing, nor does what has none.
    FITS[door](**{**given, other: pd.Series(given[other], index=range(100, 112))})
    FITS[door](**{**given, other: turned.loc[frame.index].to_numpy()})


def test_features_in_another_order():
    frame = pd.DataFrame(X, columns=[*"abc"])
    with pytest.raises(ValueError, match="X and features have the same index in another order"):
        Badge().query(frame, Y, CLF, features=frame[::-1])


ONE = np.full((1, 12, 2), 0.5)
COMMITTEES_OF_ONE = {
    "list": lambda strategy: strategy().query(X, Y, [CLF]),
    "ensemble": lambda s: s().query(X, Y, BaggingClassifier(CLF, n_estimators=1, random_state=0)),
    "function": lambda strategy: strategy(committee=lambda clf, X: ONE[:, : len(X)]).query(
        X, Y, CLF
    ),
    "pool": lambda strategy: labelnext.select(labelnext.Pool(ONE), 2, strategy=strategy()),
}


@pytest.mark.parametrize("strategy", [Bald, BatchBald])
@pytest.mark.parametrize("door", COMMITTEES_OF_ONE)
def test_a_committee_of_one_is_refused(door, strategy):
    with pytest.raises(ValueError, match=r"[Cc]ommittee.* two (members|classifiers) at least, got"):
        COMMITTEES_OF_ONE[door](strategy)


def test_members_that_know_different_classes_are_aligned():
    y = np.array(["ant", "bee"] * 3 + [""] * 6, dtype=object)
    knows = [["ant", "bee"], ["bee", "cat"], ["cat", "dog", "ant"]]
    members = [
        LogisticRegression().fit(
            RNG.normal(size=(12, 3)), [names[i % len(names)] for i in range(12)]
        )
        for names in knows
    ]
    expected = np.zeros((3, 6, 4))
    for proba, member in zip(expected, members, strict=True):
        columns = [["ant", "bee", "cat", "dog"].index(name) for name in member.classes_]
        proba[:, columns] = member.predict_proba(X[6:])
    for strategy in (Bald, BatchBald):
        given = {"missing_label": "", "random_state": 0}
        ours = strategy(**given).query(X, y, members, fit_clf=False, batch_size=3)
        function = strategy(committee=lambda clf, X: expected, **given)
        assert ours.tolist() == function.query(X, y, CLF, batch_size=3).tolist()
