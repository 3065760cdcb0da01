"""The contract of a strategy, as a function that users can call in their tests."""

from __future__ import annotations

import importlib
import pickle
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from labelnext.strategies._contract_batches import BATCH_CHECKS, Asker, missing_of, scattered

if TYPE_CHECKING:
    from collections.abc import Callable


def check_query_strategy(strategy: Any, clf: Any = None) -> None:
    """
    Check that a query strategy keeps the contract that all strategies of `labelnext.pool` keep.

    It is an estimator like any other, and keeps no state. A query returns distinct candidates,
    the same ones for the same seed; its utilities are NaN where nothing could be picked, and
    asking for them does not change the batch. It takes samples, labels and candidates in all
    their forms, repeated points and no labels at all among them, changes none of its arguments,
    and refuses what is wrong. If it says ``batches_are_prefixes``, as it does unless its class
    says otherwise, the batch for a smaller size is the start of that for a larger one.

    Parameters
    ----------
    strategy : QueryStrategy
        The strategy, with any parameters. It is cloned, and its `missing_label` and
        `random_state` are set.
    clf : classifier, default=None
        What it is to ask, if its `query` has an argument `clf`; one that takes few samples,
        sparse ones and labels of any kind. None stands for a `LogisticRegression`.

    Raises
    ------
    AssertionError
        If the contract is broken. The message says which part of it.

    See Also
    --------
    labelnext.strategies.QueryStrategy : The base that does most of this.

    Notes
    -----
    Frames of pandas and polars are tried if these are installed.

    Examples
    --------
    >>> from labelnext.pool import RandomSampling
    >>> from labelnext.strategies import check_query_strategy
    >>> check_query_strategy(RandomSampling())

    One that picks the same sample twice is found out:

    >>> class Twice(RandomSampling):
    ...     def _choose(self, query):
    ...         picks, utilities = super()._choose(query)
    ...         return picks // 2, utilities
    >>> check_query_strategy(Twice())
    Traceback (most recent call last):
        ...
    AssertionError: Twice breaks the contract, a batch holds distinct candidates: ...
    """
    asker = Asker(strategy, LogisticRegression(max_iter=10_000) if clf is None else clf)
    for check in CHECKS:
        try:
            check(asker)
        except Exception as error:
            part = (check.__doc__ or "").strip().rstrip(".")
            part = part[:1].lower() + part[1:]
            raise AssertionError(
                f"{type(strategy).__name__} breaks the contract, {part}: "
                f"{type(error).__name__}: {error}"
            ) from error


def cloned(asker: Asker) -> None:
    """It can be cloned and printed, with the same parameters and the same batch."""
    X, y = scattered()
    strategy = asker.make(random_state=3)
    expected = asker.ask(X, y, strategy, batch_size=5).tolist()
    copy = clone(strategy)
    assert repr(copy) == repr(strategy), f"the clone is {copy!r}, not {strategy!r}"
    batch = asker.ask(X, y, copy, batch_size=5).tolist()
    assert batch == expected, f"the clone gives {batch}, the strategy itself {expected}"
    assert "random_state=3" in repr(strategy), f"the seed is not in {strategy!r}"


def stateless(asker: Asker) -> None:
    """A query leaves the strategy as it was."""
    X, y = scattered()
    strategy = asker.make()
    # Attributes alone: a class made in a session or a function cannot be pickled.
    before = pickle.dumps(vars(strategy))
    asker.ask(X, y, strategy, batch_size=5, return_utilities=True)
    assert pickle.dumps(vars(strategy)) == before, "its attributes have changed"


def _frames() -> dict[str, Callable[[Any], Any]]:
    found: dict[str, Callable[[Any], Any]] = {}
    for library in ("pandas", "polars"):
        try:
            frame = importlib.import_module(library).DataFrame
        except ImportError:
            continue
        found[f"a frame of {library}"] = partial(_framed, frame)
    return found


def _framed(frame: Any, X: Any) -> Any:
    return frame({f"x{column}": values for column, values in enumerate(X.T)})


def samples_in_any_container(asker: Asker) -> None:
    """Samples may be lists, arrays of any layout or frames."""
    X, y = scattered()
    expected = asker.ask(X, y, batch_size=5)
    containers: dict[str, Callable[[Any], Any]] = {
        "a list": np.ndarray.tolist,
        "an array by columns": np.asfortranarray,
        "an array with gaps": lambda X: np.repeat(X, 2, axis=1)[:, ::2],
        **_frames(),
    }
    for name, container in containers.items():
        picks = asker.ask(container(X), y, batch_size=5)
        assert np.array_equal(picks, expected), f"{name} gives {picks}, an array {expected}"
        own = asker.ask(container(X), y, candidates=container(X[:6]), batch_size=6)
        assert sorted(own) == list(range(6)), f"{name} as candidates gives {own}"


