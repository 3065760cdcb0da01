"""The contract that every query strategy keeps, run on all that `labelnext.pool` has."""

import inspect
from importlib.util import find_spec

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

import labelnext.pool
from labelnext.pool import Badge, RandomSampling, UncertaintySampling
from labelnext.strategies import check_query_strategy
from labelnext.strategies._contract import CHECKS, Asker

STRATEGIES = [
    obj
    for obj in (getattr(labelnext.pool, name) for name in labelnext.pool.__all__)
    if issubclass(obj, labelnext.pool.QueryStrategy) and not inspect.isabstract(obj)
]


# Those that choose as another does, but for what they look at.
ALIKE = {"BatchBald", "DropQuery", "Falcun", "KMeansSampling", "ProbCover", "UncertaintyHerding"}


def test_strategies_are_found():
    assert {Badge, RandomSampling, UncertaintySampling} <= set(STRATEGIES)


@pytest.mark.one_of(2)
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize(
    "strategy",
    [
        pytest.param(each, marks=[pytest.mark.slow] * (each.__name__ in ALIKE), id=each.__name__)
        for each in STRATEGIES
    ],
)
def test_the_contract(strategy, check):
    # Two members find what ten do.
    few = {"n_members": 2} if "n_members" in strategy().get_params() else {}
    check(Asker(strategy(**few), LogisticRegression(max_iter=10_000)))


# Strategies that break the contract, each in a way of its own.


class NoUtilitiesOfPicks(RandomSampling):
    def _choose(self, query):
        picks = super()._choose(query)[0]
        return picks, np.ones((query.k, query.n_candidates))


class OtherBatchWithUtilities(RandomSampling):
    def _choose(self, query):
        picks, utilities = super()._choose(query)
        if utilities is not None:
            order = np.argsort(picks)
            picks = picks[order]
            utilities = query.utilities_of_scores(np.ones(query.n_candidates), picks)
        return picks, utilities


class OtherRandomness(RandomSampling):
    def _choose(self, query):
        picks = np.random.default_rng().permutation(query.n_candidates)[: query.k]
        return picks, query.utilities_of_scores(np.ones(query.n_candidates), picks)


class NoPrefix(RandomSampling):
    def _choose(self, query):
        picks = super()._choose(query)[0][::-1]
        return picks, query.utilities_of_scores(np.ones(query.n_candidates), picks)


class LabelledPicks(RandomSampling):
    def query(self, *args, **kwargs):
        answer = super().query(*args, **kwargs)
        picks = answer[0] if isinstance(answer, tuple) else answer
        picks[0] = 0
        return answer


class AnswersInLists(RandomSampling):
    def query(self, *args, **kwargs):
        answer = super().query(*args, **kwargs)
        return answer if isinstance(answer, tuple) else answer.tolist()


class Remembers(RandomSampling):
    def _choose(self, query):
        self.last = query.k
        return super()._choose(query)


class WritesToItsArguments(RandomSampling):
    def query(self, X, y, *args, **kwargs):
        if isinstance(X, np.ndarray) and X.size:
            X[0] += 1
        return super().query(X, y, *args, **kwargs)


class TakesAnyBatchSize(RandomSampling):
    def query(self, X, y, candidates=None, batch_size=1, return_utilities=False):
        return super().query(X, y, candidates, int(batch_size), return_utilities)


class SilentlyCut(RandomSampling):
    def query(self, X, y, candidates=None, batch_size=1, return_utilities=False):
        if batch_size == 99:
            batch_size = len(candidates) if candidates else int(np.isnan(y).sum())
        return super().query(X, y, candidates, batch_size, return_utilities)


class DenseOnly(RandomSampling):
    needs = ("features",)

    def _choose(self, query):
        np.linalg.norm(query.features(), axis=1)
        return super()._choose(query)


class NumbersOnly(RandomSampling):
    def query(self, X, y, *args, **kwargs):
        return super().query(X, np.asarray(y, dtype=float), *args, **kwargs)


class FirstOfTheColumns(RandomSampling):
    """Depends on the order in which the rows are given."""

    def query(self, X, y, candidates=None, batch_size=1, return_utilities=False):
        if candidates is not None and np.ndim(candidates) == 1 and len(candidates) == 8:
            return np.array(candidates[:batch_size])
        return super().query(X, y, candidates, batch_size, return_utilities)


class KeepsNoParameter(RandomSampling):
    def __init__(self, missing_label=np.nan, random_state=None):
        super().__init__(missing_label=missing_label, random_state=7)


class FitsAtOnce(UncertaintySampling):
    def query(self, X, y, clf, *args, **kwargs):
        rows = ~np.isnan(np.asarray(y, dtype=float))
        if len(np.unique(np.asarray(y)[rows])) > 1:
            clf.fit(X[rows], y[rows])
        return super().query(X, y, clf, *args, **kwargs)


class TakesAnyClassifier(UncertaintySampling):
    def query(self, X, y, clf, *args, **kwargs):
        clf = LogisticRegression() if isinstance(clf, type) else clf
        return super().query(X, y, clf, *args, **kwargs)


@pytest.mark.one_of(2)
@pytest.mark.parametrize(
    ("strategy", "part"),
    [
        (NoUtilitiesOfPicks, "utilities have a row a pick"),
        (OtherBatchWithUtilities, "utilities have a row a pick"),
        (OtherRandomness, "it can be cloned"),
        (NoPrefix, "the batch for a smaller size"),
        (LabelledPicks, "a batch holds distinct candidates"),
        (AnswersInLists, "it can be cloned|a batch holds"),
        (Remembers, "a query leaves the strategy"),
        (WritesToItsArguments, "it can be cloned|arguments are never changed"),
        (TakesAnyBatchSize, "bad input is refused"),
        (SilentlyCut, "a batch larger than the candidates"),
        (DenseOnly, "samples may be sparse"),
        (NumbersOnly, "labels may be numbers or words"),
        (FirstOfTheColumns, "rows given as candidates count once"),
        (KeepsNoParameter, "it can be cloned"),
        (FitsAtOnce, "samples may be|arguments are never changed|what is no classifier"),
        (TakesAnyClassifier, "what is no classifier"),
    ],
)
def test_a_broken_strategy_is_found_out(strategy, part):
    with pytest.raises(AssertionError, match=rf"{strategy.__name__} breaks the contract, ({part})"):
        check_query_strategy(strategy())


class SaysSo(NoPrefix):
    batches_are_prefixes = False


def test_a_strategy_may_say_that_batches_are_no_prefixes():
    check_query_strategy(SaysSo())


def test_frames_are_left_out_where_their_library_is_missing(monkeypatch):
    from labelnext.strategies import _contract

    def missing(name):
        raise ImportError(name)

    libraries = [name for name in ("pandas", "polars") if find_spec(name)]
    frames = {f"a frame of {name}" for name in libraries}
    assert frames < set(_contract.containers())
    monkeypatch.setattr(_contract.importlib, "import_module", missing)
    assert not frames & set(_contract.containers())
    check_query_strategy(RandomSampling())
