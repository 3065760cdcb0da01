"""The `Batch`: slices, shows, converts, travels, and cannot be changed."""

import copy
import pickle
import sys
from dataclasses import replace

import numpy as np
import pytest

import pools
from labelnext import Batch, select
from labelnext.sampling import Pick

COLUMNS = ["rank", "row", "pseudo_label", "gradient_norm", "d2", "potential"]


@pytest.fixture
def batch():
    return select(*pools.confident(100), 25, random_state=0)


def made(k):
    """A batch of numbers that are known."""
    steps = np.arange(k)
    return Batch(
        indices=100 + steps,
        pseudo_labels=steps % 3,
        gradient_norms=1.0 + steps / 8,
        d2=np.where(steps == 1, 1e-12, 2.0 * (1 + steps)),
        potentials=12345.678 / (1 + steps),
        stats={"passes": 2},
    )


def equal(one, other):
    assert isinstance(other, Batch)
    for name, column in one.to_dict().items():
        np.testing.assert_array_equal(column, other.to_dict()[name])
        assert column.dtype == other.to_dict()[name].dtype
    assert one.stats == other.stats


def test_a_start_is_the_batch_for_as_many(batch):
    for m in (1, 7, 25):
        shorter = select(*pools.confident(100), m, random_state=0)
        np.testing.assert_array_equal(batch[:m].indices, shorter.indices)
        np.testing.assert_array_equal(batch[:m].d2, shorter.d2)
        np.testing.assert_allclose(batch[:m].potentials, shorter.potentials, rtol=1e-12)
        assert len(batch[:m]) == m
    equal(batch[:], batch)
    equal(batch[:99], batch)
    equal(batch[:-5], batch[:20])
    equal(batch[0:20:1], batch[:20])
    assert len(batch[:0]) == 0


@pytest.mark.parametrize("part", [slice(1, 5), slice(None, None, 2), slice(None, None, -1)])
def test_only_a_start_is_a_batch(batch, part):
    with pytest.raises(IndexError, match=r"start of a batch.*batch\.indices\[10:20\]"):
        batch[part]


def test_one_pick():
    batch = made(4)
    assert batch[2] == Pick(
        3, 102, pseudo_label=2, gradient_norm=1.25, d2=6.0, potential=pytest.approx(12345.678 / 3)
    )
    assert batch[-1] == batch[3]
    assert batch[np.int64(1)].row == 101
    kinds = [type(value) for value in batch[0] if value is not None]
    assert kinds == [int, int, int, float, float, float]
    for place in (4, -5):
        with pytest.raises(IndexError):
            batch[place]


def known(k=3):
    """A batch of all that a pool and a strategy may tell."""
    return replace(
        made(k),
        scores=1.0 / (1 + np.arange(k)),
        ids=np.array([f"img{i}" for i in range(k)], dtype=object),
        groups=np.array(["p1", "p2", "p1"] * k)[:k],
        classes=("cat", "dog", "owl"),
    )


def test_what_a_pool_and_a_strategy_tell():
    batch = known()
    assert batch[1] == Pick(2, 101, "img1", "p2", "dog", 0.5, 1.125, 1e-12, 12345.678 / 2)
    assert list(batch.to_dict()) == [
        *("rank", "row", "id", "group", "pseudo_label", "score"),
        *("gradient_norm", "d2", "potential"),
    ]
    assert batch.to_dict()["pseudo_label"].tolist() == ["cat", "dog", "owl"]
    assert batch.to_lists()["pseudo_label"] == ["cat", "dog", "owl"]
    assert batch.pseudo_labels.tolist() == [0, 1, 2]
    assert repr(batch).splitlines()[3].split()[:6] == ["2", "101", "img1", "p2", "dog", "0.5"]
    assert "<td>img1</td><td>p2</td><td>dog</td><td>0.5</td>" in batch._repr_html_()
    assert batch[:2].ids.tolist() == ["img0", "img1"]
    equal(pickle.loads(pickle.dumps(batch)), batch)
    assert pickle.loads(pickle.dumps(batch)).classes == ("cat", "dog", "owl")
    for name in ("ids", "groups", "scores"):
        with pytest.raises(ValueError, match="read-only"):
            getattr(batch, name)[0] = "x"


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_frames_of_what_a_pool_tells(library):
    frame = getattr(known(), f"to_{library}")()
    assert frame["id"].to_list() == ["img0", "img1", "img2"]
    assert frame["pseudo_label"].to_list() == ["cat", "dog", "owl"]


def test_names_of_several_labels():
    names = replace(labelled(), classes=("cat", "dog", "owl"))
    assert [pick.pseudo_label for pick in names] == [
        (),
        ("dog",),
        ("cat", "owl"),
        ("cat", "dog", "owl"),
    ]


def test_what_is_not_known_is_in_no_table():
    batch = Batch(np.arange(3), scores=np.ones(3))
    assert list(batch.to_dict()) == ["rank", "row", "score"]
    assert batch[0] == Pick(1, 0, score=1.0)
    assert batch[0].pseudo_label is None
    assert repr(batch).splitlines()[1].split() == ["rank", "row", "score"]


def test_iteration_gives_the_picks_in_order():
    batch = made(4)
    assert [pick.rank for pick in batch] == [1, 2, 3, 4]
    assert list(batch) == [batch[0], batch[1], batch[2], batch[3]]
    assert len(batch) == 4