def sparse_samples(asker: Asker) -> None:
    """Samples may be sparse."""
    X, y = scattered()
    X = np.where(X > 0, X, 0.0)
    for container in (sp.csr_array, sp.csr_matrix, sp.coo_array):
        picks = asker.ask(container(X), y, batch_size=5)
        assert len(set(picks)) == 5, f"{container.__name__} gives {picks}"
        assert np.isnan(y[picks]).all(), f"{container.__name__} gives labelled samples, {picks}"


def labels_of_any_kind(asker: Asker) -> None:
    """Labels may be numbers or words, missing ones NaN, None, a number or a word."""
    X, y = scattered()
    expected = asker.ask(X, y, batch_size=5)
    words = np.array(["a", "b", "c"])[np.nan_to_num(y).astype(int)]
    kinds = [
        (list(y), np.nan),
        (np.where(np.isnan(y), None, y), None),
        (np.where(np.isnan(y), -1, y).astype(int), -1),
        (np.where(np.isnan(y), None, words), None),
        (np.where(np.isnan(y), "?", words), "?"),
    ]
    for labels, missing_label in kinds:
        picks = asker.ask(X, labels, asker.make(missing_label=missing_label), batch_size=5)
        assert np.array_equal(picks, expected), (
            f"with missing_label={missing_label!r} {picks}, with NaN {expected}"
        )


def a_pipeline_that_is_not_fitted_yet(asker: Asker) -> None:
    """A classifier may be a pipeline, with labels or without."""
    if not asker.takes("clf"):
        return
    X, y = scattered()
    clf = make_pipeline(StandardScaler(), asker.clf)
    for labels in (y, np.full(len(y), np.nan), np.where(np.arange(len(y)) == 3, 1.0, np.nan)):
        picks = asker.ask(X, labels, clf=clf, batch_size=5)
        assert np.isnan(labels[picks]).all(), f"labelled samples were picked, {picks}"


def arguments_are_never_changed(asker: Asker) -> None:
    """Arguments are never changed, and may be read-only."""
    X, y = scattered()
    weights, candidates = np.ones(len(X)), missing_of(y)
    arrays = {"X": X, "y": y, "sample_weight": weights, "candidates": candidates}
    for array in arrays.values():
        array.flags.writeable = False
    given = {name: value for name, value in arrays.items() if asker.takes(name)}
    before = pickle.dumps((arrays, asker.clf))
    asker.ask(**given, batch_size=5, return_utilities=True)
    assert pickle.dumps((arrays, asker.clf)) == before, "an argument has changed"


def bad_input(asker: Asker) -> None:
    """Bad input is refused with a TypeError or a ValueError."""
    X, y = scattered()
    cases: list[dict[str, Any]] = [
        {"y": y[:-1]},
        {"y": np.c_[y, y]},
        {"y": np.zeros(len(y))},
        {"y": ["a", 1.0] * (len(y) // 2)},
        {"X": X[:, 0]},
        {"X": X[:0], "y": y[:0]},
        *({"batch_size": size} for size in (0, -1, 2.0, True, "3", None)),
        {"return_utilities": 1},
        *({"candidates": rows} for rows in ([], [len(X)], [-1], [1.0], [True] * len(X), 3)),
        {"candidates": X[:0]},
        {"candidates": X[:, :2]},
    ]
    for case in cases:
        _refuses(asker, {"X": X, "y": y, **case}, case)
    _refuses(asker, {"X": X, "y": y, "strategy": asker.make(random_state="x")}, "random_state='x'")
    _refuses(asker, {"X": X, "y": y, "strategy": asker.make(missing_label=[1])}, "missing_label")


def bad_classifiers(asker: Asker) -> None:
    """What is no classifier, or not fitted where it must be, is refused."""
    if not asker.takes("clf"):
        return
    X, y = scattered()
    cases: list[dict[str, Any]] = [
        {"clf": RidgeClassifier()},
        {"clf": type(asker.clf)},
        {"clf": clone(asker.clf), "fit_clf": False},
        {"fit_clf": "yes"},
        {"sample_weight": np.ones(len(X) - 1)},
    ]
    for case in cases:
        _refuses(asker, {"X": X, "y": y, **case}, case)


def _refuses(asker: Asker, arguments: dict[str, Any], what: Any) -> None:
    try:
        asker.ask(**arguments)
    except (TypeError, ValueError):
        return
    raise AssertionError(f"no error for {what}")


CHECKS: tuple[Callable[[Asker], None], ...] = (
    BATCH_CHECKS[0],
    cloned,
    stateless,
    *BATCH_CHECKS[1:],
    samples_in_any_container,
    sparse_samples,
    labels_of_any_kind,
    a_pipeline_that_is_not_fitted_yet,
    arguments_are_never_changed,
    bad_input,
    bad_classifiers,
)
