"""The samples of a pool as a page shows them: texts, pictures and rows of tables."""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path, PureWindowsPath
from typing import TYPE_CHECKING, Any

import numpy as np

from labelnext.pools.disk import as_here
from labelnext.pools.known import some

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

PICTURES = (".png", ".jpg", ".jpeg", ".gif", ".webp", ".bmp", ".tif", ".tiff")
TABLES = (".csv", ".tsv", ".parquet", ".jsonl", ".txt")
# Pixels of a picture's longer side, and letters of a text.
SIDE, LETTERS = 320, 4000

# What a page shows of a sample: "picture" (a data URI), "fields" (names and texts).
Shown = dict[str, Any]


def shown(
    samples: Any,
    rows: NDArray[np.int64],
    ids: NDArray[Any],
    *,
    n_rows: int,
    has_ids: bool,
    root: Path | None = None,
) -> list[Shown]:
    """Return what is to be seen of some rows.

    `samples` has one for each row of the pool, in its order, or by id: a dict, a folder of
    pictures named by ids, or a table with a column `id`. Paths are relative to `root`.
    """
    root = root or Path()
    if isinstance(samples, str | os.PathLike):
        path = Path(samples).absolute()
        if path.is_dir():
            return [_shown(_named(path, str(each)), path) for each in ids]
        samples, root = _read_table(path), path.parent
    if isinstance(samples, Mapping) and not _is_table(samples, ids):
        missing = [each for each in ids.tolist() if each not in samples]
        if missing:
            raise ValueError(
                f"samples must have every id of the batch, and has not {some(missing)}; the keys "
                "of a dict are ids."
            )
        return [_shown(samples[each], root) for each in ids.tolist()]
    take, n = _columns_of(samples)
    places = rows
    table = take(np.arange(n)) if has_ids and n != n_rows else take(rows[:1])
    names = list(table[0]) if table and isinstance(table[0], dict) else []
    if has_ids and "id" in names:
        every = [str(record["id"]) for record in take(np.arange(n))]
        place = {each: at for at, each in enumerate(every)}
        if len(place) < len(every):
            raise ValueError("The column id of samples must name each sample once.")
        missing = [each for each in map(str, ids) if each not in place]
        if missing:
            raise ValueError(f"The column id of samples must have {some(missing)}, of the batch.")
        places = np.array([place[str(each)] for each in ids], dtype=np.int64)
        told = [{n: v for n, v in record.items() if n != "id"} for record in take(places)]
        return [_shown(each, root) for each in told]
    if n != n_rows:
        advice = ", or name them by ids in a dict or in a column id" if has_ids else ""
        raise ValueError(
            f"samples must have one for each of the {n_rows:,} rows of the pool, got {n:,}; give "
            f"all, in the order of the pool{advice}."
        )
    return [_shown(each, root) for each in take(places)]


def _is_table(samples: Mapping[Any, Any], ids: NDArray[Any]) -> bool:
    """Tell columns by name from samples by id."""
    columns = [v for v in samples.values() if isinstance(v, list | tuple | np.ndarray)]
    return bool(samples) and len(columns) == len(samples) and ids[:1].tolist()[0] not in samples


def _columns_of(samples: Any) -> tuple[Callable[[NDArray[np.int64]], list[Any]], int]:
    """Return how samples at some places are taken, and how many there are."""
    if isinstance(samples, Mapping):
        columns = {str(name): list(values) for name, values in samples.items()}
        lengths = {len(values) for values in columns.values()}
        if len(lengths) > 1:
            raise ValueError(f"The columns of samples must be of one length, got {lengths}.")
        return (lambda at: [{n: v[i] for n, v in columns.items()} for i in at]), lengths.pop()
    if hasattr(samples, "iloc"):  # pandas
        if getattr(samples, "ndim", 2) == 1:
            return (lambda at: list(samples.iloc[at])), len(samples)
        named = samples.set_axis([str(name) for name in samples.columns], axis=1)
        return (lambda at: named.iloc[at].to_dict("records")), len(samples)
    if hasattr(samples, "to_dicts"):  # polars
        return (lambda at: samples[at.tolist()].to_dicts()), len(samples)
    if hasattr(samples, "to_pylist") and hasattr(samples, "take"):  # pyarrow
        return (lambda at: samples.take(at).to_pylist()), len(samples)
    if isinstance(samples, np.ndarray | Sequence):
        return (lambda at: [samples[i] for i in at.tolist()]), len(samples)
    raise TypeError(
        "samples must be a list of texts or of paths of pictures, an array of pictures, a frame, a "
        f"dict by id, or the path of a table or a folder; got {type(samples).__name__}."
    )


