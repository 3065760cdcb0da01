"""Learning curves: what is drawn is what was measured."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from labelnext.experiment import Curves
from labelnext.utils.interval import mean_interval
from labelnext.visualization import plot_learning_curves

LABELS = [10, 20, 30]
BADGE = [[0.6, 0.9, 0.96], [0.7, 0.9, 0.94]]
RANDOM = [[0.6, 0.7, 0.9], [0.7, 0.7, 0.9]]


@pytest.fixture
def axes():
    yield plt.figure().add_subplot()
    plt.close("all")


def test_lines_are_means_and_bands_are_intervals(axes):
    assert plot_learning_curves(LABELS, {"badge": BADGE, "random": RANDOM}, axes=axes) is axes
    np.testing.assert_allclose(axes.lines[0].get_ydata(), [0.65, 0.9, 0.95])
    np.testing.assert_array_equal(axes.lines[0].get_xdata(), LABELS)
    mean, half = mean_interval(BADGE)
    band = axes.collections[0].get_paths()[0].vertices
    for x, low, high in zip(LABELS, mean - half, mean + half, strict=True):
        assert {low, high} <= {float(value) for value in band[band[:, 0] == x, 1]}
    assert axes.lines[0].get_linewidth() > axes.lines[1].get_linewidth()


def test_current_axes_by_default_and_one_seed_without_band(axes):
    assert plot_learning_curves(LABELS, {"badge": BADGE[:1]}) is axes
    assert len(axes.collections) == 0


@pytest.mark.parametrize(
    ("level", "words"),
    [
        (0.8, ["80 %: 20 instead of 30 labels"]),
        (0.65, []),  # both at 15
        (0.9, ["90 %: 20 instead of 30 labels"]),
        (0.94, []),  # both at 30, random without reaching it
        (0.95, []),  # one seed never, though the mean curve does
        (0.99, []),  # none ever
    ],
)
def test_gains_are_what_the_seeds_needed_on_average(axes, level, words):
    plot_learning_curves(LABELS, {"badge": BADGE, "random": RANDOM}, levels=[level], axes=axes)
    assert [text.get_text() for text in axes.texts if text.get_text()] == words


def test_a_level_that_the_last_did_not_reach_is_a_lower_bound(axes):
    curves = {"badge": BADGE, "random": [[0.6, 0.7, 0.8], [0.6, 0.95, 0.9]]}
    plot_learning_curves(LABELS, curves, levels=[0.9], axes=axes)
    assert "90 %: 20 instead of over 25 labels" in [text.get_text() for text in axes.texts]


def test_a_narrow_gain_is_written_beside_it(axes):
    labels = np.arange(10, 110, 10)
    curves = {name: [(labels >= at).astype(float)] for name, at in (("badge", 40), ("near", 50))}
    plot_learning_curves(labels, curves, levels=[0.85], axes=axes)
    (text,) = [text for text in axes.texts if text.get_text()]
    assert text.get_horizontalalignment() == "left"


def test_gains_are_those_of_the_tables(axes):
    curves = Curves(np.array(LABELS), {"a": np.array(BADGE), "b": np.array(RANDOM)}, (0, 1))
    plot_learning_curves(LABELS, curves.accuracy, levels=[0.75], axes=axes)
    needed = curves.labels_needed(0.75)
    (text,) = [text.get_text() for text in axes.texts if text.get_text()]
    assert text == f"75 %: {needed['a'].mean:.0f} instead of {needed['b'].mean:.0f} labels"


def test_wrong_curves_are_refused(axes):
    with pytest.raises(ValueError, match="at least one strategy"):
        plot_learning_curves(LABELS, {}, axes=axes)
    with pytest.raises(ValueError, match=r"'badge' must have one value .* 3 .* got shape \(2, 2\)"):
        plot_learning_curves(LABELS, {"badge": [[1, 2], [1, 2]]}, axes=axes)
