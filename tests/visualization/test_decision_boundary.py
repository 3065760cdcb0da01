"""Boundaries and confidence lines: where they lie, their colours, and what is refused."""

import numpy as np
import pytest
from matplotlib import pyplot as plt
from skactiveml import visualization as theirs
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.datasets import make_blobs
from sklearn.linear_model import LogisticRegression
from sklearn.svm import SVC

from labelnext.classifier import ParzenWindowClassifier
from labelnext.visualization import plot_decision_boundary

BOUND = [[-3, -2], [3, 2]]


class Sigmoid(ClassifierMixin, BaseEstimator):
    """Knows its probabilities without data: p(class 1) = 1 / (1 + exp(-x))."""

    classes_ = np.array([0, 1])

    def predict_proba(self, X):
        p = 1 / (1 + np.exp(-X[:, 0]))
        return np.column_stack([1 - p, p])


class Uniform(Sigmoid):
    def __init__(self, n_classes=2):
        self.n_classes = n_classes

    def predict_proba(self, X):
        return np.full((len(X), self.n_classes), 1 / self.n_classes)


def vertices(lines):
    return np.concatenate([path.vertices for path in lines.get_paths()])


def test_lines_lie_where_the_probabilities_say(ax):
    assert plot_decision_boundary(Sigmoid(), BOUND, ax=ax, res=201) is ax
    boundary, of_0, of_1 = (vertices(lines) for lines in ax.collections)
    where = np.log(3)  # p = 0.75
    np.testing.assert_allclose(boundary[:, 0], 0, atol=1e-3)
    np.testing.assert_allclose(of_0[:, 0], -where, atol=1e-3)
    np.testing.assert_allclose(of_1[:, 0], where, atol=1e-3)
    for line in (boundary, of_0, of_1):
        assert (line[:, 1].min(), line[:, 1].max()) == (-2, 2)
    assert [lines.levels.tolist() for lines in ax.collections] == [[0.5], [0.75], [0.75]]


def test_lines_wear_the_colours_of_the_classes(ax):
    plot_decision_boundary(Sigmoid(), BOUND, ax=ax, cmap=plt.get_cmap("viridis"))
    boundary, of_0, of_1 = ax.collections
    assert boundary.get_edgecolor()[0].tolist() == [0, 0, 0, 1]
    assert boundary.get_linewidth() == [2]
    viridis = plt.get_cmap("viridis")
    np.testing.assert_allclose(of_0.get_edgecolor()[0], [*viridis(0.0)[:3], 0.9])
    np.testing.assert_allclose(of_1.get_edgecolor()[0], [*viridis(1.0)[:3], 0.9])
    assert of_0.get_linestyle()[0][1] is not None  # dashes
    assert boundary.get_linestyle()[0][1] is None


def test_confidence_none_draws_the_boundary_alone(ax):
    plot_decision_boundary(Sigmoid(), BOUND, ax=ax, confidence=None)
    assert len(ax.collections) == 1


def test_options_reach_matplotlib(ax):
    plot_decision_boundary(
        Sigmoid(),
        BOUND,
        ax=ax,
        boundary_dict={"cmap": "Reds", "zorder": 7},
        confidence_dict={"alpha": 0.5},
    )
    boundary, of_0, _ = ax.collections
    assert boundary.get_zorder() == 7
    assert boundary.get_cmap().name == "Reds"
    assert of_0.get_edgecolor()[0][3] == 0.5
    assert of_0.get_linewidth() == [2]


@pytest.mark.parametrize("n_classes", [2, 3, 5])
def test_same_lines_as_scikit_activeml(n_classes):
    X, y = make_blobs(120, centers=n_classes, random_state=1, cluster_std=2)
    clf = LogisticRegression().fit(X, y)
    bound = [X.min(axis=0), X.max(axis=0)]
    figure, axs = plt.subplots(2)
    plot_decision_boundary(clf, bound, ax=axs[0], confidence=0.7, res=31)
    theirs.plot_decision_boundary(clf, bound, ax=axs[1], confidence=0.7, res=31)
    plt.close(figure)

    def lines(ax, level):
        found = [c for c in ax.collections if c.levels == [level] and len(c.get_paths()[0])]
        return np.array([np.sort(vertices(c), axis=0).mean(axis=0) for c in found])

    for level in (0.5, 0.7):
        ours, others = lines(axs[0], level), lines(axs[1], level)
        assert len(others) == n_classes
        if level == 0.5:
            others = others[:-1]  # those of the last class are all drawn from the other side
        np.testing.assert_allclose(ours, others)


