"""Checks of the forms that samples and labels come in."""

from __future__ import annotations

import importlib
import pickle
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from labelnext.strategies._contract_asker import missing_of, scattered

if TYPE_CHECKING:
    from collections.abc import Callable

    from labelnext.strategies._contract_asker import Asker


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


CHECKS = (
    samples_in_any_container,
    sparse_samples,
    labels_of_any_kind,
    a_pipeline_that_is_not_fitted_yet,
    arguments_are_never_changed,
)