def test_to_dict():
    columns = made(3).to_dict()
    assert list(columns) == COLUMNS
    assert columns["rank"].tolist() == [1, 2, 3]
    assert columns["row"].tolist() == [100, 101, 102]


def test_to_pandas(batch):
    frame = batch.to_pandas()
    assert list(frame.columns) == COLUMNS
    assert len(frame) == 25
    for name, column in batch.to_dict().items():
        np.testing.assert_array_equal(frame[name].to_numpy(), column)


def test_to_polars(batch):
    frame = batch.to_polars()
    assert frame.columns == COLUMNS
    assert frame.height == 25
    for name, column in batch.to_dict().items():
        np.testing.assert_array_equal(frame[name].to_numpy(), column)


def labelled(k=4):
    """A batch of labels that are each by itself: none, one, two and all three of them."""
    some = np.array([[0, 0, 0], [0, 1, 0], [1, 0, 1], [1, 1, 1]], dtype=bool)
    return replace(made(k), pseudo_labels=some[:k])


def test_several_labels_a_pick():
    batch = labelled()
    assert [pick.pseudo_label for pick in batch] == [(), (1,), (0, 2), (0, 1, 2)]
    assert batch.to_dict()["pseudo_label"].shape == (4, 3)
    assert batch[:2].pseudo_labels.tolist() == [[False] * 3, [False, True, False]]
    rows = [line.split() for line in repr(batch).splitlines()[2:]]
    assert rows[0][:3] == ["1", "100", "none"]
    assert rows[2][:4] == ["3", "102", "0", "2"]
    assert "<td>0 1 2</td>" in batch._repr_html_()
    equal(pickle.loads(pickle.dumps(batch)), batch)
    with pytest.raises(ValueError, match="read-only"):
        batch.pseudo_labels[0, 0] = True


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_several_labels_a_pick_in_a_frame(library):
    frame = getattr(labelled(), f"to_{library}")()
    assert list(frame.columns) == COLUMNS
    assert [list(row) for row in frame["pseudo_label"]] == [[], [1], [0, 2], [0, 1, 2]]
    assert [list(row) for row in getattr(labelled(1), f"to_{library}")()["pseudo_label"]] == [[]]


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_a_missing_library_is_an_error_that_helps(library, monkeypatch):
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(ImportError, match=rf"pip install {library}; or use to_dict"):
        getattr(made(2), f"to_{library}")()


def test_columns_and_fields_cannot_be_changed(batch):
    for name in ("indices", "pseudo_labels", "gradient_norms", "d2", "potentials"):
        with pytest.raises(ValueError, match="read-only"):
            getattr(batch, name)[0] = 0
        with pytest.raises(AttributeError):
            setattr(batch, name, None)
    with pytest.raises(TypeError):
        batch.stats["passes"] = 0


def test_arrays_that_a_batch_is_made_of_stay_writeable():
    rows = np.arange(3)
    Batch(rows, rows, rows * 1.0, rows * 1.0, rows * 1.0)
    rows[0] = 5


@pytest.mark.parametrize(
    "travel",
    [
        copy.copy,
        copy.deepcopy,
        *(lambda b, p=p: pickle.loads(pickle.dumps(b, p)) for p in range(2, 6)),
    ],
)
def test_copies_and_pickles_are_equal_and_read_only(batch, travel):
    other = travel(batch)
    equal(batch, other)
    with pytest.raises(ValueError, match="read-only"):
        other.indices[0] = 0
    with pytest.raises(TypeError):
        other.stats["passes"] = 0


def test_text():
    assert repr(made(3)) == (
        "Batch of 3 picks\n"
        "  rank  row  pseudo-label  gradient norm     D²  potential\n"
        "     1  100             0              1      2  1.235e+04\n"
        "     2  101             1          1.125  1e-12       6173\n"
        "     3  102             2           1.25      6       4115"
    )


def test_text_of_one_and_of_none():
    assert repr(made(1)).startswith("Batch of 1 pick\n  rank")
    assert repr(made(3)[:0]) == (
        "Batch of 0 picks\n  rank  row  pseudo-label  gradient norm  D²  potential"
    )


def test_long_batches_show_their_first_and_last_picks():
    lines = repr(made(1000)).splitlines()
    assert lines[0] == "Batch of 1000 picks"
    assert [line.split()[0] for line in lines[2:]] == [
        *"12345",
        "⋮",
        *("996", "997", "998", "999", "1000"),
    ]
    assert len({len(line) for line in lines[1:]}) == 1
    assert len(repr(made(10)).splitlines()) == 12
    assert "⋮" not in repr(made(10))
    assert len(repr(made(11)).splitlines()) == 13


def test_html():
    assert made(2)._repr_html_() == (
        "<table><caption>Batch of 2 picks</caption>"
        "<thead><tr><th>rank</th><th>row</th><th>pseudo-label</th><th>gradient norm</th>"
        "<th>D²</th><th>potential</th></tr></thead><tbody>"
        "<tr><td>1</td><td>100</td><td>0</td><td>1</td><td>2</td><td>1.235e+04</td></tr>"
        "<tr><td>2</td><td>101</td><td>1</td><td>1.125</td><td>1e-12</td><td>6173</td></tr>"
        "</tbody></table>"
    )
    assert made(1000)._repr_html_().count("<tr>") == 12
