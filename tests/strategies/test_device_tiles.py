"""Points that are tensors: the same answers as of arrays, on the device where they are."""

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist

from labelnext import Pool, select
from labelnext.strategies import MaxHerding, ProbCover, Query, UncertaintyHerding, _device_tiles
from labelnext.strategies._points import lay_out, place

NAN = np.nan


def scattered(seed=0, n=300, d=5, dtype=np.float64):
    """Points around four middles, some of them twice, and one at 0."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d)) + 2 * rng.normal(size=(4, d))[np.arange(n) % 4]
    X[n // 2 : n // 2 + 9], X[3] = X[:9], 0
    return X.astype(dtype)


@pytest.fixture(autouse=True, params=[1 << 26, 1000], ids=["one tile", "many tiles"])
def _tiles(request, monkeypatch):
    monkeypatch.setattr(_device_tiles, "NUMBERS", request.param)
    monkeypatch.setattr(_device_tiles, "ROWS", 64)


@pytest.fixture
def on_device(monkeypatch):
    """Features that may stay on a device are tensors, as those of a GPU are."""
    plain, stayed = Query._features, []

    def features(self, rows, on_device=False):
        found = plain(self, rows, on_device)
        stayed.append(on_device)
        return torch.tensor(found) if on_device else found

    monkeypatch.setattr(Query, "_features", features)
    return stayed


@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("radius", [np.inf, 1e-3])
def test_what_is_asked_of_all_pairs(radius, dtype, normalize):
    X = scattered(dtype=dtype)
    arrays = lay_out(place(X, normalize), radius)
    points = lay_out(place(torch.tensor(X), normalize), radius)
    assert type(points) is _device_tiles.DevicePoints
    assert points.in_float32 == arrays.in_float32 == (dtype == np.float32 and radius == np.inf)
    assert points.rounding == pytest.approx(arrays.rounding, rel=1e-5)
    assert points.too_coarse_for(1e-3) == arrays.too_coarse_for(1e-3)
    close = {"rtol": 1e-4, "atol": 2 * arrays.rounding}
    rng = np.random.default_rng(1)
    some, mask, weights = rng.permutation(300)[:70], rng.random(300) < 0.4, rng.random(300)
    floor, kinds = rng.random(300) / 2, rng.integers(3, size=300)
    for rows in (some, mask, slice(20, 90), [5]):
        one, other = points.take(rows), arrays.take(rows)
        assert one.n == other.n
        np.testing.assert_allclose(points.nearest(one), arrays.nearest(other), **close)
        np.testing.assert_allclose(
            points.sums(one, -0.7, weights, floor),
            arrays.sums(other, -0.7, weights, floor),
            rtol=1e-4,
        )
        np.testing.assert_array_equal(points.count(one, 0.37), arrays.count(other, 0.37))
    np.testing.assert_allclose(
        points.nearest_of_another(kinds), arrays.nearest_of_another(kinds), **close
    )
    assert points.least_apart() == pytest.approx(arrays.least_apart(), rel=1e-3)
    none = points.take(slice(300, None))
    assert (points.nearest(none) == np.inf).all()
    assert points.sums(none, -1.0, weights, floor).shape == (0,)
    assert points.count(none, 1.0).tolist() == [0] * 300
    d2 = cdist(*[place(X.astype(np.float64), normalize)] * 2, "sqeuclidean")
    assert points.least_apart() == pytest.approx(d2[d2 > 1e-6].min(), rel=1e-3)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(
    "strategy",
    [
        MaxHerding(radius=0.5),
        MaxHerding(radius=2.0, normalize=False),
        UncertaintyHerding(),
        UncertaintyHerding("entropy", radius=0.4),
        ProbCover(n_classes=4),
        ProbCover(delta=0.3),
    ],
    ids=str,
)
@pytest.mark.parametrize("n_labeled", [0, 20])
def test_the_picks_are_those_of_arrays(strategy, n_labeled, dtype, request):
    X = scattered(2, dtype=dtype)
    proba = np.random.default_rng(3).dirichlet([1, 1, 1], size=300)
    labels = np.full(300, NAN)
    labels[:n_labeled] = np.arange(n_labeled) % 3
    pool = Pool(proba, X, labels=labels)
    options = {"strategy": strategy, "random_state": 1}
    options |= {"groups": np.arange(300) // 20, "max_per_group": 2, "exclude": range(40, 60)}
    expected = select(pool, 25, **options)
    stayed = request.getfixturevalue("on_device")
    batch = select(pool, 25, **options)
    assert batch.indices.tolist() == expected.indices.tolist()
    np.testing.assert_allclose(batch.scores, expected.scores, rtol=1e-4)
    assert stayed == [True]


@pytest.mark.parametrize("value", [NAN, np.inf])
def test_tensors_must_be_finite(on_device, value, monkeypatch):
    X = scattered()
    X[17, 2] = value
    with pytest.raises(ValueError, match="infinity in row 17; drop or"):
        select(Pool(features=X), 3, strategy="max-herding")


@pytest.mark.gpu
class TestOnAGpu:
    """Nothing as long as the features is fetched."""

    @pytest.fixture
    def fetched(self, monkeypatch):
        sizes, plain = [0], torch.Tensor.cpu

        def cpu(tensor, *args, **kwargs):
            sizes.append(tensor.numel())
            return plain(tensor, *args, **kwargs)

        monkeypatch.setattr(torch.Tensor, "cpu", cpu)
        return sizes

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
    @pytest.mark.parametrize(
        "strategy",
        ["core-set", "max-herding", "uncertainty-herding", ProbCover(delta=0.3)],
        ids=str,
    )
    def test_the_picks_are_those_of_arrays(self, strategy, dtype, fetched):
        X = torch.tensor(scattered(4, n=5000, d=16, dtype=np.float32)).to(dtype)
        proba = torch.tensor(np.random.default_rng(3).dirichlet([1, 1, 1], size=5000)).float()
        expected = select(Pool(proba, X), 40, strategy=strategy, random_state=1)
        pool = Pool(proba.cuda(), X.cuda())
        fetched.clear()
        batch = select(pool, 40, strategy=strategy, random_state=1)
        assert batch.indices.tolist() == expected.indices.tolist()
        np.testing.assert_allclose(batch.scores, expected.scores, rtol=1e-3)
        assert max(fetched) < X.numel() / 4

    @pytest.mark.parametrize("strategy", ["typi-clust", "k-means", "clue", "bait", "uncertainty"])
    def test_others_fetch_what_they_look_at(self, strategy):
        X = torch.tensor(scattered(4, n=500, d=4, dtype=np.float32))
        proba = torch.tensor(np.random.default_rng(3).dirichlet([1, 1, 1], size=500)).float()
        expected = select(Pool(proba, X), 9, strategy=strategy, random_state=1)
        batch = select(Pool(proba.cuda(), X.cuda()), 9, strategy=strategy, random_state=1)
        assert batch.indices.tolist() == expected.indices.tolist()
