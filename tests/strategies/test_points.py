"""Points that are tensors: the same answers as of arrays, on the device where they are."""

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from scipy.spatial.distance import cdist

from labelnext import Pool, select
from labelnext.strategies import MaxHerding, ProbCover, Query, TypiClust, _clusters, _points
from labelnext.strategies._points import lay_out

NAN = np.nan


def scattered(seed=0, n=300, d=5, dtype=np.float64):
    """Points around four middles, some of them twice, and one at 0."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d)) + 2 * rng.normal(size=(4, d))[np.arange(n) % 4]
    X[n // 2 : n // 2 + 9], X[3] = X[:9], 0
    return X.astype(dtype)


@pytest.fixture(autouse=True, params=[False, True], ids=["one tile", "many tiles"])
def _tiles(request, monkeypatch):
    if request.param:
        sizes = {"NUMBERS": 1000, "ROWS": 64, "TENSOR_BLOCK": 37, "BLOCK": 23, "PAIRS_OF_EACH": 4}
        for name, size in sizes.items():
            monkeypatch.setattr(_points, name, size)


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def place(request, monkeypatch):
    """Put a pool where its features stay on a device; on the CPU, where they would be arrays."""

    def of(proba, X, **known):
        if request.param == "cuda":
            return Pool(torch.tensor(proba).cuda(), torch.tensor(X).cuda(), **known)
        plain = Query._features

        def features(self, rows, on_device=False):
            found = plain(self, rows, on_device)
            return torch.tensor(found) if on_device else found

        monkeypatch.setattr(Query, "_features", features)
        return Pool(proba, X, **known)

    return of


@pytest.fixture
def fetched(monkeypatch):
    """How many numbers each tensor has that becomes an array, or leaves its device."""
    sizes = [0]

    def spied(plain):
        def spy(tensor, *args, **kwargs):
            sizes.append(tensor.numel())
            return plain(tensor, *args, **kwargs)

        return spy

    for name in ("cpu", "numpy", "tolist", "__array__"):
        monkeypatch.setattr(torch.Tensor, name, spied(getattr(torch.Tensor, name)))
    return sizes


@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("radius", [np.inf, 1e-3])
def test_what_is_asked_of_all_pairs(radius, dtype, normalize):
    X = scattered(dtype=dtype)
    arrays = lay_out(X, radius, normalize=normalize)
    points = lay_out(torch.tensor(X), radius, normalize=normalize)
    assert isinstance(points.rows, torch.Tensor)
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
    placed = lay_out(X.astype(np.float64), normalize=normalize).rows[:, :-2]
    d2 = cdist(placed, placed, "sqeuclidean")
    assert points.least_apart() == pytest.approx(d2[d2 > 1e-6].min(), rel=1e-3)
    for one in (points, arrays):
        np.testing.assert_allclose(one.squared(one.take(some)), d2[some], **close)
        np.testing.assert_allclose(
            np.sort(one.smallest(7), axis=1), np.sort(d2, axis=1)[:, :7], **close
        )
        clusters = one.clusters(one.at(one.places(some[:5])))
        assert (d2[some[:5]].argmin(axis=0) == np.asarray(clusters)).mean() > 0.99
        expected = [(weights * (kinds == kind)) @ placed for kind in range(4)]
        sums = one.sums_by(one._moved(kinds), 4, weights)
        np.testing.assert_allclose(sums[:, :-2], expected, rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(sums[:3, -1], np.bincount(kinds, weights), rtol=1e-4)


@pytest.mark.parametrize("kind", [np.asarray, torch.tensor, sp.csr_array])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_pairs_within_limits(dtype, kind, monkeypatch):
    X = scattered(dtype=dtype)
    points = lay_out(kind(X), normalize=True)
    limits = np.random.default_rng(1).exponential(0.01, size=300)
    limits[:3] = 0, np.inf, 1e-3
    placed = X / np.maximum(np.linalg.norm(X.astype(float), axis=1, keepdims=True), 1e-9)
    d2 = cdist(placed, placed, "sqeuclidean")
    is_in = d2 < limits
    clear = np.abs(d2 - limits) > points.rounding
    np.fill_diagonal(is_in, True)
    monkeypatch.setattr(_points, "PAIRS_OF_EACH", 40)
    found = points.within(limits)
    inside = np.zeros((300, 300), dtype=bool)
    inside[np.repeat(np.arange(300), np.diff(found.indptr)), found.indices] = True
    assert inside.sum() == found.nnz
    assert (inside == is_in)[clear].all()
    assert inside.diagonal().all()
    np.testing.assert_allclose(found.toarray()[inside], d2[inside], atol=points.rounding)
    # As many pairs as may be kept, and one more.
    n_pairs = int(np.triu(inside | inside.T, 1).sum())
    monkeypatch.setattr(_points, "MOST_PAIRS", n_pairs)
    assert points.within(limits).nnz == found.nnz
    monkeypatch.setattr(_points, "MOST_PAIRS", n_pairs - 1)
    assert points.within(limits) is None


def _near_ties(request):
    """Of an H100 it is known that its rounding in float32 picks another of near equals."""
    reason = "float32 is rounded differently on a GPU, and clusters of near equals with it"
    request.node.add_marker(pytest.mark.xfail(reason=reason, strict=False))


STRATEGIES = [
    "core-set",
    "max-herding",
    MaxHerding(radius=2.0, normalize=False),
    "uncertainty-herding",
    ProbCover(n_classes=4),
    ProbCover(delta=0.3),
    "k-means",
    "clue",
    "drop-query",
    "cluster-margin",
    "typi-clust",
    TypiClust(max_clusters=60),
]


@pytest.mark.one_of(2)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("strategy", STRATEGIES, ids=str)
@pytest.mark.parametrize("n_labeled", [0, 20])
def test_the_picks_are_those_of_arrays(
    strategy, n_labeled, dtype, place, fetched, monkeypatch, request
):
    if strategy == "drop-query" and dtype == np.float32 and "cuda" in request.node.name:
        _near_ties(request)
    monkeypatch.setattr("labelnext.strategies._typi_clust.OF_EACH", 4)
    monkeypatch.setattr(_clusters, "AT_ONCE", 5)
    X, rng = scattered(2, d=30, dtype=dtype), np.random.default_rng(3)
    proba = rng.dirichlet([1, 1, 1], size=300)
    labels = np.full(300, NAN)
    labels[:n_labeled] = np.arange(n_labeled) % 3
    known = {"labels": labels, "last_layer": (rng.normal(size=(3, 30)), rng.normal(size=3))}
    options = {"strategy": strategy, "random_state": 1}
    options |= {"groups": np.arange(300) // 20, "max_per_group": 2, "exclude": range(40, 60)}
    expected = select(Pool(proba, X, **known), 25, **options)
    pool = place(proba, X, **known)
    fetched.clear()
    batch = select(pool, 25, **options)
    assert batch.indices.tolist() == expected.indices.tolist()
    # The distance of a sample to itself, of squared norms of some 30, is √(30 · 2⁻²³) and more.
    atol = 1e-2 if dtype == np.float32 else 1e-6
    np.testing.assert_allclose(batch.scores, expected.scores, rtol=1e-3, atol=atol)
    # Nothing as long as the features, unless it is of pairs that are kept.
    few_pairs = _points.PAIRS_OF_EACH < 10
    assert max(fetched, default=0) < X.size / 2 if few_pairs else X.size not in fetched


@pytest.mark.parametrize("value", [NAN, np.inf])
def test_tensors_must_be_finite(place, value):
    X = scattered()
    X[17, 2] = value
    with pytest.raises(ValueError, match="infinity in row 17; drop or"):
        select(place(np.full((300, 2), 0.5), X), 3, strategy="max-herding")


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("strategy", ["max-herding", "k-means", "typi-clust"])
def test_half_precision_on_a_gpu(strategy, dtype, request):
    if dtype == torch.bfloat16 and strategy != "max-herding":
        _near_ties(request)
    X = torch.tensor(scattered(4, n=800, d=16, dtype=np.float32)).to(dtype)
    proba = torch.tensor(np.random.default_rng(3).dirichlet([1, 1, 1], size=800)).float()
    expected = select(Pool(proba, X), 40, strategy=strategy, random_state=1)
    batch = select(Pool(proba.cuda(), X.cuda()), 40, strategy=strategy, random_state=1)
    assert batch.indices.tolist() == expected.indices.tolist()


@pytest.mark.gpu
@pytest.mark.parametrize("strategy", ["bait", "uncertainty"])
def test_others_fetch_what_they_look_at(strategy):
    X = torch.tensor(scattered(4, n=500, d=4, dtype=np.float32))
    proba = torch.tensor(np.random.default_rng(3).dirichlet([1, 1, 1], size=500)).float()
    expected = select(Pool(proba, X), 9, strategy=strategy, random_state=1)
    batch = select(Pool(proba.cuda(), X.cuda()), 9, strategy=strategy, random_state=1)
    assert batch.indices.tolist() == expected.indices.tolist()


@pytest.mark.filterwarnings("error")
def test_memory_that_held_something_else(monkeypatch):
    # What is not written yet may be anything, a signalling NaN say, and must not be converted.
    plain, signalling = np.empty, np.uint32(0x7FA00000)

    def empty(shape, dtype=float, **options):
        made = plain(shape, dtype, **options)
        if made.dtype == np.float32:
            made.view(np.uint32)[...] = signalling
        return made

    monkeypatch.setattr(np, "empty", empty)
    points = lay_out(scattered(dtype=np.float32), 0.0, normalize=False)
    assert not points.in_float32
    assert np.isfinite(points.rows).all()
