"""What would be used wrongly without a word: each is refused, with advice that works."""

import json
import zlib

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import scipy.sparse as sp
import zarr
from tests.fuzz import ODD, check, paths
from tests.fuzz.of_pools import use_pool_folder

from labelnext import Pool, open_pool, select, write_pool
from labelnext.pools import PoolWriter

N = 6
PROBA = np.random.default_rng(0).dirichlet(np.ones(3), N)
FEATURES = np.arange(4.0 * N).reshape(N, 4)
IDS = [f"id {i}" for i in range(N)]
LABELS = np.array([np.nan, 1.0, *[np.nan] * 4])
MASKED = {
    "proba": PROBA,
    "features": FEATURES,
    "ids": np.arange(N),
    "groups": np.arange(N),
    "labels": np.arange(N) % 3,
}
INDEX = list("abcdef")
FRAMES = {
    "proba": pd.DataFrame(PROBA, INDEX),
    "features": pd.DataFrame(FEATURES, INDEX),
    "ids": pd.Series(IDS, INDEX),
    "groups": pd.Series(IDS, INDEX),
    "labels": pd.Series(range(N), INDEX) % 3,
}


class TestMasked:
    @pytest.mark.parametrize("what", MASKED)
    def test_what_is_hidden_is_not_used(self, what):
        values = MASKED[what]
        hidden = np.ma.masked_array(values, np.zeros(values.shape, bool))
        hidden[4] = np.ma.masked
        with pytest.raises(ValueError, match=rf"^{what} has masked values, the first in row 4"):
            Pool(**{"proba": PROBA, "features": FEATURES, what: hidden})

    def test_what_hides_nothing_is_used(self):
        known = {name: np.ma.masked_array(values) for name, values in MASKED.items()}
        np.testing.assert_array_equal(Pool(**known).features, FEATURES)

    def test_the_advice_works(self):
        labels = np.ma.masked_array(np.arange(N) % 3, [True] + [False] * 5)
        filled = np.ma.filled(labels.astype(float), np.nan)
        assert Pool(PROBA, labels=filled).labeled.tolist() == [1, 2, 3, 4, 5]

    def test_rows(self):
        rows = np.ma.masked_array([0, 1, 2], [False, True, False])
        with pytest.raises(ValueError, match="rows has masked values, the first in row 1"):
            Pool(PROBA).ids_of(rows)

    @pytest.mark.parametrize("what", ["proba", "ids", "groups"])
    def test_no_advice_to_fill_where_0_says_something(self, what):
        hidden = np.ma.masked_array(MASKED[what], np.zeros(MASKED[what].shape, bool))
        hidden[4] = np.ma.masked
        with pytest.raises(ValueError, match="leave those samples out, there and in all else"):
            Pool(**{"proba": PROBA, what: hidden})

    def test_the_advice_of_rows_adds_none(self):
        pool = Pool(PROBA, FEATURES)
        rows = np.ma.masked_array([1, 2], [True, False])
        with pytest.raises(ValueError, match=r"out, with rows.compressed\(\)\.$"):
            pool.ids_of(rows)
        with pytest.raises(ValueError, match=r"\[row for row in rows if row is not np.ma.masked"):
            pool.ids_of([*rows])
        for kept in (rows.compressed(), [row for row in rows if row is not np.ma.masked]):
            assert pool.ids_of(kept).tolist() == [2]
        mask = np.ma.masked_array([True, False] * 3, [True] + [False] * 5)
        with pytest.raises(ValueError, match=r"np.ma.filled\(rows, False\) say\.$"):
            pool.ids_of(mask)
        assert pool.ids_of(np.ma.filled(mask, False)).tolist() == [2, 4]

    def test_classes_are_called_so(self):
        classes = np.ma.masked_array([*"abc"], [False, True, False])
        with pytest.raises(ValueError, match=r"^classes has masked .*give each class its name\.$"):
            Pool(PROBA, classes=classes)