def test_three_classes_meet_in_the_middle(ax):
    angles = 2 * np.pi * np.arange(3) / 3
    corners = np.column_stack([np.cos(angles), np.sin(angles)])
    clf = LogisticRegression(C=100).fit(corners, [0, 1, 2])
    plot_decision_boundary(clf, [[-1, -1], [1, 1]], ax=ax, res=101, confidence=None)
    points = np.concatenate([vertices(lines) for lines in ax.collections])
    nearest = np.sort(np.linalg.norm(points[:, None] - corners, axis=2), axis=1)
    np.testing.assert_allclose(nearest[:, 0], nearest[:, 1], atol=0.03)
    pairs = {
        tuple(sorted(np.argsort(d)[:2])) for d in np.linalg.norm(points[:, None] - corners, axis=2)
    }
    assert pairs == {(0, 1), (0, 2), (1, 2)}


class Rounding(Uniform):
    """Uniform, but for the last digit."""

    def predict_proba(self, X):
        p = 0.5 + 1e-16 * np.sign(X[:, 0]) * np.sign(X[:, 1] + 0.1)
        return np.column_stack([1 - p, p])


@pytest.mark.parametrize("clf", [Uniform(), Uniform(3), Uniform(1), Rounding()])
def test_no_line_is_drawn_where_no_class_is_ahead(ax, clf):
    plot_decision_boundary(clf, BOUND, ax=ax)
    assert len(ax.collections) == 0


def test_a_classifier_without_labels_draws_nothing(ax):
    clf = ParzenWindowClassifier(classes=[0, 1]).fit([[0, 0], [1, 1]], [np.nan, np.nan])
    plot_decision_boundary(clf, BOUND, ax=ax)
    assert len(ax.collections) == 0


def test_lines_outside_the_area_are_not_drawn(ax):
    plot_decision_boundary(Sigmoid(), [[0.1, 0], [0.9, 1]], ax=ax)  # p from 0.52 to 0.71
    assert len(ax.collections) == 0


def test_features_beside_the_probabilities_are_no_hindrance(ax):
    class WithFeatures(Sigmoid):
        def predict_proba(self, X):
            return super().predict_proba(X), X

    plot_decision_boundary(WithFeatures(), BOUND, ax=ax)
    assert len(ax.collections) == 3


def test_predictions_alone_give_the_boundary_and_a_warning(ax):
    clf = SVC(kernel="linear").fit([[-1, 0], [1, 0]], ["left", "right"])
    with pytest.warns(UserWarning, match=r"SVC has no predict_proba.*confidence=None"):
        plot_decision_boundary(clf, BOUND, ax=ax, res=100)
    (boundary,) = ax.collections
    assert np.abs(vertices(boundary)[:, 0]).max() < 6 / 99


def test_predictions_alone_without_confidence_do_not_warn(ax):
    clf = SVC(kernel="linear").fit([[-1, 0], [1, 0]], ["left", "right"])
    plot_decision_boundary(clf, BOUND, ax=ax, confidence=None)
    assert len(ax.collections) == 1


def test_current_axes_by_default(ax):
    assert plot_decision_boundary(Sigmoid(), BOUND) is ax
    assert len(ax.collections) == 3


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        ({"clf": "tree"}, TypeError, "clf must have predict_proba or predict, got str"),
        ({"confidence": 0.5}, ValueError, r"between 0.5 .* both excluded, got 0.5"),
        ({"confidence": 1}, ValueError, "got 1"),
        ({"confidence": "high"}, TypeError, "a number or None, got 'high'"),
        ({"confidence": True}, TypeError, "got True"),
        ({"cmap": 3}, TypeError, "Colormap"),
        ({"confidence_dict": {"cmap": "Reds"}}, ValueError, "leave the colours to cmap"),
        ({"boundary_dict": ["k"]}, TypeError, "boundary_dict must be a dict .* got list"),
        ({"ax": "left"}, TypeError, "ax must be one matplotlib Axes or None .* got str"),
        ({"res": 1}, ValueError, "res must be at least 2"),
        ({"res": 2.5}, TypeError, "res must be an integer, got 2.5"),
        ({"res": True}, TypeError, "res must be an integer"),
        ({"feature_bound": [0, 1]}, ValueError, r"feature_bound must be .* got \[0, 1\]"),
        ({"feature_bound": [[0, 0], [0, 1]]}, ValueError, "xmin < xmax"),
        ({"feature_bound": [[0, 0], [np.inf, 1]]}, ValueError, "finite, with xmin < xmax"),
    ],
)
def test_what_is_refused(ax, change, error, match):
    arguments = {"clf": Sigmoid(), "feature_bound": BOUND, "ax": ax} | change
    with pytest.raises(error, match=match):
        plot_decision_boundary(**arguments)
    assert not ax.collections
