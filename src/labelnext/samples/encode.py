"""Features of samples, for those who have no model: computed once, and kept in a pool folder.

All defaults work without a network.
"""

from __future__ import annotations

import html
import json
import os
import re
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from labelnext.pools import Pool, PoolWriter, open_pool
from labelnext.pools.manifest import MANIFEST, SETTINGS, read_head, shard_number
from labelnext.pools.manifest import SHARD as RECORD
from labelnext.pools.source import digest_of
from labelnext.samples._encoders import EFFICIENTNET, ENCODERS, NAMED, TEXTS, Encoder
from labelnext.samples.samples import IN_FILES, SAID
from labelnext.utils.libraries import imported
from labelnext.utils.text import counted, counted_of, did_you_mean, one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from labelnext.samples.samples import Samples

    Rows = NDArray[np.float32]

SHARD = 512  # samples that are computed, and kept, at a time
FEW = 3  # samples that could not be read, of which it is told why
LEARNED = 20_000  # samples that are enough to learn from


@dataclass(frozen=True)
class Encoded:
    """Features in a pool folder, what made them, and which samples could not be read, and why.

    And whether they were damaged before.
    """

    pool: Pool
    said: str
    broken: dict[str, str]
    again: bool = False

    def told(self) -> list[str]:
        """Return what to tell the user, in sentences."""
        told = ["The features were damaged, and were computed again."] * self.again
        told.append(f"Features: {self.said}.")
        if self.broken:
            few = [f"{name} ({why})" for name, why in [*self.broken.items()][:FEW]]
            more = ", ..." * (len(self.broken) > FEW)
            told.append(
                f"{len(self.broken):,} of {counted(self.pool.n_rows, 'sample')} could not be read, "
                f"and have the features of an average one: {', '.join(few)}{more}."
            )
        return told


