"""Plots of comparisons: what is drawn is what is given."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from labelnext.visualization import (
    plot_error_distribution,
    plot_learning_curves,
    plot_penalties,
    plot_seconds,
    plot_stability,
)

NAN = float("nan")


@pytest.fixture(autouse=True)
def fresh_figure():
    plt.close("all")
    yield
    plt.close("all")


def test_penalties_show_entries_and_sums():
    matrix = np.array([[0, 2.5, 3], [0.5, 0, 1], [0, 0, 0]])
    axes = plot_penalties(matrix, ["a", "b", "c"], n_settings=4)
    texts = [text.get_text() for text in axes.texts]
    assert texts == ["–", "2.5", "3", "0.5", "–", "1", "0", "0", "–", "0.5", "2.5", "4"]
    assert [text.get_text() for text in axes.texts if text.get_weight() == "bold"] == ["0.5"]
    np.testing.assert_array_equal(axes.images[0].get_array(), matrix)
    with pytest.raises(ValueError, match="row and a column for each of the 2 strategies"):
        plot_penalties(matrix, ["a", "b"])


def test_error_distributions_are_steps_from_0_to_1():
    axes = plot_error_distribution({"a": [0.9, 0.5], "nothing": [], "r": [1.0, 1.0]}, reference="r")
    first = axes.lines[0]
    np.testing.assert_allclose(first.get_xdata(), [0.5, 0.5, 0.9])
    np.testing.assert_allclose(first.get_ydata(), [0, 0.5, 1])
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["a", "r"]


def test_errors_that_are_missing_are_refused():
    with pytest.raises(ValueError, match=r"got NaN among those of 'a'; .*\[~np.isnan\(values\)\]"):
        plot_error_distribution({"r": [1.0, 1.0], "a": [0.9, np.nan]}, reference="r")


def test_stability_leaves_out_the_points_that_have_no_value():
    left, right = plot_stability(
        [10, 20, 30],
        {"a": [[NAN, 0.8, 0.9], [NAN, 0.6, 1.0]], "gone": [[NAN, NAN, NAN]]},
        {"a": [[2.0, 0.5, NAN], [4.0, 0.5, NAN]]},
        threshold=0.95,
    )
    np.testing.assert_allclose(left.lines[0].get_xdata(), [20, 30])
    np.testing.assert_allclose(left.lines[0].get_ydata(), [0.7, 0.95])
    assert left.lines[1].get_ydata()[0] == 0.95
    np.testing.assert_allclose(right.lines[0].get_ydata(), [3.0, 0.5])
    plt.gcf().canvas.draw()


def test_a_potential_of_nothing_is_drawn_too():
    _, right = plot_stability([1, 2, 3], {}, {"a": [[0.0, 0.0, NAN]]}, axes=plt.subplots(1, 2)[1])
    assert right.get_yscale() == "linear"


def test_curves_of_failed_runs_are_left_out_and_told():
    axes = plot_learning_curves(
        [1, 2], {"a": [[0.5, 0.7], [0.1, NAN], [0.7, 0.9]], "gone": [[0.5, NAN]]}, levels=[0.6]
    )
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["a (2 of 3)"]
    np.testing.assert_allclose(axes.lines[0].get_ydata(), [0.6, 0.8])


def test_more_strategies_than_colours_differ_in_style():
    axes = plot_learning_curves([1, 2], {str(n): [[0.1, 0.2]] for n in range(16)})
    looks = {(line.get_color(), line.get_linestyle()) for line in axes.lines}
    assert len(looks) == 16


def test_ticks_are_whole_percents():
    axes = plot_learning_curves([1, 2], {"a": [[0.80, 0.98]]})
    axes.figure.canvas.draw()
    ticks = [label.get_text() for label in axes.get_yticklabels()]
    assert all(float(tick.removesuffix(" %")).is_integer() for tick in ticks)


def test_seconds_are_bars_from_the_top_on_a_scale_of_factors():
    axes = plot_seconds({"one": {"a": 0.02, "b": NAN}, "two": {"a": 3.0, "b": 0.5}})
    assert [bar.get_width() for bar in axes.patches] == [0.02, 3.0, 0.5]
    heights = [bar.get_y() for bar in axes.patches]
    assert heights == sorted(heights)
    assert axes.yaxis_inverted()
    assert axes.get_xscale() == "log"
    assert [text.get_text() for text in axes.texts] == ["0.02 s", "3 s", "0.5 s"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["one", "two"]
    assert not plot_seconds({"one": {"a": NAN}}, axes=plt.figure().gca()).patches


def test_names_are_no_mathematics():
    """A dollar in a name is a dollar, which a pair of them else would not be."""
    name, curves = "a$^$b", {"a$^$b": [[NAN, 0.5, 0.7]], "c": [[NAN, 0.2, 0.3]]}
    figure = plt.figure()
    axes = figure.subplots(2, 3).ravel()
    plot_penalties(np.eye(2), [name, "c"], axes=axes[0])
    plot_error_distribution({name: [1.0, 1.0], "c": [0.5]}, reference=name, axes=axes[1])
    plot_seconds({name: {name: 0.1, "c": 0.2}}, axes=axes[2])
    plot_learning_curves([1, 2], {name: [[0.5, 0.7]]}, axes=axes[3])
    plot_stability([1, 2, 3], curves, curves, axes=axes[4:])
    figure.canvas.draw()
