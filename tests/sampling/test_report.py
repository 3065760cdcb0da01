"""The page of a batch: whole, right, without a network, and deaf to what texts say."""

import base64
import io
import json
import re
import weakref
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

import labelnext
from labelnext.sampling.projection import DENSE, known_potentials
from labelnext.visualization import plot_batch

NASTY = "<script>alert(1)</script>\"'&</p><!--\u2028 \ud800"


def make(n=60, k=8, **known):
    rng = np.random.default_rng(0)
    pool = labelnext.Pool(rng.dirichlet(np.ones(3), n), rng.normal(size=(n, 4)), **known)
    return pool, labelnext.select(pool, k, random_state=0)


def page_of(batch, path, **options):
    batch.report(path, overwrite=True, **options)
    page = path.read_text("utf-8")
    content = re.search(r'<script type="application/json" id="map-data">(.*?)</script>', page)
    return page, json.loads(content[1])


@pytest.fixture
def path(tmp_path):
    return tmp_path / "batch.html"


def test_it_shows_each_pick_with_its_sample_and_what_is_known(path):
    texts = [f"the text of {i}" for i in range(60)]
    _pool, batch = make(ids=[f"s{i}" for i in range(60)], classes=["cat", "dog", "cow"])
    page, content = page_of(batch, path, samples=texts)
    first = content["picks"][0]
    row = int(batch.indices[0])
    assert first["title"] == "Pick 1"
    assert first["sample"]["fields"] == [["", f"the text of {row}"]]
    facts = dict(first["facts"])
    assert facts["id"] == f"s{row}"
    assert facts["model's guess"] in ("cat", "dog", "cow")
    assert "; model's guess " in first["label"]
    assert first["label"].count(f"s{row}") == 1
    assert [mode["key"] for mode in content["modes"]] == [
        *("order", "class", "probability", "labelled")
    ]
    assert len(content["pool"]["x"]) == 52
    assert page.count("<tr data-at=") == 8
    assert "PCA of the features" in page
    assert "is left of what was left after the first" in page


@pytest.mark.parametrize("task", ["multiclass", "multilabel"])
def test_a_class_without_a_name_is_called_one(path, task):
    rng = np.random.default_rng(0)
    pool = labelnext.Pool(rng.dirichlet(np.ones(3), 60), rng.normal(size=(60, 4)), task=task)
    page, content = page_of(labelnext.select(pool, 8, random_state=0), path)
    assert "pseudo-label" not in page
    said = {dict(pick["facts"])["model's guess"] for pick in content["picks"]}
    assert said <= {"class 0", "class 1", "class 2", "none", "class 0, class 1"} | {
        f"class {a}, class {b}" for a in range(3) for b in range(3)
    }
    names = [mode["names"] for mode in content["modes"] if mode["key"] == "class"]
    assert names == ([["class 0", "class 1", "class 2"]] if task == "multiclass" else [])


def test_nothing_in_a_text_an_id_or_a_class_acts(path):
    ids = [f"{i}{NASTY.encode('utf-8', 'replace').decode()}" for i in range(60)]
    _pool, batch = make(ids=ids, classes=[f"{NASTY[:-1]}{c}" for c in range(3)])
    page, content = page_of(batch, path, samples=[{NASTY: f"{NASTY}{i}"} for i in range(60)])
    assert "<script>alert" not in page
    assert "<!--" not in page
    scripts = re.findall(r"<script[^>]*>", page)
    assert scripts == ['<script type="application/json" id="map-data">', "<script>"]
    assert content["picks"][0]["sample"]["fields"][0][1].startswith("<script>")
    # And if anything came through, the browser would not run it.
    rule = re.search(r'Content-Security-Policy" content="(.*?)"', page)[1]
    assert "default-src 'none'" in rule
    assert "unsafe" not in rule
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", page)


def picture_bytes(size=(40, 30), mode="RGB", kind="PNG"):
    content = io.BytesIO()
    Image.new(mode, size, 1).save(content, kind)
    return content.getvalue()


def test_pictures_are_made_small_and_a_broken_one_is_said(path, tmp_path):
    (tmp_path / "a.png").write_bytes(picture_bytes((2000, 1000)))
    (tmp_path / "b.png").write_bytes(b"no picture")
    paths = [tmp_path / ("a.png", "b.png", "c.png")[i % 3] for i in range(60)]
    _pool, batch = make(k=60)
    _, content = page_of(batch, path, samples=[str(each) for each in paths])
    for pick, row in zip(content["picks"], batch.indices, strict=True):
        if row % 3 == 0:
            _, _, code = pick["sample"]["picture"].partition("base64,")
            assert Image.open(io.BytesIO(base64.b64decode(code))).size == (320, 160)
        else:
            assert "picture" not in pick["sample"]
            assert "(not shown: " in pick["sample"]["fields"][0][1]


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "I;16", "F"])
def test_pictures_of_every_mode(path, mode):
    _pool, batch = make(k=1)
    _, content = page_of(batch, path, samples=[Image.new(mode, (8, 8))] * 60)
    assert content["picks"][0]["sample"]["picture"].startswith("data:image/png;base64,")


