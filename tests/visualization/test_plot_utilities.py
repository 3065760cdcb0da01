"""Utilities over a mesh, over candidates, and of strategies that can't do the one or the other."""

import inspect
import subprocess
import sys

import numpy as np
import pytest
from skactiveml import pool as their_pool
from skactiveml import visualization as theirs
from sklearn.linear_model import LogisticRegression

from labelnext import visualization as ours
from labelnext.pool import Badge, RandomSampling, UncertaintySampling
from labelnext.visualization import plot_utilities

X = np.random.default_rng(0).normal(size=(40, 2))
Y = np.full(40, np.nan)
Y[:10] = X[:10, 0] > 0
BOUND = [[-2, -2], [2, 2]]


class RowsOnly(RandomSampling):
    """Judges rows of X, by their first feature, and nothing else."""

    error = ValueError("rows, please")

    def query(self, X, y, candidates=None, return_utilities=False):
        if np.ndim(candidates) != 1:
            raise self.error
        utilities = np.full(len(X), np.nan)
        utilities[candidates] = np.asarray(X)[candidates, 0]
        return candidates[:1], utilities[None]


@pytest.fixture
def drawn(ax, monkeypatch):
    seen = []
    original = ax.contourf

    def contourf(x, y, z, **options):
        seen.append((*np.meshgrid(x, y), z, options))
        return original(x, y, z, **options)

    monkeypatch.setattr(ax, "contourf", contourf)
    return seen


@pytest.mark.parametrize(
    "name", ["plot_decision_boundary", "plot_contour_for_samples", "plot_utilities"]
)
def test_arguments_and_defaults_are_those_of_scikit_activeml(name):
    def arguments(function):
        parameters = inspect.signature(function).parameters.values()
        return [(p.name, p.kind, p.default) for p in parameters]

    assert arguments(getattr(ours, name)) == arguments(getattr(theirs, name))


def test_mesh_shows_what_the_strategy_says_there(ax, drawn):
    clf = LogisticRegression().fit(X[:10], Y[:10])
    qs = UncertaintySampling(method="least_confident")
    assert plot_utilities(qs, X, Y, clf=clf, fit_clf=False, feature_bound=BOUND, ax=ax) is ax
    x, y, z, _ = drawn[0]
    assert x.shape == (21, 21)
    proba = clf.predict_proba(np.column_stack([x.ravel(), y.ravel()]))
    np.testing.assert_allclose(z.ravel(), 1 - proba.max(axis=1))


def test_of_a_batch_the_first_pick_is_drawn(ax, drawn):
    clf = LogisticRegression()
    plot_utilities(Badge(random_state=0), X, Y, clf=clf, batch_size=3, feature_bound=BOUND, ax=ax)
    z = drawn[0][2]
    assert (z.max(), z.sum()) == (1, 1)  # certain; later picks are spread, NaN at those before


def test_same_mesh_as_scikit_activeml_draws(ax, drawn):
    from matplotlib import pyplot as plt

    arguments = {"clf": LogisticRegression(), "res": 11, "feature_bound": [[-4, -4], [4, 4]]}
    from skactiveml.classifier import SklearnClassifier

    their_clf = SklearnClassifier(LogisticRegression(), classes=[0, 1])
    other = plt.figure().add_subplot()
    theirs.plot_utilities(
        their_pool.UncertaintySampling(method="margin_sampling", random_state=0),
        X,
        Y,
        **{**arguments, "clf": their_clf, "ax": other},
    )
    plot_utilities(UncertaintySampling(method="margin_sampling"), X, Y, **arguments, ax=ax)
    mine, yours = ax.collections[0], other.collections[0]
    np.testing.assert_allclose(mine.levels, yours.levels)
    np.testing.assert_allclose([mine.zmin, mine.zmax], [yours.zmin, yours.zmax])


def test_badge_over_a_mesh_is_one_point(ax, drawn):
    plot_utilities(Badge(), X, Y, clf=LogisticRegression(), ax=ax, res=15)
    z = drawn[0][2]
    assert (z == 1).sum() == 1
    assert (z == 0).sum() == 224


