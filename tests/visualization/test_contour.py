"""Values of samples: which place takes whose, few values, equal ones, and none."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from skactiveml import visualization as theirs

from labelnext.visualization import plot_contour_for_samples

CORNERS = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
RNG = np.random.default_rng(0)
CROWD = RNG.normal(size=(300, 2))
BOUND = [[-1.0, -1.0], [1.0, 1.0]]


def mesh_values(ax, monkey):
    """Draw, and return the values at the mesh points as contourf got them."""
    seen = []
    original = ax.contourf

    def contourf(x, y, z, **options):
        seen.append(
            (*np.meshgrid(x[0] if x.ndim == 2 else x, y[:, 0] if y.ndim == 2 else y), z, options)
        )
        return original(x, y, z, **options)

    monkey.setattr(ax, "contourf", contourf)
    return seen


@pytest.fixture
def drawn(ax, monkeypatch):
    return mesh_values(ax, monkeypatch)


def test_each_place_takes_the_value_of_the_nearest_sample(ax, drawn):
    assert plot_contour_for_samples(CORNERS, [1, 2, 3, 4], ax=ax, res=4) is ax
    ((x, y, z, options),) = drawn
    np.testing.assert_array_equal(z, [[1, 1, 2, 2], [1, 1, 2, 2], [3, 3, 4, 4], [3, 3, 4, 4]])
    assert (x.min(), x.max(), y.min(), y.max()) == (0, 1, 0, 1)
    assert options == {"cmap": "Greens", "alpha": 0.75}


def test_nan_becomes_the_number_given(ax, drawn):
    plot_contour_for_samples(CORNERS, [1, 2, np.nan, np.inf], ax=ax, res=2, replace_nan=-5)
    np.testing.assert_array_equal(drawn[0][2], [[1, 2], [-5, -5]])


def test_nan_is_zero_by_default(ax, drawn):
    plot_contour_for_samples(CORNERS, [1, 2, np.nan, 4], ax=ax, res=2)
    np.testing.assert_array_equal(drawn[0][2], [[1, 2], [0, 4]])


def test_without_a_number_nan_leaves_its_place_to_the_neighbours(ax, drawn):
    plot_contour_for_samples([[0, 0], [1, 0], [0, 2], [1, 2]], [1, 2, np.nan, np.nan], None, ax=ax)
    z = drawn[0][2]
    np.testing.assert_array_equal(z[:, 0], 1)
    np.testing.assert_array_equal(z[:, -1], 2)
    assert drawn[0][1].max() == 2  # the area is that of all samples


@pytest.mark.parametrize("replace_nan", [0.0, 1.5, None])
def test_same_values_as_scikit_activeml(ax, drawn, replace_nan, monkeypatch):
    values = RNG.random(300)
    values[::7] = np.nan
    values[np.nanargmax(values)] = values[np.argsort(CROWD[:, 0])[-1]] = 2.0  # on the rim
    other = plt.figure().add_subplot()
    expected = mesh_values(other, monkeypatch)
    arguments = {"replace_nan": replace_nan, "res": 25, "contour_dict": {"alpha": 0.3}}
    plot_contour_for_samples(CROWD, values, ax=ax, **arguments)
    theirs.plot_contour_for_samples(CROWD, values, ax=other, **arguments)
    for ours, others in zip(drawn[0][:3], expected[0][:3], strict=True):
        np.testing.assert_array_equal(ours, others)
    assert drawn[0][3] == expected[0][3]
    np.testing.assert_array_equal(ax.collections[0].levels, other.collections[0].levels)


@pytest.mark.parametrize("place", range(0, 300, 23))
def test_one_hot_utilities_show_their_peak_at_its_place(ax, drawn, place):
    middle = CROWD / 3  # every cell far smaller than the mesh
    values = np.zeros(300)
    values[place] = 1
    plot_contour_for_samples(middle, values, ax=ax, res=9)
    x, y, z, _ = drawn[0]
    assert z.max() == 1
    peak = np.array([x[z == 1].mean(), y[z == 1].mean()])
    assert np.linalg.norm(peak - middle[place]) < np.hypot(x[0, 1] - x[0, 0], y[1, 0] - y[0, 0])
    contours = ax.collections[0]
    assert contours.levels[-1] >= 1
    top = [path for path in contours.get_paths() if len(path.vertices)][-1]
    assert np.abs(top.vertices - peak).max() < 1


def test_a_peak_outside_the_area_stays_outside(ax, drawn):
    values = np.zeros(300)
    values[np.argmax(CROWD[:, 0])] = 1
    plot_contour_for_samples(CROWD, values, feature_bound=BOUND, ax=ax)
    assert drawn[0][2].max() == 0


@pytest.mark.parametrize("value", [0.0, 1.0, 1 / 300, -2.0, 1e-12, 1e9])
def test_equal_values_are_one_even_tone(ax, value):
    noise = 1 + 1e-15 * RNG.integers(-2, 3, 300)
    plot_contour_for_samples(CROWD, value * noise, ax=ax)
    (contours,) = ax.collections
    visible = [i for i, path in enumerate(contours.get_paths()) if len(path.vertices)]
    assert len(visible) == 1
    contours.update_scalarmappable()
    middle = plt.get_cmap("Greens")(0.5)
    np.testing.assert_allclose(contours.get_facecolor()[visible[0]], [*middle[:3], 0.75], atol=0.01)
    extent = contours.get_paths()[visible[0]].get_extents()
    np.testing.assert_allclose(extent.min, CROWD.min(axis=0))
    np.testing.assert_allclose(extent.max, CROWD.max(axis=0))


def test_one_sample_left_fills_the_area(ax, drawn):
    values = np.full(4, np.nan)
    values[2] = 0.25
    plot_contour_for_samples(CORNERS, values, replace_nan=None, ax=ax)
    np.testing.assert_array_equal(drawn[0][2], 0.25)
    assert len(ax.collections) == 1


def test_no_sample_left_is_refused(ax):
    with pytest.raises(ValueError, match=r"values are all NaN.*nothing is left to draw"):
        plot_contour_for_samples(CORNERS, np.full(4, np.nan), None, ax=ax)


@pytest.mark.parametrize("X", [[[3.0, 4.0]], [[0.0, 4.0], [1.0, 4.0]]])
def test_samples_on_a_line_get_some_room(ax, drawn, X):
    plot_contour_for_samples(X, np.arange(len(X)), ax=ax)
    assert drawn[0][1].min() == pytest.approx(3.5)
    assert drawn[0][1].max() == pytest.approx(4.5)


def test_options_reach_matplotlib(ax):
    levels = [0, 2, 5]
    plot_contour_for_samples(
        CORNERS, [1, 2, 3, 4], ax=ax, contour_dict={"colors": ["r", "b"], "levels": levels}
    )
    (contours,) = ax.collections
    assert contours.levels.tolist() == levels
    assert contours.get_facecolor()[0].tolist() == [1, 0, 0, 0.75]


def test_own_levels_are_kept_for_equal_values(ax):
    plot_contour_for_samples(CORNERS, [1, 1, 1, 1], ax=ax, contour_dict={"levels": [0, 2]})
    assert ax.collections[0].levels.tolist() == [0, 2]


def test_current_axes_by_default(ax):
    assert plot_contour_for_samples(CORNERS, [1, 2, 3, 4]) is ax


def test_arrays_and_dicts_stay_as_they_were(ax):
    values, options = np.array([1.0, np.nan, np.inf, 4.0]), {"alpha": 1}
    before = values.copy()
    plot_contour_for_samples(CORNERS, values, ax=ax, contour_dict=options)
    np.testing.assert_array_equal(values, before)
    assert options == {"alpha": 1}


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.tuples(*[st.floats(-10, 10, width=32)] * 2, st.sampled_from([0.0, 0.5, 1.0, 1 / 3])),
        min_size=1,
        max_size=8,
    ),
    st.sets(st.integers(1, 7)),
    st.sampled_from([None, 0.0]),
)
def test_any_few_samples_can_be_drawn(rows, missing, replace_nan):
    X, values = np.array(rows)[:, :2], np.array(rows)[:, 2]
    values[[row for row in missing if row < len(values)]] = np.nan
    ax = plot_contour_for_samples(
        X, values, replace_nan, [[-11, -11], [11, 11]], Figure().subplots(), 5
    )
    (contours,) = ax.collections
    assert contours.zmax == (
        np.nanmax(values) if replace_nan is None else np.nan_to_num(values).max()
    )


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        ({"X": RNG.random((4, 3))}, ValueError, r"shape \(n_samples, 2\).* got shape \(4, 3\)"),
        ({"values": [1, 2, 3]}, ValueError, r"each of the 4 samples in X, got shape \(3,\)"),
        ({"values": RNG.random((4, 2))}, ValueError, "draw one row at a time"),
        ({"replace_nan": "zero"}, TypeError, "replace_nan must be a number or None, got 'zero'"),
        ({"replace_nan": True}, TypeError, "got True"),
        ({"replace_nan": np.inf}, ValueError, "must be finite"),
        ({"feature_bound": "all"}, ValueError, "feature_bound must be"),
        ({"contour_dict": "Greens"}, TypeError, "contour_dict must be a dict .* got str"),
        ({"feature_bound": [[0, 0, 0], [1, 1, 1]]}, ValueError, r"feature_bound must be"),
        ({"X": [[np.nan, 0]] * 4}, ValueError, "X must be finite, .* in row 0"),
    ],
)
def test_what_is_refused(ax, change, error, match):
    with pytest.raises(error, match=match):
        plot_contour_for_samples(**{"X": CORNERS, "values": [1, 2, 3, 4], "ax": ax} | change)
    assert not ax.collections