class TestFrames:
    @pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame, pa.table])
    @pytest.mark.parametrize("what", ["proba", "features"])
    def test_a_column_of_lists_is_passed_alone(self, what, make):
        parts = {"proba": PROBA, "features": FEATURES}
        frame = make({"some": range(N), "of it": parts[what].tolist()})
        if make is pd.DataFrame:
            frame = frame[["of it"]]
        with pytest.raises(TypeError, match=rf"pass that column alone, {what}\['of it'\]\.$"):
            Pool(**{**parts, what: frame})
        np.testing.assert_array_equal(
            Pool(**{**parts, what: frame["of it"]}).read(what), parts[what]
        )

    @pytest.mark.parametrize("what", ["features", "ids", "groups", "labels"])
    def test_the_same_labels_in_another_order(self, what):
        given = {"proba": FRAMES["proba"], what: FRAMES[what].iloc[::-1]}
        with pytest.raises(
            ValueError,
            match=rf"proba and {what} have the same index in another .*{what}\.loc\[proba\.index\]",
        ):
            Pool(**given)
        again = given[what].loc[given["proba"].index]
        expected = Pool(**{"proba": FRAMES["proba"], what: FRAMES[what]})
        assert Pool(**{**given, what: again}).fingerprint() == expected.fingerprint()
        Pool(**{name: frame.to_numpy() for name, frame in given.items()})

    def test_position_stays_the_rule(self):
        Pool(**FRAMES)
        Pool(FRAMES["proba"], FRAMES["features"].reset_index(drop=True))
        Pool(FRAMES["proba"], FRAMES["features"].set_axis(list("uvwxyz")))
        Pool(PROBA, FRAMES["features"], ids=pl.Series(IDS))

    def test_in_select(self):
        with pytest.raises(ValueError, match="the same index in another order"):
            select(FRAMES["proba"], FRAMES["features"].iloc[::-1], 2)


class TestSeriesOfEmbeddings:
    @pytest.mark.parametrize(
        "make",
        [
            pd.Series,
            lambda rows: pd.Series([np.asarray(row) for row in rows]),
            pl.Series,
            lambda rows: pd.Series(rows).to_numpy(),
        ],
    )
    def test_is_a_matrix(self, make):
        np.testing.assert_array_equal(Pool(features=make(FEATURES.tolist())).features, FEATURES)

    def test_of_several_lengths(self):
        with pytest.raises(
            ValueError, match="features must be a table of numbers, with rows of on"
        ):
            Pool(features=pd.Series([[1.0, 2.0], [3.0]]))


class TestVectors:
    @pytest.mark.parametrize("task", ["regression", "vectors"])
    def test_a_file_is_asked_for_features_alone(self, tmp_path, task):
        np.savez(tmp_path / "a.npz", proba=PROBA, features=FEATURES, id=np.arange(N))
        write_pool(tmp_path / "pool", PROBA, FEATURES, ids=IDS)
        for path in (tmp_path / "a.npz", tmp_path / "pool"):
            pool = open_pool(path, task=task)
            assert (pool.proba, pool.known) == (None, ("ids",))
            expected = select(Pool(features=FEATURES, task=task), 3, random_state=0)
            assert select(pool, 3, random_state=0).indices.tolist() == expected.indices.tolist()
            with pytest.raises(ValueError, match="there are no probabilities; leave proba out"):
                open_pool(path, proba="proba", task=task)


class TestExclude:
    @pytest.mark.parametrize("rows", [[0, True], [False, 2], [np.True_, 1], (1, True)])
    def test_numbers_and_booleans_are_not_mixed(self, rows):
        with pytest.raises(TypeError, match="exclude mixes row numbers and booleans"):
            select(Pool(PROBA, FEATURES), 2, exclude=rows)

    @pytest.mark.parametrize("rows", [{0, 1}, frozenset([1, 0]), {0: "a", 1: "b"}.keys()])
    def test_sets_are_rows(self, rows):
        pool = Pool(PROBA, FEATURES)
        batch = select(pool, 2, exclude=rows, random_state=0)
        assert (
            batch.indices.tolist()
            == select(pool, 2, exclude=[0, 1], random_state=0).indices.tolist()
        )


@pytest.fixture
def folder(tmp_path):
    """A pool folder of two shards, with all that one can have."""
    writer = PoolWriter(tmp_path / "pool")
    for shard, rows in enumerate((slice(0, 2), slice(2, N))):
        known = {"ids": IDS[rows], "groups": IDS[rows], "labels": LABELS[rows]}
        writer.write(shard, PROBA[rows], FEATURES[rows], **known)
    writer.finish()
    return tmp_path / "pool"


def flip(path):
    """Change one bit near the end of a file."""
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)