@pytest.mark.parametrize(
    "array",
    [np.zeros((60, 8, 8)), np.ones((60, 8, 8, 3), np.uint8), np.full((60, 4, 4, 1), np.nan)],
    ids=["grey", "colour", "nan"],
)
def test_arrays_are_pictures(path, array):
    _pool, batch = make(k=1)
    _, content = page_of(batch, path, samples=array)
    assert "picture" in content["picks"][0]["sample"]


FRAME = {"text": [f"text {i}" for i in range(60)], "n": list(range(60))}


@pytest.mark.parametrize(
    "samples",
    [
        pd.DataFrame(FRAME, index=np.arange(60)[::-1]),
        pl.DataFrame(FRAME),
        pa.table(FRAME),
        FRAME,
        [{"text": f"text {i}", "n": i} for i in range(60)],
        {row: {"text": f"text {row}", "n": row} for row in range(60)},
    ],
    ids=["pandas", "polars", "arrow", "columns", "records", "by row"],
)
def test_frames_are_read_by_position(path, samples):
    _pool, batch = make()
    _, content = page_of(batch, path, samples=samples)
    for pick, row in zip(content["picks"], batch.indices, strict=True):
        assert pick["sample"]["fields"] == [["text", f"text {row}"], ["n", str(row)]]


@pytest.mark.parametrize("ending", [".csv", ".tsv", ".parquet", ".jsonl"])
def test_a_file_is_read_by_its_ids(path, tmp_path, ending):
    file = tmp_path / f"samples{ending}"
    frame = pd.DataFrame(
        {"id": [f"s{i}" for i in range(99)], "body": [f"b,{i}" for i in range(99)]}
    )
    frame = frame.iloc[::-1]  # another order, and more of them
    if ending == ".parquet":
        pq.write_table(pa.Table.from_pandas(frame), file)
    elif ending == ".jsonl":
        frame.to_json(file, orient="records", lines=True)
    else:
        frame.to_csv(file, sep="\t" if ending == ".tsv" else ",", index=False)
    _pool, batch = make(ids=[f"s{i}" for i in range(60)])
    _, content = page_of(batch, path, samples=file)
    for pick, row in zip(content["picks"], batch.indices, strict=True):
        assert pick["sample"]["fields"] == [["body", f"b,{row}"]]


@pytest.mark.parametrize("named", ["photos", "./photos/", "{}/photos"])
@pytest.mark.parametrize("kind", ["folder", "table"])
def test_a_folder_has_pictures_by_id(path, tmp_path, monkeypatch, named, kind):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "photos"
    folder.mkdir()
    for i in range(60):
        (folder / f"s{i}.jpg").write_bytes(picture_bytes(kind="JPEG"))
    rows = "".join(f"s{i},s{i}.jpg\n" for i in range(60))
    (folder / "table.csv").write_text(f"id,picture\n{rows}")
    _pool, batch = make(ids=[f"s{i}" for i in range(60)])
    place = named.format(tmp_path)
    _, content = page_of(batch, path, samples=place if kind == "folder" else f"{place}/table.csv")
    assert all("picture" in pick["sample"] for pick in content["picks"])


@pytest.mark.parametrize(
    ("samples", "complaint"),
    [
        (["a"] * 59, "one for each of the 60 rows of the pool, got 59"),
        ({"s1": "a"}, "every id of the batch, and has not"),
        (7, "samples must be a list of texts"),
        ("a.doc", "samples must be a folder of pictures, or end in .csv"),
        ("nothing.csv", "nothing.csv; check the path"),
        ({"a": [1], "b": [1, 2]}, "must be of one length"),
        (pd.DataFrame({"id": ["s0"] * 60}), "must name each sample once"),
        (pd.DataFrame({"id": ["s0", "s1"]}), "column id of samples must have"),
    ],
)
def test_samples_that_do_not_fit_are_refused(path, samples, complaint):
    _pool, batch = make(ids=[f"s{i}" for i in range(60)])
    with pytest.raises((ValueError, TypeError, OSError), match=re.escape(complaint)):
        batch.report(path, samples=samples)
    assert not path.exists()


def test_a_batch_does_not_keep_its_pool_and_says_so(path):
    pool, batch = make()
    seen = weakref.ref(pool)
    batch[:3].report(path)
    del pool
    assert seen() is None
    with pytest.raises(ValueError, match=r"is gone; keep it in a variable, or pass it"):
        batch.report(path, overwrite=True)
    again, _ = make()
    batch.report(path, pool=again, overwrite=True)
    with pytest.raises(ValueError, match="pass the pool that it was chosen from"):
        batch.report(path, pool=make(n=9, k=1)[0], overwrite=True)


