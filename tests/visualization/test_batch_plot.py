"""The picture of a batch: numbers that can be read, and nothing that fails."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
import scipy.sparse as sp
from matplotlib.text import Annotation, Text

import labelnext
from labelnext.sampling import Batch
from labelnext.sampling.projection import DENSE, halvings
from labelnext.visualization import plot_batch


@pytest.fixture(autouse=True)
def _close():
    yield
    plt.close("all")


def make(n, d, k, seed=0, **options):
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(n, d)) + 4 * rng.integers(0, 3, size=(n, 1))
    proba = rng.dirichlet(np.full(3, 0.3), n)
    return features, labelnext.select(proba, features, k, random_state=0, **options)


def numbers(axes):
    return [
        child
        for child in axes.get_children()
        if isinstance(child, Annotation) and child.get_text().isdigit()
    ]


@pytest.mark.parametrize("k", [1, 10, 20])
def test_numbers_are_in_order_and_do_not_overlap(k):
    features, batch = make(600, 4, k)
    figure = plot_batch(features, batch, exclude=[0, 1])
    axes = figure.axes[0]
    figure.draw_without_rendering()
    texts = numbers(axes)
    shown = [int(text.get_text()) for text in texts]
    assert shown == sorted(set(shown))
    assert shown[0] == 1
    assert shown[-1] <= k
    assert len(shown) >= min(k, 18)
    # Of the text alone, without the line that ties it to its pick.
    boxes = [Text.get_window_extent(text).padded(-1.5) for text in texts]
    for place, box in enumerate(boxes):
        assert box.count_overlaps(boxes[place + 1 :]) == 0
        assert axes.get_window_extent().padded(3).containsx(box.x0)
    assert len(figure.axes) == 2


@pytest.mark.parametrize("k", [21, 400])
def test_of_many_picks_the_first_are_numbered_and_a_colour_bar_tells_the_order(k):
    features, batch = make(600, 4, k)
    left, _, bar = plot_batch(features, batch).axes
    assert {int(number.get_text()) for number in numbers(left)} <= set(range(1, 21))
    assert numbers(left)
    assert bar.get_ylabel() == "pick, from the first to the last"
    shades = bar._colorbar.mappable
    assert shades.get_clim() == (1, k)
    drawn = left.collections[1].get_facecolors()[::-1]  # the first pick is drawn last, on top
    np.testing.assert_allclose(shades.to_rgba([1, k]), drawn[[0, -1]])


def test_it_says_of_which_rows_the_map_is():
    features, batch = make(600, 4, 5)
    told = plot_batch(features, batch, max_background=100).axes[0].get_xlabel()
    assert "found from and drawn for 105 rows: the picks and a sample of the pool" in told
    assert "sample" not in plot_batch(features, batch).axes[0].get_xlabel()
    wide = np.random.default_rng(0).normal(size=(600, 600))
    assert "under 1 % of their variance" in plot_batch(wide, batch).axes[0].get_xlabel()


def test_it_says_what_the_map_shows():
    features = np.zeros((60, 3))
    features[:, 1] = np.linspace(-3, 3, 60)
    features[::2, 2] = 1
    batch = labelnext.select(np.full((60, 2), 0.5), features, 4, random_state=0)
    assert "PCA of the features: 93 % of their variance from left to right, 7 % from bottom" in (
        plot_batch(features, batch).axes[0].get_xlabel()
    )


def test_a_strategy_without_potentials_shows_scores_or_nothing():
    features, batch = make(100, 3, 12)
    scored = Batch(batch.indices, scores=np.linspace(1, 0.5, 12))
    left, right = plot_batch(features, scored).axes
    assert (left.get_title(loc="left"), right.get_ylabel()) == (
        "12 picks in a pool of 100",
        "score",
    )
    np.testing.assert_array_equal(right.lines[0].get_ydata(), scored.scores)
    assert len({float(area) for area in left.collections[1].get_sizes()}) == 1
    assert len(numbers(left)) == 12
    assert [text.get_text() for text in left.get_legend().get_texts()] == ["pool", "pick"]
    (alone,) = plot_batch(features, Batch(batch.indices)).axes
    assert len(numbers(alone)) == 12


def test_a_pool_is_drawn_by_its_features():
    features, batch = make(80, 3, 5)
    pool = labelnext.Pool(features=features)
    one, other = (plot_batch(given, batch).axes[0].collections[1] for given in (features, pool))
    np.testing.assert_array_equal(one.get_offsets(), other.get_offsets())


def test_markers_lie_on_the_projection_with_areas_by_norm():
    features, batch = make(300, 2, 12)
    figure = plot_batch(features, batch)
    pool, picks = figure.axes[0].collections[:2]
    assert len(pool.get_offsets()) == 288
    # In two dimensions the projection is a rotation: distances are kept.
    where = picks.get_offsets()[::-1]  # the first pick is drawn last, on top
    chosen = features[batch.indices]
    np.testing.assert_allclose(
        np.linalg.norm(where - where[0], axis=1), np.linalg.norm(chosen - chosen[0], axis=1)
    )
    areas, norms = picks.get_sizes()[::-1], batch.gradient_norms
    large = areas > 8
    np.testing.assert_allclose(areas[large] / areas.max(), norms[large] / norms.max())
    assert areas.min() >= 8
    assert figure.axes[0].get_title(loc="left") == "12 picks in a pool of 300"


def test_excluded_rows_are_crosses_and_a_large_pool_is_thinned():
    features, batch = make(5000, 3, 5, exclude=np.arange(2500))
    figure = plot_batch(features, batch, exclude=np.arange(2500), max_background=100)
    pool, crosses = figure.axes[0].collections[:2]
    assert len(pool.get_offsets()) + len(crosses.get_offsets()) == 100
    assert 20 < len(crosses.get_offsets()) < 80
    labels = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert labels[:2] == ["pool", "excluded (labelled already)"]


def test_of_a_large_pool_it_draws_the_density():
    features, batch = make(DENSE + 20, 3, 5)
    cells = plot_batch(features, batch).axes[0].collections[0]
    assert cells.get_array().sum() > 0
    assert len(cells.get_offsets()) < DENSE
    alone, _ = make(DENSE + 5, 3, 5)
    assert len(plot_batch(alone, batch).axes[0].collections[0].get_offsets()) == DENSE


def test_sparse_and_mapped_features_look_the_same_and_are_not_read_whole(tmp_path):
    features, batch = make(200, 6, 10)
    np.save(tmp_path / "f.npy", features)
    mapped = np.load(tmp_path / "f.npy", mmap_mode="r")
    places = []
    for kind in (features, mapped, sp.csr_array(features), features.tolist()):
        figure = plot_batch(kind, batch)
        places.append(np.abs(np.asarray(figure.axes[0].collections[1].get_offsets())))
    for other in places[1:]:
        np.testing.assert_allclose(other, places[0], atol=1e-6)


@pytest.mark.parametrize(("n", "d"), [(1, 1), (1, 3), (2, 1), (2, 3), (9, 1), (9, 2)])
@pytest.mark.parametrize("sparse", [False, True])
def test_small_pools(n, d, sparse):
    features, batch = make(n, d, n)
    figure = plot_batch(sp.csr_array(features) if sparse else features, batch)
    assert len(numbers(figure.axes[0])) == n


def test_pools_in_which_all_is_alike():
    features = np.ones((30, 4))
    batch = labelnext.select(np.full((30, 2), 0.5), features, 5, random_state=0)
    figure = plot_batch(features, batch)
    assert "one pick covers the pool" in figure.axes[1].texts[0].get_text()
    zero = labelnext.select(np.eye(2)[np.zeros(30, int)], features, 5, random_state=0)
    assert zero.gradient_norms.max() == 0
    plot_batch(features, zero).draw_without_rendering()


def test_potential_is_drawn_as_it_is():
    features, batch = make(400, 4, 60)
    axes = plot_batch(features, batch).axes[1]
    x, share = axes.lines[0].get_data()
    np.testing.assert_array_equal(x, np.arange(1, 61))
    np.testing.assert_allclose(share, batch.potentials / batch.potentials[0])
    assert axes.get_yscale() == "log"
    marks = halvings(share)
    labels = [int(text.get_text().rpartition(" ")[2]) for text in axes.texts]
    assert labels[0] == next(reversed(marks))
    assert set(labels) <= set(marks)


@pytest.mark.parametrize("k", [5, 60, 390])
@pytest.mark.parametrize("flat", [False, True])
def test_halvings_are_labelled_without_overlaps(k, flat):
    features, batch = make(400, 300 if flat else 2, k)
    figure = plot_batch(features, batch)
    figure.draw_without_rendering()
    boxes = [Text.get_window_extent(text) for text in figure.axes[1].texts]
    assert boxes
    for place, box in enumerate(boxes):
        assert box.count_overlaps(boxes[place + 1 :]) == 0
        assert box.x1 <= figure.bbox.x1


def test_a_covered_pool_says_from_which_pick_on():
    features = np.repeat(np.arange(1.0, 5.0), 3)[:, None]
    batch = labelnext.select(np.full((12, 2), 0.5), features, 8, random_state=0)
    assert batch.potentials[3] == 0
    axes = plot_batch(features, batch).axes[1]
    assert "nothing is left from pick 4 on" in axes.get_xlabel()
    assert len(axes.lines[0].get_xdata()) == 3


def test_one_pick_has_no_fall():
    features, batch = make(50, 3, 1)
    figure = plot_batch(features, batch)
    assert "Pick more to see it fall" in figure.axes[1].texts[0].get_text()
    assert figure.axes[0].get_title(loc="left") == "1 pick in a pool of 50"


def test_it_draws_on_a_given_figure_and_changes_no_array():
    features, batch = make(50, 3, 4)
    before = features.copy()
    given = plt.figure()
    assert plot_batch(features, batch, figure=given) is given
    np.testing.assert_array_equal(features, before)