class TestChecksums:
    @pytest.mark.parametrize("what", ["proba", "features", "ids", "groups", "labels"])
    @pytest.mark.parametrize("shard", [0, 1])
    def test_one_bit(self, folder, what, shard):
        path = folder / f"shard-0000{shard}" / f"{what}.npy"
        flip(path)
        pool = open_pool(folder)
        with pytest.raises(ValueError, match=rf"{what}\.npy has the checksum .* damaged or was ch"):
            self.use(pool, what)

    def use(self, pool, what):
        if what in ("proba", "features"):
            select(pool, 2)
        elif what == "ids":
            pool.ids_of([0]), pool.ids_of([5])
        else:
            getattr(pool, what)

    def test_of_foreign_bytes(self, tmp_path):
        swapped = FEATURES.astype(FEATURES.dtype.newbyteorder())
        write_pool(tmp_path / "pool", features=FEATURES)
        path, manifest = (tmp_path / "pool" / n for n in ("shard-00000/features.npy", "pool.json"))
        np.save(path, swapped)
        known = json.loads(manifest.read_text())
        said = {"dtype": swapped.dtype.str, "crc32": zlib.crc32(swapped.tobytes())}
        known["shards"][0]["files"]["features"] |= said
        manifest.write_text(json.dumps(known))
        np.testing.assert_array_equal(open_pool(tmp_path / "pool").features[:], FEATURES)
        flip(path)
        with pytest.raises(ValueError, match=r"features\.npy has the checksum"):
            open_pool(tmp_path / "pool").features[:]


class TestManifest:
    """All edits of one value: the pool opens and selects, or one error says that it is damaged."""

    def test_any_edit_is_read_or_refused(self, folder):
        manifest = folder / "pool.json"
        whole = json.loads(manifest.read_text())
        places = [path for path in paths(whole) if path and "settings" not in path]
        for number, path in enumerate(places):
            for odd in ODD[number % 17 :: 17]:
                known = json.loads(json.dumps(whole))
                inside = known
                for key in path[:-1]:
                    inside = inside[key]
                inside[path[-1]] = odd
                manifest.write_text(json.dumps(known))
                check(use_pool_folder, folder)

    @pytest.mark.parametrize("by", ["write_pool", "convert", "extract"])
    def test_the_advice_is_of_who_wrote_it(self, tmp_path, by):
        settings = {"convert": {"by": "labelnext convert"}, "extract": {"layer": "a"}}.get(by)
        writer = PoolWriter(tmp_path / "pool", settings=settings or {})
        writer.write(0, features=FEATURES)
        writer.finish()
        (tmp_path / "pool" / "shard-00000" / "features.npy").unlink()
        expected = {
            "write_pool": r"write the pool again: .*PoolWriter\(\.\.\., resume=True\)",
            "convert": r"with `labelnext convert \.\.\. --resume`",
            "extract": r"with labelnext\.extract\(\.\.\., resume=True\)",
        }[by]
        with pytest.raises(ValueError, match=rf"features\.npy is missing; .*{expected}\."):
            open_pool(tmp_path / "pool")


class TestMessages:
    def test_a_sum_that_is_just_within(self):
        for dtype in (np.float32, np.float64):
            proba = PROBA.astype(dtype)
            proba[3] = [0.999, 0, 0]
            assert len(select(proba, FEATURES, 2)) == 2
        proba[3] = [0.9989, 0, 0]
        with pytest.raises(ValueError, match=r"\(within 0\.001 for .* 0\.9989, off by -0\.0011;"):
            select(proba, FEATURES, 2)

    def test_parts_that_are_swapped(self):
        with pytest.raises(TypeError, match="if these are the features, the two are swapped"):
            Pool(sp.csr_array(FEATURES), PROBA)

    @pytest.mark.parametrize("place", ["npy", "zarr", "parquet"])
    def test_a_bad_feature_names_the_file_of_the_features(self, tmp_path, place):
        features = FEATURES.copy()
        features[4, 1] = np.nan
        np.save(tmp_path / "p.npy", PROBA)
        if place == "npy":
            np.save(tmp_path / "h.npy", features)
        elif place == "zarr":
            group = zarr.open_group(tmp_path / "h.zarr", mode="w")
            group.create_array("features", shape=(N, 4), dtype=float)[:] = features
        else:
            table = pa.table({"features": features.tolist()})
            pq.write_table(table, tmp_path / "h.parquet")
        pool = open_pool(proba=tmp_path / "p.npy", features=tmp_path / f"h.{place}")
        with pytest.raises(ValueError, match=rf"features is nan at row 4 \(row 4 of .*h\.{place}"):
            select(pool, 2)