def test_strategy_of_scikit_activeml_is_asked_for_rows_without_a_warning(ax, drawn):
    # Needs rows of X, and says so with its MappingError.
    qs = their_pool.DiscriminativeAL(random_state=0)
    from skactiveml.classifier import SklearnClassifier

    clf = SklearnClassifier(LogisticRegression(), classes=[0, 1])
    plot_utilities(qs, X, Y, discriminator=clf, ax=ax, replace_nan=None)
    _, expected = qs.query(X, Y, discriminator=clf, return_utilities=True)
    assert set(np.unique(drawn[0][2])) <= set(expected[0])


def test_rows_of_x(ax, drawn):
    plot_utilities(RowsOnly(), X, Y, candidates=[20, 21], ax=ax, replace_nan=None)
    assert set(np.unique(drawn[0][2])) == {X[20, 0], X[21, 0]}


def test_samples_of_their_own(ax, drawn):
    qs = UncertaintySampling()
    clf = LogisticRegression().fit(X[:10], Y[:10])
    candidates = np.array([[-1.0, 0.0], [1.0, 0.0]])
    plot_utilities(qs, X, Y, candidates, clf=clf, fit_clf=False, ax=ax, feature_bound=BOUND, res=4)
    least = 1 - clf.predict_proba(candidates).max(axis=1)
    np.testing.assert_allclose(drawn[0][2], np.tile(least[[0, 0, 1, 1]], (4, 1)))


def test_a_strategy_that_needs_rows_is_asked_about_the_unlabelled(ax, drawn, monkeypatch):
    monkeypatch.setattr(RowsOnly, "error", type("MappingError", (Exception,), {})())
    plot_utilities(RowsOnly(), X, Y, ax=ax, replace_nan=None, res=31)
    shown = set(np.unique(drawn[0][2]))
    assert shown <= set(X[10:, 0])
    assert max(shown) == X[10:, 0].max()


def test_another_mistake_is_raised(ax):
    with pytest.raises(ValueError, match="rows, please"):
        plot_utilities(RowsOnly(), X, Y, ax=ax)
    with pytest.raises(TypeError, match="clf"):
        plot_utilities(Badge(), X, Y, ax=ax)


def test_arguments_that_a_strategy_does_not_know(ax):
    with pytest.raises(TypeError, match="clf"):
        plot_utilities(RandomSampling(), X, Y, clf=LogisticRegression(), ax=ax)
    plot_utilities(
        RandomSampling(random_state=0),
        X,
        Y,
        clf=LogisticRegression(),
        ignore_undefined_query_params=True,
        ax=ax,
    )
    assert len(ax.collections) == 1


def test_current_axes_and_own_colours(ax):
    options = {"cmap": "Blues"}
    assert plot_utilities(RandomSampling(), X, Y, contour_dict=options) is ax
    assert ax.collections[0].get_cmap().name == "Blues"
    assert options == {"cmap": "Blues"}


def test_utilities_that_are_not_finite_are_left_blank(ax, drawn):
    class Half(RowsOnly):
        def query(self, X, y, candidates=None, return_utilities=False):
            return np.array([0]), np.where(candidates[:, 0] < 0, np.nan, candidates[:, 1])[None]

    plot_utilities(Half(), X, Y, ax=ax, feature_bound=BOUND)
    x, _, z, _ = drawn[0]
    np.testing.assert_array_equal(np.ma.getmaskarray(z), x < 0)
    np.testing.assert_allclose(ax.collections[0].get_paths()[0].get_extents().xmin, 0, atol=1e-9)


def test_no_utilities_at_all_are_refused(ax):
    class Nothing(RowsOnly):
        def query(self, X, y, candidates=None, return_utilities=False):
            return np.array([0]), np.full((1, len(candidates)), np.nan)

    with pytest.raises(ValueError, match="nothing to draw"):
        plot_utilities(Nothing(), X, Y, ax=ax)


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        ({"qs": "badge"}, TypeError, "qs must be a query strategy, got str"),
        ({"X": X[:, :1]}, ValueError, r"shape \(n_samples, 2\)"),
        ({"res": 0}, ValueError, "res must be at least 2"),
        ({"contour_dict": 3}, TypeError, "contour_dict"),
    ],
)
def test_what_is_refused(ax, change, error, match):
    with pytest.raises(error, match=match):
        plot_utilities(**{"qs": RandomSampling(), "X": X, "y": Y, "ax": ax} | change)


def test_importing_loads_no_pyplot():
    code = (
        "import sys, labelnext.visualization as v; v.plot_utilities; "
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
