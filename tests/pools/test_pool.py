"""Pool: what it takes, what it refuses, and that nothing of it changes, moves or is copied."""

import copy
import pickle
import subprocess
import sys

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse as sp
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from labelnext import Pool
from labelnext.pools import ArraySource, arrays

RNG = np.random.default_rng(0)
N = 12
PROBA = RNG.dirichlet(np.ones(3), size=N)
FEATURES = RNG.normal(size=(N, 4))
IDS = [f"s{i}" for i in range(N)]
LABELS = ["cat", None, "dog"] + [None] * (N - 3)
CLASSES = ["cat", "dog", "eel"]


def full(**changed):
    given = {"ids": IDS, "groups": np.arange(N) // 2, "labels": LABELS, "classes": CLASSES}
    return Pool(PROBA, FEATURES, **{**given, **changed})


class TestParts:
    def test_arrays_are_kept_as_they_are(self):
        pool = Pool(PROBA, FEATURES)
        assert pool.proba is PROBA
        assert pool.features is FEATURES
        assert pool.read("proba") is PROBA
        assert (pool.n_rows, len(pool), pool.n_classes, pool.n_features) == (N, N, 3, 4)
        assert (pool.n_members, pool.task, pool.bias, pool.classes) == (
            None,
            "multiclass",
            False,
            None,
        )
        assert pool.ids is pool.groups is pool.labels is None
        assert pool.labeled.tolist() == []

    @pytest.mark.parametrize(
        "features",
        [
            np.asfortranarray(FEATURES),
            np.concatenate([FEATURES] * 2, axis=1)[:, ::2],
            FEATURES[::-1],
            FEATURES.astype(np.float16),
            FEATURES.astype(int),
        ],
        ids=["fortran", "strided", "backwards", "half", "whole"],
    )
    def test_of_any_order_and_type(self, features):
        pool = Pool(features=features)
        assert pool.features is features
        np.testing.assert_array_equal(pool.read("features", [3, 1]), features[[3, 1]])
        np.testing.assert_array_equal(pool.part(2, 5).features, features[2:5])

    def test_memory_mapped_arrays_stay_in_their_file(self, tmp_path):
        np.save(tmp_path / "x.npy", FEATURES)
        mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
        assert np.shares_memory(Pool(features=mapped).features, mapped)

    def test_sparse_features(self):
        csr = sp.csr_matrix(FEATURES * (FEATURES > 0))
        pool = Pool(PROBA, csr)
        assert np.shares_memory(pool.features.data, csr.data)
        assert (pool.features != csr.tocoo()).nnz == 0
        assert pool[3:5].features.toarray().tolist() == csr.toarray()[3:5].tolist()
        assert pool.read("features", [5, 0]).toarray().tolist() == csr.toarray()[[5, 0]].tolist()
        assert "4 sparse features" in repr(pool)
        other = Pool(PROBA, csr.tocsc())
        assert other.features.format == "csr"
        assert other.fingerprint() == pool.fingerprint()

    @pytest.mark.parametrize("frame", [pd.DataFrame, pl.DataFrame])
    def test_frames_are_read_by_position(self, frame):
        proba, features = frame(PROBA), frame(FEATURES)
        if frame is pd.DataFrame:
            proba.index, features.index = range(N, 0, -1), list("abcdefghijkl")
        pool = Pool(proba, features)
        np.testing.assert_array_equal(pool.proba, PROBA)
        np.testing.assert_array_equal(pool.features, FEATURES)

    def test_series_are_read_by_position(self):
        shuffled = pd.Series(IDS, index=RNG.permutation(N))
        groups = pd.Series(np.arange(N) // 2, index=N + RNG.permutation(N)).astype("category")
        labels = pd.Series(LABELS, index=range(N, 0, -1))
        pool = Pool(pd.Series(PROBA[:, 0], index=range(N, 0, -1)), ids=shuffled, groups=groups)
        assert pool.ids.tolist() == IDS
        assert pool.groups.tolist() == (np.arange(N) // 2).tolist()
        np.testing.assert_array_equal(pool.proba[:, 1], PROBA[:, 0])
        assert full(labels=labels).labeled.tolist() == [0, 2]
        assert full(labels=pl.Series(LABELS)).labeled.tolist() == [0, 2]

    def test_lists(self):
        pool = Pool(PROBA.tolist(), FEATURES.tolist())
        np.testing.assert_array_equal(pool.proba, PROBA)

    def test_one_part_alone(self):
        cold = Pool(features=FEATURES)
        assert cold.proba is None
        assert cold.n_classes is None
        assert repr(cold) == "Pool of 12 samples: multiclass, 4 features in float64"
        hot = Pool(PROBA)
        assert hot.features is None
        assert hot.n_features is None
        assert hot.n_rows == N
        with pytest.raises(
            ValueError, match=r"has features only; name or pass the probabilities: proba="
        ):
            cold.read("proba")
        with pytest.raises(ValueError, match=r"has probabilities only"):
            hot.read("features", [0])
        with pytest.raises(ValueError, match="part must be 'proba' or 'features', got 'x'"):
            hot.read("x")


class TestTensors:
    @pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
    def test_those_on_the_cpu_are_arrays_of_the_same_memory(self, dtype):
        proba = torch.tensor(PROBA, dtype=dtype, requires_grad=True)
        pool = Pool(proba, torch.tensor(FEATURES))
        assert np.shares_memory(pool.proba, proba.detach().numpy())
        assert pool.source.device == "cpu"

    def test_bfloat16_becomes_float32_and_is_remembered(self):
        pool = Pool(torch.tensor(PROBA).bfloat16(), FEATURES)
        assert pool.proba.dtype == np.float32
        assert pool.source.stored_as == "bfloat16"
        for part in (pool[2:5], pool[[1, 0]], pickle.loads(pickle.dumps(pool))):
            assert part.source.stored_as == "bfloat16"

    def test_refused(self):
        features = torch.tensor(FEATURES)
        with pytest.raises(TypeError, match=r"features is a sparse tensor.*to_dense"):
            Pool(features=features.to_sparse())
        with pytest.raises(TypeError, match=r"features must hold real numbers.*complex"):
            Pool(features=features.to(torch.complex64))
        with pytest.raises(ValueError, match=r"one device, got proba on cpu and features on meta"):
            Pool(PROBA, features.to("meta"))
        with pytest.raises(ValueError, match="device meta, where tensors hold no numbers"):
            Pool(features=features.to("meta"))


class TestOnADevice:
    """Tensors that are kept: here those on the CPU, in the guise of another device's."""

    @pytest.fixture(autouse=True)
    def kept(self, monkeypatch):
        monkeypatch.setattr(arrays, "common_device", lambda *_: torch.device("cpu"))
        monkeypatch.setattr(arrays, "as_part", lambda _, x: (x.detach(), str(x.dtype)[6:]))

    @pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
    def test_they_are_cut_read_and_sent_as_tensors(self, dtype):
        proba, features = torch.tensor(PROBA, dtype=dtype), torch.tensor(FEATURES, dtype=dtype)
        pool = Pool(proba, features, ids=IDS)
        assert pool.features.data_ptr() == features.data_ptr()
        for rows in (slice(2, 9), slice(None, None, 3), slice(None, None, -1), [7, 2, 4]):
            expected = features[torch.from_numpy(np.arange(N)[rows].copy())]
            for part in (pool[rows], pickle.loads(pickle.dumps(pool[rows]))):
                assert torch.equal(part.features, expected)
                assert torch.equal(part[1:3].read("features"), expected[1:3])
                assert torch.equal(part.read("features", [1, 0]), expected[[1, 0]])
        assert pool.fingerprint() == Pool(proba.clone(), features.clone()).fingerprint()
        assert pool.fingerprint() != Pool(proba, -features).fingerprint()
        assert "4 features in" in repr(pool)
        assert repr(pool).endswith("on cpu")

    def test_a_part_sends_its_own_rows_only(self):
        pool = Pool(torch.full((20_000, 2), 0.5), torch.ones(20_000, 5))
        assert len(pickle.dumps(pool[10:20])) < 6000

    def test_a_single_column_becomes_two(self):
        p = torch.tensor(PROBA[:, 0], dtype=torch.float32)
        for proba in (p, p[:, None]):
            pool = Pool(proba, torch.tensor(FEATURES))
            assert (pool.proba.dtype, pool.proba.shape) == (torch.float64, (N, 2))
            assert torch.equal(pool[3:5].proba[:, 1], p[3:5].double())
            assert torch.equal(pool.read("proba", [4])[:, 0], 1 - p[[4]].double())
        members = Pool(torch.stack([p, p])[:, :, None])
        assert members.proba.shape == (2, N, 2)
        assert members[[2, 1]].proba.shape == (2, 2, 2)


class TestASingleColumn:
    """It is P(y = 1) of a binary classifier, wherever it is."""

    P = PROBA[:, 0].astype(np.float32)

    @pytest.mark.parametrize(
        "proba",
        [P, P[:, None], torch.tensor(P), torch.tensor(P)[:, None], P.tolist(), pd.Series(P)],
        ids=["1-D", "column", "tensor", "tensor column", "list", "series"],
    )
    def test_of_two_classes_it_becomes_two_columns_in_float64(self, proba):
        pool = Pool(proba, FEATURES, classes=["no", "yes"])
        p = np.asarray(proba, dtype=np.float32).ravel().astype(np.float64)
        assert (pool.n_classes, pool.proba.dtype) == (2, np.float64)
        np.testing.assert_array_equal(pool.proba, np.stack([1 - p, p], axis=1))
        np.testing.assert_array_equal(pool.read("proba", [4, 0]), pool.proba[[4, 0]])
        for part in (pool[2:4], pool.part(2, 4), pool[[2, 3]], pool[::-1][8:10][::-1]):
            np.testing.assert_array_equal(part.proba, pool.proba[2:4])
        assert pool.features is FEATURES

    def test_a_tiny_probability_is_not_lost(self):
        pool = Pool(np.array([1e-12, 0.5], dtype=np.float32), FEATURES[:2])
        assert 0 < 1 - pool.proba[0, 0] < 2e-12

    @pytest.mark.parametrize("proba", [P, P[:, None]])
    def test_of_one_logit_it_stays_one(self, proba):
        pool = Pool(proba, FEATURES, task="binary", classes=["no", "yes"])
        assert pool.proba.shape == (N, 1)
        assert pool.n_classes == 2

    def test_of_a_committee(self):
        pool = Pool(np.stack([self.P, 1 - self.P])[:, :, None], FEATURES)
        assert pool.proba.shape == (2, N, 2)
        np.testing.assert_allclose(pool.proba.sum(axis=2), 1)
        assert pool[3:5].proba.shape == (2, 2, 2)

    def test_of_several_labels_it_is_one_label(self):
        pool = Pool(self.P[:, None], FEATURES, task="multilabel")
        assert (pool.proba.shape, pool.n_classes) == ((N, 1), 1)
        with pytest.raises(ValueError, match=r"two dimensions, got shape \(12,\).*reshape"):
            Pool(self.P, FEATURES, task="multilabel")

    def test_both_classes_are_no_logit(self):
        with pytest.raises(ValueError, match=r"has one column, got shape \(12, 3\).*multiclass"):
            Pool(PROBA, FEATURES, task="binary")

    def test_the_task_may_be_another_afterwards(self):
        pool = Pool.of(Pool(self.P, FEATURES), task="binary")
        assert pool.proba.shape == (N, 1)


class TestCommittees:
    MEMBERS = np.stack([PROBA, PROBA[::-1]])

    @pytest.mark.parametrize("kind", [np.asarray, list, torch.tensor])
    def test_have_three_dimensions(self, kind):
        pool = Pool(kind(self.MEMBERS), FEATURES)
        assert (pool.n_rows, pool.n_members, pool.n_classes) == (N, 2, 3)
        np.testing.assert_array_equal(pool.proba, self.MEMBERS)
        np.testing.assert_array_equal(pool[3:5].proba, self.MEMBERS[:, 3:5])
        np.testing.assert_array_equal(pool[[5, 3]].proba, self.MEMBERS[:, [5, 3]])
        np.testing.assert_array_equal(pool.read("proba", [5, 3]), self.MEMBERS[:, [5, 3]])
        assert repr(pool).startswith("Pool of 12 samples: multiclass, 3 classes, 2 members, 4 ")

    def test_line_up_with_the_features(self):
        with pytest.raises(
            ValueError, match="12 rows of proba for each of 2 members and 2 of feat"
        ):
            Pool(self.MEMBERS, FEATURES[:2])
        with pytest.raises(ValueError, match="no rows"):
            Pool(self.MEMBERS[:0])


class TestTasks:
    @pytest.mark.parametrize("task", ["regression", "vectors"])
    def test_features_alone_are_gradients(self, task):
        assert Pool(features=FEATURES, task=task).task == task
        with pytest.raises(
            ValueError, match=rf"task='{task}' the gradient is made of the features"
        ):
            Pool.of(Only(), task=task)

    @pytest.mark.parametrize("task", ["regression", "vectors"])
    def test_there_are_no_probabilities(self, task):
        for parts in ((PROBA, FEATURES), (PROBA,)):
            with pytest.raises(ValueError, match="there are no probabilities; leave proba out"):
                Pool(*parts, task=task)

    def test_regression_has_no_classes(self):
        with pytest.raises(ValueError, match="there are no classes; leave classes out"):
            Pool(features=FEATURES, task="regression", classes=["a"])
        pool = Pool(features=FEATURES, task="regression", labels=[0.5, np.nan] * 6)
        assert pool.labeled.tolist() == [0, 2, 4, 6, 8, 10]

    @pytest.mark.parametrize("task", ["softmax", "Binary", 2])
    def test_there_are_five(self, task):
        with pytest.raises(ValueError, match="'binary', 'regression' or 'vectors', got"):
            Pool(PROBA, task=task)

    def test_bias(self):
        pool = Pool(PROBA, FEATURES, bias=True)
        assert pool.bias
        assert "4 features in float64 with a bias" in repr(pool)
        assert pool.fingerprint() != Pool(PROBA, FEATURES).fingerprint()


class Only(ArraySource):
    """Probabilities of a source that says nothing of them."""

    def __init__(self):
        super().__init__(PROBA)
        self.n_columns = 0


class TestIds:
    @pytest.mark.parametrize(
        "ids", [IDS, np.array(IDS), range(100, 100 + N), np.arange(N, dtype=np.uint8) * 20]
    )
    def test_lead_to_rows_and_back(self, ids):
        pool = full(ids=ids)
        names = list(ids)
        assert pool.ids.tolist() == names
        assert pool.ids_of([3, 1]).tolist() == [names[3], names[1]]
        rows = RNG.permutation(N)
        assert pool.rows_of([names[row] for row in rows]).tolist() == rows.tolist()
        assert pool.rows_of([names[2]] * 3).tolist() == [2, 2, 2]
        assert pool.rows_of([]).tolist() == []

    def test_are_row_numbers_where_there_are_none(self):
        pool = full(ids=None)
        assert pool.ids is None
        assert pool.ids_of([3, 1]).tolist() == [3, 1]
        assert pool.rows_of([3, 1]).tolist() == [3, 1]
        with pytest.raises(ValueError, match=r"ids: 1 of 1 id is not in the pool: 12; .*0, 1, 2"):
            pool.rows_of([12])

    def test_read_as_text_are_the_same(self):
        assert full(ids=range(5, 5 + N)).rows_of(["7", "5"]).tolist() == [2, 0]
        assert full(ids=list(map(str, range(5, 5 + N)))).rows_of([7, 5]).tolist() == [2, 0]
        with pytest.raises(
            ValueError, match=r"2 of 3 ids are not in the pool: '07', 'x';.*5, 6, 7"
        ):
            full(ids=range(5, 5 + N)).rows_of(["07", "7", "x"])

    def test_that_are_unknown_are_named(self):
        with pytest.raises(
            ValueError, match=r"8 of 9 ids .*'x0', 'x1', 'x2', 'x3', 'x4' and 3 mor"
        ):
            full().rows_of(["s0", *(f"x{i}" for i in range(8))])

    def test_of_a_large_pool_are_found_fast(self):
        n = 60_000
        pool = Pool(features=np.ones((n, 1), np.float32), ids=np.arange(n) * 3)
        assert pool.rows_of(np.arange(n)[::-1] * 3).tolist() == list(range(n - 1, -1, -1))

    @pytest.mark.parametrize(
        ("ids", "error", "message"),
        [
            (
                ["a"] * N,
                ValueError,
                "1 id is there more than once: 'a' .*row 0, and row 1",
            ),
            ([*range(N - 1), 4], ValueError, "more than once: 4 .4: row 4, and row 11"),
            (["a", *range(N - 1)], TypeError, "got str 'a' at row 0 and int 0 at row 1"),
            ([*range(N - 1), "b"], TypeError, "got int 0 at row 0 and str 'b' at row 11"),
            ([*IDS[:-1], None], TypeError, "NoneType None at row 11"),
            (IDS[:-1], ValueError, "ids has 11 entries and the pool has 12 rows"),
            ([[1]], ValueError, "one dimension"),
            (np.ones(N), TypeError, "integers or strings, got dtype float64"),
            (
                [2**64, *range(N - 1)],
                ValueError,
                "below 2..64, got 0 to 18446744073709551616; .*as str",
            ),
        ],
    )
    def test_refused(self, ids, error, message):
        with pytest.raises(error, match=message):
            full(ids=ids)


class TestGroups:
    @pytest.mark.parametrize(
        "groups",
        [
            list("aabbccddeeff"),
            list(range(N)),
            [("a", 1), ("b", 2)] * 6,
            [b"x", "y"] * 6,
            [1.5] * N,
        ],
    )
    def test_are_any_hashable_values(self, groups):
        pool = full(groups=groups)
        assert pool.groups.tolist() == groups
        assert pool[[5, 2]].groups.tolist() == [groups[5], groups[2]]

    @pytest.mark.parametrize(
        ("groups", "error", "message"),
        [
            ([1] * 5, ValueError, "groups has 5 entries and the pool has 12 rows"),
            (["a"] * 11 + [None], ValueError, "groups is None at row 11"),
            ([np.nan] + [1.0] * 11, ValueError, "groups is nan at row 0"),
            (pd.Series([1, pd.NA] * 6, dtype="Int64"), ValueError, "groups is nan at row 1"),
            (["a", {}] * 6, TypeError, "must be hashable.*dict {} at row 1"),
            (np.ones((N, 2)), ValueError, r"one dimension.*\(12, 2\)"),
            ("a", TypeError, "groups must be a list or an array.*got str"),
        ],
    )
    def test_refused(self, groups, error, message):
        with pytest.raises(error, match=message):
            full(groups=groups)


class TestLabels:
    def test_say_which_rows_have_one(self):
        pool = full()
        assert pool.labeled.tolist() == [0, 2]
        assert pool.labels.tolist() == LABELS
        assert "2 labelled" in repr(pool)
        assert pool[2:].labeled.tolist() == [0]
        assert pool[[5, 2, 0]].labeled.tolist() == [1, 2]
        assert pool[::-1].labeled.tolist() == [9, 11]

    def test_missing_ones_may_be_anything(self):
        pool = full(labels=[-1, 0, 2] * 4, missing_label=-1, classes=None)
        assert pool.labeled.tolist() == [1, 2, 4, 5, 7, 8, 10, 11]
        assert pool.missing_label == -1
        again = Pool.of(pool, bias=True)
        assert again.labeled.tolist() == pool.labeled.tolist()
        assert Pool.of(pool, missing_label=0).labeled.tolist() == [0, 2, 3, 5, 6, 8, 9, 11]
        with pytest.raises(TypeError, match="unexpected keyword argument 'lables'"):
            Pool.of(pool, lables=[0] * 12)

    def test_several_at_once(self):
        labels = np.zeros((N, 3))
        labels[1:, 1] = np.nan
        labels[4] = 1
        pool = Pool(PROBA, FEATURES, task="multilabel", labels=labels, classes=CLASSES)
        assert pool.labeled.tolist() == [0, 4]

    @pytest.mark.parametrize(
        ("changed", "error", "message"),
        [
            ({"labels": ["cat"] * 3}, ValueError, "labels has 3 entries and the pool has 12 rows"),
            (
                {"labels": ["dgo", *LABELS[1:]]},
                ValueError,
                "not among the classes: 'dgo'; did you mean 'dog'.*classes are 'cat', 'dog', 'eel'",
            ),
            ({"labels": [0, 1, 2, 5] * 3, "classes": [0, 1, 2]}, ValueError, "the classes: 5;"),
            (
                {"labels": [0, 1, 2, 5] * 3, "classes": None},
                ValueError,
                "4 different values, 0, 1, 2, 5, and proba has columns for 3 classes",
            ),
            ({"labels": ["cat", 1] * 6}, TypeError, "labels holds numbers and strings"),
            ({"labels": np.zeros((N, 2))}, ValueError, r"one dimension.*got shape \(12, 2\)"),
            (
                {"labels": np.array(["cat", "nan"] * 6)},
                ValueError,
                "labels holds the text 'nan'",
            ),
            ({"task": "multilabel", "classes": None}, ValueError, "two dimensions, a column for"),
            (
                {"task": "multilabel", "labels": np.zeros((N, 2))},
                ValueError,
                "labels has 2 columns and proba has 3",
            ),
            (
                {"task": "multilabel", "labels": np.full((N, 3), 2)},
                ValueError,
                "must be 0, 1 or missing, got 2",
            ),
        ],
    )
    def test_refused(self, changed, error, message):
        with pytest.raises(error, match=message):
            full(**changed)


class TestClasses:
    @pytest.mark.parametrize(
        ("classes", "error", "message"),
        [
            (
                ["cat", "dog"],
                ValueError,
                "classes has 2 names and there must be 3, one for each col",
            ),
            (["cat", "cat", "dog"], ValueError, "names a class twice"),
            (["cat", 1, "dog"], TypeError, "all numbers or all strings"),
            (["cat", None, "dog"], ValueError, "missing_label"),
            ("cat", TypeError, "list of names, got 'cat'"),
            ([], ValueError, "at least one"),
        ],
    )
    def test_refused(self, classes, error, message):
        with pytest.raises(error, match=message):
            full(classes=classes, labels=None)

    def test_of_one_logit_are_two(self):
        with pytest.raises(
            ValueError, match=r"1 name and there must be 2, one for y = 0 and y = 1"
        ):
            Pool(PROBA[:, 0], task="binary", classes=["yes"])

    def test_without_probabilities_say_how_many_there_are(self):
        assert Pool(features=FEATURES, classes=CLASSES).n_classes == 3


class TestLastLayer:
    def test_is_kept(self):
        weights, bias = torch.ones(3, 4, requires_grad=True), [0.0, 1, 2]
        pool = full(last_layer=(weights, bias))
        assert pool.last_layer[0].shape == (3, 4)
        assert pool.last_layer[1].tolist() == bias
        assert pool[2:4].last_layer is pool.last_layer
        assert full(last_layer=(np.ones((3, 4)), None)).last_layer[1] is None

    @pytest.mark.parametrize(
        ("layer", "error", "message"),
        [
            (np.ones((3, 4)), TypeError, "must be a pair"),
            ((np.ones((4, 3)), None), ValueError, r"here \(3, 4\), got \(4, 3\)"),
            ((np.ones((3, 4)), np.ones(4)), ValueError, r"must have the shape \(3,\), got \(4,\)"),
            ((np.full((3, 4), "x"), None), TypeError, "real numbers"),
        ],
    )
    def test_refused(self, layer, error, message):
        with pytest.raises(error, match=message):
            full(last_layer=layer)


class TestRefused:
    @pytest.mark.parametrize(
        ("args", "error", "message"),
        [
            ((), ValueError, "needs probabilities, features or both"),
            ((PROBA, FEATURES[:5]), ValueError, "12 rows of proba and 5 of features.*same order"),
            ((PROBA, sp.csr_array(FEATURES[:5])), ValueError, "12 rows of proba and 5 of features"),
            ((np.empty((0, 3)),), ValueError, "pool is empty"),
            ((None, np.empty((0, 3))), ValueError, "pool is empty"),
            ((np.empty((3, 0)),), ValueError, r"at least one column.*\(3, 0\)"),
            ((PROBA, np.ones(N)), ValueError, r"features must have two dim.*reshape\(-1, 1\)"),
            ((PROBA, np.ones((N, 2, 2))), ValueError, "features must have two dim.*flatten"),
            ((np.ones((2, 2, N, 3)),), ValueError, "proba must have two dim"),
            ((np.float64(1),), ValueError, "one row for each"),
            ((np.ones((N, 3), complex),), TypeError, "proba must hold real numbers.*complex"),
            ((PROBA.astype(object),), TypeError, "proba must hold real numbers.*object"),
            ((PROBA.astype(str),), TypeError, "proba must hold real numbers"),
            ((sp.csr_array(PROBA),), TypeError, "proba must hold real numbers.*toarray"),
            ((PROBA, sp.csr_array(FEATURES.astype(complex))), TypeError, "real numbers.*complex"),
            (([[0.5, 0.5], [1.0]],), ValueError, "rows of one length"),
            (("pool.parquet",), TypeError, "path 'pool.parquet'; labelnext.open_pool opens files"),
            ((PROBA, "x.npy"), TypeError, "features must be an array, got the path 'x.npy'"),
            ((ArraySource(PROBA),), TypeError, "ArraySource; Pool.of makes a pool of it"),
        ],
    )
    def test_what_is_no_pool(self, args, error, message):
        with pytest.raises(error, match=message):
            Pool(*args)

    def test_a_source_is_for_of(self):
        with pytest.raises(
            TypeError, match=r"source or a pool, got a ndarray; arrays are for Pool"
        ):
            Pool.of(PROBA)

    def test_to_change(self):
        pool = full()
        with pytest.raises(AttributeError, match=r"never changes.*Pool.of\(pool, bias=...\)"):
            pool.bias = True
        for array in (pool.ids, pool.groups, pool.labels, pool.labeled, pool.classes):
            with pytest.raises(ValueError, match="read-only"):
                array[0] = array[1]

    def test_values_are_not_read(self):
        Pool(np.full((3, 2), np.nan), np.full((3, 2), np.inf))


class TestCut:
    def test_along_everything(self):
        pool = full()
        for rows in (slice(2, 9), slice(None, None, 3), slice(None, None, -1), [7, 2, 4]):
            part = pool[rows]
            np.testing.assert_array_equal(part.proba, PROBA[rows])
            np.testing.assert_array_equal(part.features, FEATURES[rows])
            assert part.ids.tolist() == np.array(IDS)[rows].tolist()
            assert part.groups.tolist() == (np.arange(N) // 2)[rows].tolist()
            assert part.labels.tolist() == np.array(LABELS, dtype=object)[rows].tolist()
            assert part.classes is pool.classes
            assert part.source.where(0) == f"row {np.arange(N)[rows][0]} of arrays"
            assert part[1:3].source.where(0) == f"row {np.arange(N)[rows][1]} of arrays"

    def test_slices_share_memory(self):
        assert np.shares_memory(full()[2:9:2].proba, PROBA)

    @pytest.mark.parametrize(
        "mask",
        [PROBA[:, 0] > 0.3, (PROBA[:, 0] > 0.3).tolist(), torch.tensor(PROBA[:, 0] > 0.3)],
        ids=["array", "list", "tensor"],
    )
    def test_a_mask(self, mask):
        rows = np.flatnonzero(PROBA[:, 0] > 0.3)
        assert full()[mask].ids.tolist() == [IDS[row] for row in rows]
        assert full()[pd.Series(np.asarray(mask), index=range(N, 0, -1))].n_rows == len(rows)

    @pytest.mark.parametrize(
        ("rows", "error", "message"),
        [
            (3, TypeError, r"take one sample with pool\[\[3\]\]"),
            ([], ValueError, "would be empty"),
            (slice(3, 3), ValueError, "would be empty"),
            (slice(20, 30), ValueError, "would be empty"),
            ([1, 1], ValueError, "once each, got row 1 2 times"),
            ([12], ValueError, "from 0 to 11, got 12"),
            ([-1], ValueError, "from 0 to 11, got -1"),
            ([0.5], TypeError, "integers, or a mask"),
            ([True, False], ValueError, "mask of 2 entries, and there are 12 rows"),
            ([[1]], ValueError, "one dimension"),
            ("ids", TypeError, "got 'ids'"),
            (["s1"], TypeError, "integers, or a mask"),
        ],
    )
    def test_refused(self, rows, error, message):
        with pytest.raises(error, match=message):
            full()[rows]

    def test_parts(self):
        assert full().part(2, 5).ids.tolist() == IDS[2:5]
        with pytest.raises(ValueError, match="Rows 2 to 20 are no part of arrays"):
            full().part(2, 20)

    def test_it_is_no_sequence(self):
        with pytest.raises(TypeError, match="not iterable"):
            iter(full())

    @settings(max_examples=30, deadline=None)
    @given(st.data())
    def test_any_cut_of_any_cut(self, data):
        pool, rows = full(), np.arange(N)
        for _ in range(3):
            n = len(rows)
            index = data.draw(
                st.slices(n)
                | st.lists(st.integers(0, n - 1), unique=True, min_size=1)
                | hnp.arrays(bool, n)
            )
            if not len(rows[index]):
                break
            rows, pool = rows[index], pool[index]
            np.testing.assert_array_equal(pool.proba, PROBA[rows])
            assert pool.ids.tolist() == [IDS[row] for row in rows]
            labelled = [i for i, row in enumerate(rows) if LABELS[row] is not None]
            assert pool.labeled.tolist() == labelled
            assert pool.rows_of(pool.ids).tolist() == list(range(len(rows)))


class TestTravel:
    def test_pickles_and_copies(self):
        pool = full(bias=True)
        for again in (pickle.loads(pickle.dumps(pool)), copy.copy(pool), copy.deepcopy(pool)):
            np.testing.assert_array_equal(again.proba, PROBA)
            assert again.ids.tolist() == IDS
            assert again.fingerprint() == pool.fingerprint()
            assert (again.bias, again.labeled.tolist()) == (True, [0, 2])
            assert again != pool
            assert again.cache is not pool.cache

    def test_what_is_kept_with_it_stays_here(self):
        pool = full()
        pool.cache["opened"] = lambda: None
        assert pickle.loads(pickle.dumps(pool)).cache == {}
        assert pool[2:].cache == {}

    @pytest.mark.parametrize("kind", [np.asarray, sp.csr_array, torch.tensor, pd.DataFrame])
    def test_a_part_sends_its_own_rows_only(self, kind):
        n = 20_000
        pool = Pool(
            np.full((n, 2), 0.5, np.float32),
            kind(np.ones((n, 5))),
            ids=np.arange(n),
            groups=np.arange(n),
            labels=np.zeros(n),
        )
        assert len(pickle.dumps(pool[10:20])) < 6000
        assert len(pickle.dumps(pool[[3, 1]])) < 6000
        assert len(pickle.dumps(Pool(np.full(n, 0.5)).part(0, 9))) < 6000

    def test_pools_that_differ_have_another_fingerprint(self):
        changed = FEATURES.copy()
        changed[7] = -changed[7]  # of the same norm
        pools = [
            Pool(PROBA, FEATURES),
            Pool(PROBA, changed),
            Pool(PROBA),
            Pool(features=FEATURES),
            Pool(PROBA, FEATURES, bias=True),
            Pool(PROBA, FEATURES, task="multilabel"),
            Pool(PROBA, FEATURES.astype(np.float32)),
            Pool(PROBA[:, 0], FEATURES),
            Pool(PROBA[:, 0], FEATURES, task="binary"),
            Pool(PROBA, sp.csr_array(FEATURES)),
            Pool(np.stack([PROBA, PROBA]), FEATURES),
            Pool(PROBA, FEATURES)[:5],
        ]
        assert len({pool.fingerprint() for pool in pools}) == len(pools)
        other = Pool(np.asfortranarray(PROBA), torch.tensor(FEATURES))
        assert other.fingerprint() == pools[0].fingerprint()

    def test_the_caller_wins_over_a_source(self):
        source = ArraySource(PROBA, FEATURES, ids=IDS)
        source.task, source.bias = "multilabel", True
        pool = Pool.of(source)
        assert (pool.task, pool.bias, pool.ids.tolist()) == ("multilabel", True, IDS)
        pool = Pool.of(source, task="multiclass", bias=False, ids=range(N))
        assert (pool.task, pool.bias, pool.ids_of([3]).tolist()) == ("multiclass", False, [3])
        assert Pool.of(pool, groups=np.ones(N)).ids_of([3]).tolist() == [3]


def test_a_pool_says_what_it_is():
    assert repr(full(bias=True)) == (
        "Pool of 12 samples: multiclass, 3 classes, 4 features in float64 with a bias; ids; groups;"
        " 2 labelled"
    )
    shown = full(classes=["<a>", "b", "c"], labels=None)._repr_html_()
    assert "&lt;a&gt;" in shown
    assert "<b>Pool</b> of 12 samples" in shown


def test_it_imports_nothing_heavy():
    code = (
        "import sys, numpy as np, labelnext\n"
        "pool = labelnext.Pool(np.full((3, 2), 0.5), np.ones((3, 1)), ids=list('abc'),"
        " labels=['x', None, 'y'], groups=[1, 1, 2], classes=['x', 'y'])\n"
        "pool[1:].rows_of(['c']), repr(pool), pool.fingerprint()\n"
        "print(sorted({'torch', 'pandas', 'sklearn', 'pyarrow', 'ray'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("values", [{"a", "b", "c"}, {"a": 1, "b": 2, "c": 3}, "abc", b"abc"])
@pytest.mark.parametrize("what", ["ids", "groups"])
def test_what_has_no_order_is_not_one_for_each_sample(what, values):
    with pytest.raises(
        TypeError, match=rf"{what} must be a list or an array.*{type(values).__name__}"
    ):
        Pool(np.full((3, 2), 0.5), np.ones((3, 1)), **{what: values})


@pytest.mark.parametrize("what", ["ids", "groups"])
def test_a_frame_is_no_column(what):
    import pandas

    frame = pandas.DataFrame({"name": list("abc")})
    with pytest.raises(TypeError, match=rf"{what} must be one column.*as frame\['name'\]"):
        Pool(np.full((3, 2), 0.5), np.ones((3, 1)), **{what: frame})


def test_ids_to_find_may_be_a_set_but_no_text():
    pool = Pool(features=np.ones((3, 1)), ids=list("abc"))
    assert sorted(pool.rows_of({"a", "c"}).tolist()) == [0, 2]
    assert sorted(pool.rows_of({"b": 1}).tolist()) == [1]
    with pytest.raises(TypeError, match="put them into a list"):
        pool.rows_of("ab")


@pytest.mark.parametrize("bias", ["no", 1, 0.0])
def test_a_bias_is_true_or_false(bias):
    with pytest.raises(TypeError, match="bias must be True or False, got"):
        Pool(np.full((3, 2), 0.5), np.ones((3, 1)), bias=bias)