def _read_table(path: Path) -> Any:
    """Read a file of samples, a row each; of a .txt file a line each."""
    from labelnext.pools.table import read_table  # takes pyarrow with it

    suffix = path.suffix.lower()
    if suffix not in TABLES:
        raise ValueError(
            f"samples must be a folder of pictures, or end in {', '.join(TABLES)}; got "
            f"{str(path)!r}."
        )
    table = read_table(path)
    assert table is not None  # which is a file
    return table.column("text").to_pylist() if suffix == ".txt" else table


def _named(folder: Path, name: str) -> Path:
    """Find the picture of an id in a folder, whose files are named by ids."""
    for ending in ("", *PICTURES):
        path = folder / f"{name}{ending}"
        if path.is_file():
            return path
    return folder / name


def _shown(sample: Any, root: Path) -> Shown:
    if not isinstance(sample, Mapping):
        sample = {"": sample}
    found: Shown = {"fields": []}
    for name, value in sample.items():
        picture = _picture_of(value, root)
        if picture is None:
            text = _text_of(value)
        elif "picture" in found:
            continue
        else:
            try:
                found["picture"] = _thumbnail(picture)
                text = _place(value, root)
            except Exception as error:  # a decoder may fail in any way
                text = f"{_place(value, root)} (not shown: {_reason(error)})"
        if text:
            found["fields"].append([str(name), text])
    return found


def _place(value: Any, root: Path) -> str:
    """Say where a picture is, and nothing of the folders of whoever wrote the page."""
    if not isinstance(value, str | Path):
        return ""
    path = Path(value)
    if PureWindowsPath(value).drive:  # a whole path, of another system
        return PureWindowsPath(value).name
    if not path.is_absolute():
        return str(value)
    return str(path.relative_to(root) if path.is_relative_to(root) else path.name)


def _reason(error: Exception) -> str:
    if isinstance(error, OSError):  # which names the whole path
        return error.strerror or "no picture that can be read"
    return str(error).split("\n")[0] or type(error).__name__


def _text_of(value: Any) -> str:
    if isinstance(value, bytes):
        return f"({len(value):,} bytes)"
    text = "" if value is None else str(value)
    # Half of a character is no text that a page can have.
    text = text.encode("utf-8", "replace").decode()
    return text if len(text) <= LETTERS else f"{text[:LETTERS]} …"


def _picture_of(value: Any, root: Path) -> Any:
    """Return what a picture is made of, or None if it is none."""
    if isinstance(value, np.ndarray):
        is_picture = value.ndim == 2 or (value.ndim == 3 and value.shape[2] in (1, 3, 4))
        return value if is_picture and value.dtype.kind in "fiub" else None
    if hasattr(value, "thumbnail"):  # of Pillow
        return value
    if isinstance(value, Mapping) and value.get("bytes"):  # as Hugging Face's data sets have them
        return io.BytesIO(value["bytes"])
    if isinstance(value, Path) or (
        isinstance(value, str) and "\n" not in value and value.lower().endswith(PICTURES)
    ):
        return root / as_here(root, str(value))
    return None


def _thumbnail(source: Any) -> str:
    """Return a picture, made small, as a data URI."""
    from PIL import Image, ImageOps

    if isinstance(source, np.ndarray):
        picture = Image.fromarray(_as_bytes(source))
    elif isinstance(source, Image.Image):
        picture = source.copy()
    else:
        picture = Image.open(source)
        picture.draft("RGB", (SIDE, SIDE))
    picture = ImageOps.exif_transpose(picture)
    if picture.mode not in ("L", "RGB"):
        picture = picture.convert("RGBA")
        paper = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(paper, picture).convert("RGB")
    picture.thumbnail((SIDE, SIDE))
    content = io.BytesIO()
    small = max(picture.size) <= 96
    picture.save(content, "PNG" if small else "JPEG", quality=82)
    kind = "png" if small else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(content.getvalue()).decode()}"


def _as_bytes(array: NDArray[Any]) -> NDArray[np.uint8]:
    """Return an array of a picture in 8 bits, from black to white over what it holds."""
    array = array[:, :, 0] if array.ndim == 3 and array.shape[2] == 1 else array
    if array.dtype == np.uint8:
        return array
    values = np.nan_to_num(array.astype(np.float64))
    low, high = min(values.min(), 0.0), values.max()
    scaled = (values - low) / (high - low) if high > low else np.zeros_like(values)
    return np.asarray(255 * scaled, dtype=np.uint8)