def test_a_file_that_exists_stays(path):
    _pool, batch = make()
    path.write_text("mine")
    with pytest.raises(FileExistsError, match="overwrite=True"):
        batch.report(path)
    assert path.read_text() == "mine"
    with pytest.raises(ValueError, match=r"must end in \.html"):
        batch.report(path.with_suffix(".pdf"))


def test_a_large_pool_is_shown_as_density(path):
    _pool, batch = make(n=DENSE + 50)
    page, content = page_of(batch, path)
    assert content["dense"]
    assert sum(content["pool"]["n"]) == DENSE + 42
    assert len(content["pool"]["n"]) < DENSE
    assert len(content["pool"]["values"]["class"]) == len(content["pool"]["n"])
    assert "Darker where more samples lie" in page


def test_cells_tell_the_most_frequent_class_the_mean_and_any():
    from labelnext.sampling.report import Shade, _of_cells

    place, counts = np.array([0, 0, 0, 1]), np.array([3, 1])
    values = np.array([2.0, 1.0, 2.0, 0.0])
    shade = {
        of: _of_cells(Shade("", "", "", values, values, of_cell=of), place, counts)
        for of in ("most", "mean", "any")
    }
    assert shade == {"most": [2, 0], "mean": [1.6667, 0], "any": [2, 0]}


def test_what_is_labelled_or_excluded_is_marked(path):
    labels = np.full(60, None, dtype=object)
    labels[:5] = 1
    _pool, batch = make(labels=labels)
    _, content = page_of(batch, path, exclude=[7])
    marked = content["pool"]["values"]["labelled"]
    assert sorted(marked) == [-1] * 46 + [0] * 6
    assert {pick["values"]["labelled"] for pick in content["picks"]} == {1}


@pytest.mark.parametrize(
    ("pool", "strategy"),
    [
        (labelnext.Pool(features=np.eye(6)), "k-means"),
        (labelnext.Pool(np.full((6, 2), 0.5)), "random"),
        (labelnext.Pool(np.full((2, 6, 2), 0.5)), "random"),
        (labelnext.Pool(np.full((6, 3), 0.5), np.eye(6), task="multilabel"), "badge"),
        (labelnext.Pool(np.full(6, 0.5), np.eye(6), task="binary"), "badge"),
        (labelnext.Pool(features=np.eye(6), task="regression"), "badge"),
        (labelnext.Pool(np.full((6, 2), 0.5), np.zeros((6, 1))), "badge"),
        (labelnext.Pool(np.full((1, 2), 0.5), np.ones((1, 3))), "badge"),
        (labelnext.Pool(np.eye(2)[np.zeros(6, int)], np.ones((6, 2))), "badge"),
    ],
)
def test_pools_of_every_kind(path, pool, strategy):
    k = min(pool.n_rows, 3)
    batch = labelnext.select(pool, k, strategy=strategy, random_state=0)
    page, content = page_of(batch, path)
    assert len(content["picks"]) == k
    assert ("there is no map" in page) == (pool.n_features is None)


def test_advice_follows_the_potential():
    from labelnext.sampling.report import _left_to_cover

    steep, flat = np.geomspace(1, 1e-6, 100), np.linspace(1, 0.9, 100)
    assert "would still bring much" in _left_to_cover(steep)
    assert "little that is new" in _left_to_cover(flat)
    assert "one pick covers the pool" in _left_to_cover(np.zeros(3))
    assert "by half or more after" in _left_to_cover(steep)
    assert "had fallen" not in _left_to_cover(flat)


def test_picks_drawn_at_random_have_no_numbers_and_leave_none_out(path):
    pool, batch = make()
    gaps = {
        name: np.where(np.arange(8) % 3 == 0, np.nan, getattr(batch, name))
        for name in ("d2", "potentials", "gradient_norms")
    }
    mixed = replace(batch, **gaps)
    page, content = page_of(mixed, path, pool=pool)
    assert dict(content["picks"][0]["facts"])["potential"] == "–"
    assert 'data-v="-Infinity"' in page
    assert "nan" not in re.sub(r"[\w+/=-]{40,}", "", page)
    assert "is left of what was left after the first" in page
    figure = plot_batch(pool, mixed)
    assert figure.axes[1].get_title(loc="left") == "How much is left to cover"
    assert np.isfinite(figure.axes[0].collections[1].get_sizes()).all()
    plt.close(figure)


def test_what_is_left_at_a_random_pick_is_what_was_left_before_it():
    given = [np.nan, 5, np.nan, 3, np.nan]
    np.testing.assert_array_equal(known_potentials(given), [5, 5, 5, 3, 3])
    assert known_potentials([np.nan]) is None
    assert known_potentials(None) is None