def encode(
    samples: Samples,
    folder: str | os.PathLike[str],
    *,
    encoder: str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Encoded:
    """
    Compute features of samples, or take those that are in a folder already.

    They are kept as they are computed: what was cut off goes on where it was. If the samples, or
    what is asked for, are not those of before, or what is there is damaged, all is computed again.

    Parameters
    ----------
    samples : Samples
        What `labelnext.samples.read` returns.
    folder : str or path-like
        The pool folder.
    encoder : str, default=None
        What makes the features: "tfidf", "wordllama", "model2vec:NAME" or
        "sentence-transformers:NAME" for texts; "efficientnet", "plain" or "timm:NAME" for pictures;
        "plain" for sounds in .wav files; "columns" for rows; or "module:function" for a function
        of yours. It gets a list of texts, of paths or of records (dict), and returns an array with
        a row for each. None for what the folder has, else for the best that is installed and
        needs no network.
    progress : callable, default=None
        Called with the numbers of samples that are done, and of all.

    Returns
    -------
    Encoded
        The pool of the features, with the samples' ids; what made them; and the ids of samples
        that could not be read now, with the reasons of the first few. These have the features of
        an average sample.

    Raises
    ------
    ValueError, TypeError
        If the encoder is not known, does not fit, or does not return numbers.
    ImportError
        If it needs a library that is not installed.
    FileExistsError
        If the folder holds other files than those of features.

    Examples
    --------
    >>> import tempfile
    >>> from labelnext import samples
    >>> from labelnext.samples.encode import encode
    >>> folder = tempfile.TemporaryDirectory()
    >>> found = encode(samples.read(["good film", "bad film"]), folder.name, encoder="tfidf")
    >>> found.pool.ids, found.pool.n_features
    (array(['0', '1'], dtype=object), 3)
    >>> folder.cleanup()
    """
    folder = Path(folder)
    name = _kept(folder) if encoder is None else encoder
    chosen = _default(samples) if name is None else find(name, samples)
    settings = {
        "by": "labelnext loop",
        "encoder": chosen.name,
        "samples": digest_of(samples.kind, samples.ids, *_state(samples)),
    }
    same = _said_there(folder) == settings
    if not same:
        _refuse_if_moved(samples)
    _refuse_others(folder)
    damaged = same and _is_damaged(folder)
    if damaged or not same:
        _clear(folder)
    # Another process may have just begun with the same.
    writer = PoolWriter(folder, task="vectors", settings=settings, resume=True)
    broken: dict[str, str] = {}
    if not writer.complete:
        cuts = [*range(0, len(samples), SHARD)]
        todo = [cut for cut in cuts if cut // SHARD not in writer.finished]
        if chosen.learn is not None and todo:
            some = np.linspace(0, len(samples) - 1, min(LEARNED, len(samples))).astype(np.int64)
            chosen = replace(chosen, of=chosen.learn(_contents(chosen, samples, some.tolist())))
        everything = _rows(chosen, samples, range(len(samples))) if chosen.whole and todo else None
        for cut in todo:
            if writer.complete or cut // SHARD in writer.finished:
                continue
            end = min(cut + SHARD, len(samples))
            rows = range(cut, end)
            found = _rows(chosen, samples, rows) if everything is None else everything[cut:end]
            missing = ~np.isfinite(found).all(axis=1)
            for row in np.flatnonzero(missing) + cut:
                few = len(broken) < FEW
                broken[samples.ids[row]] = _why(chosen, samples, row) if few else ""
            found[missing] = found[~missing].mean(axis=0) if not missing.all() else 0
            with _or_another(writer, cut // SHARD):
                writer.write(cut // SHARD, features=found, ids=samples.ids[cut:end])
            if progress is not None:
                progress(end, len(samples))
        with _or_another(writer):
            writer.finish(len(cuts))
    return Encoded(open_pool(folder), chosen.said, broken, damaged)


@contextmanager
def _or_another(writer: PoolWriter, shard: int | None = None) -> Iterator[None]:
    """Let another process, which computes the same, be faster."""
    try:
        yield
    except FileExistsError:
        if not (writer.complete or shard in writer.finished):
            raise


def find(name: str, samples: Samples) -> Encoder:
    """Return the encoder of a name for samples, or say which there are."""
    kind = samples.kind
    known = ENCODERS[kind]
    first, colon, rest = name.partition(":")
    if first in known:
        if bool(colon) != (first in NAMED) or (colon and not rest):
            raise ValueError(
                f"encoder={name!r}: expected {first + ':NAME' if first in NAMED else repr(first)}."
            )
        return known[first](rest if colon else samples)
    if not colon:
        raise ValueError(
            f"encoder={name!r} is not known for {SAID[kind]}{did_you_mean(name, known) or ';'} "
            f"there are {', '.join(n + ':NAME' * (n in NAMED) for n in known)}, and "
            "module:function for one of yours."
        )
    function = imported("encoder", name)
    if not callable(function):
        raise TypeError(f"encoder {name!r} must be a function, got {function!r:.60}.")

    def guarded(contents: Any) -> Any:
        try:
            return function(contents)
        except Exception as error:  # whatever the code of a user's raises
            raise ValueError(
                f"encoder={name!r} failed: {type(error).__name__}: {one_line(error)}."
            ) from error

    return Encoder(name, name, guarded)


def _default(samples: Samples) -> Encoder:
    """Return the best that is installed and needs no network."""
    image = "efficientnet" if all(map(find_spec, EFFICIENTNET)) else "plain"
    names = {"image": image, "audio": "plain", "row": "columns"}
    name = names.get(samples.kind, "wordllama" if find_spec("wordllama") else "tfidf")
    try:
        found = find(name, samples)
        found.load()
        return found
    except (ImportError, ValueError) as error:  # of something that it needs
        if name not in ("wordllama", "efficientnet"):
            raise
        instead = find({"wordllama": "tfidf", "efficientnet": "plain"}[name], samples)
        return replace(instead, said=f"{instead.said} ({name} cannot be loaded: {error})")


def _said_there(folder: Path) -> Any:
    """Return what a folder says that its features were made of and by, None if it says nothing."""
    for name in (SETTINGS, MANIFEST):  # one of them may be damaged
        with suppress(OSError, ValueError):
            return read_head((folder / name).read_bytes(), str(folder))["settings"]
    return None


def _ours(folder: Path) -> bool:
    return (_said_there(folder) or {}).get("by") == "labelnext loop"


def _refuse_others(folder: Path) -> None:
    """Refuse a place where something else is than features: it may be the user's."""
    if not os.path.lexists(folder):
        return
    if not folder.is_dir():
        raise FileExistsError(
            f"{folder} is a file, and features are kept there; move it away, and try again."
        )
    there = [path for path in sorted(folder.iterdir()) if not path.name.startswith(".")]
    for path in there:
        if path.is_symlink() or not _is_name_of_ours(path.name):
            raise _others(folder, path.name)
    if there and not _ours(folder):
        raise _others(folder, "a pool of yours")


def _others(folder: Path, what: str) -> FileExistsError:
    return FileExistsError(
        f"{folder} holds other files than those of features ({what}); move it away, and try "
        "again: the features are computed anew."
    )


def _is_name_of_ours(name: str) -> bool:
    return name in (MANIFEST, SETTINGS) or shard_number(name) is not None


def _is_damaged(folder: Path) -> bool:
    """Tell whether features of ours cannot be read, or not be gone on with."""
    try:
        read_head((folder / SETTINGS).read_bytes(), str(folder))
        settings = _said_there(folder)
        writer = PoolWriter(folder, task="vectors", settings=settings, resume=True)
        _ = open_pool(folder) if writer.complete else writer.finished
    except (OSError, ValueError):
        return True
    return False


def _clear(folder: Path) -> None:
    """Delete features of ours, and nothing else; what says whose they are goes last."""
    names = os.listdir(folder) if folder.exists() else []
    ours = filter(_is_name_of_ours, names)
    for name in sorted(ours, key=lambda name: (name == SETTINGS, name != MANIFEST)):
        if not (folder / name).is_dir():
            (folder / name).unlink()
            continue
        for path in (folder / name).iterdir():
            if path.suffix == ".npy" or path.name == RECORD:
                path.unlink()
        with suppress(OSError):
            (folder / name).rmdir()
    if SETTINGS in names and any(map(_is_name_of_ours, os.listdir(folder))):
        raise _others(folder, "in its shards")


def _kept(folder: Path) -> str | None:
    return _said_there(folder)["encoder"] if _ours(folder) else None


def _state(samples: Samples) -> list[Any]:
    """Return what differs once samples have changed."""
    if samples.kind not in IN_FILES:
        return samples.contents
    root, found = samples.root or Path(), []
    for path in samples.contents:
        try:
            stamp = os.stat(root / path)
            found.append((path, stamp.st_size, stamp.st_mtime_ns))
        except OSError:
            found.append((path, -1, 0))
    return found


def _refuse_if_moved(samples: Samples) -> None:
    """Refuse files of which more than half are gone: features of nothing, in place of good ones."""
    if samples.kind not in IN_FILES:
        return
    root = samples.root or Path()
    gone = [path for path in samples.contents if not (root / path).exists()]
    if 2 * len(gone) > len(samples):
        raise ValueError(
            f"{counted_of(len(gone), len(samples), 'file')} not there any more, the first "
            f"{root / gone[0]}; put them back there, or say where they are now: "
            "loop.change(root=...). Features that were computed before are kept."
        )


def _contents(encoder: Encoder, samples: Samples, rows: Sequence[int]) -> list[Any]:
    """Return what an encoder is given of some samples."""
    contents = [samples.contents[row] for row in rows]
    if samples.kind in IN_FILES:
        return [os.fspath((samples.root or Path()) / path) for path in contents]
    if samples.kind == "row":
        return [json.loads(text) for text in contents]
    if samples.kind == "html" and encoder.name.partition(":")[0] in TEXTS:
        return [_without_tags(text) for text in contents]
    return contents


def _rows(encoder: Encoder, samples: Samples, rows: Sequence[int]) -> Rows:
    """Return the features of some samples, checked."""
    contents = _contents(encoder, samples, rows)
    found = encoder.of(contents)
    found = found.detach().cpu().numpy() if hasattr(found, "detach") else np.asarray(found)
    if found.ndim != 2 or len(found) != len(contents) or found.dtype.kind not in "fiub":
        raise TypeError(
            f"encoder {encoder.name!r} must return numbers with a row for each of the "
            f"{len(contents):,} samples that it is given, got {found.dtype} of shape {found.shape}."
        )
    return np.array(found, dtype=np.float32)


def _why(encoder: Encoder, samples: Samples, row: int) -> str:
    """Say why a sample could not be read."""
    (content,) = _contents(encoder, samples, [row])
    try:
        if encoder.read is not None:
            encoder.read(content)
    except FileNotFoundError:
        return "it is not there"
    except Exception as error:  # a damaged file makes libraries raise anything
        return " ".join(str(error).split()) or type(error).__name__
    return "its features are not finite"


def _without_tags(page: str) -> str:
    page = re.sub(r"(?is)<(script|style)\b.*?</\1\s*>|<!--.*?-->", " ", page)
    return html.unescape(re.sub(r"<[^>]*>", " ", page))
