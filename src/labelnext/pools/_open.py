"""The one reader of files: which format a pool's files are in, and what is found in them."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from labelnext.pools._npy import Archive, MappedSource, open_npy, open_npy_files
from labelnext.pools._text import (
    CLASSES,
    TABLES,
    Table,
    ids_of_records,
    json_values,
    parse_text,
    text_of,
)
from labelnext.pools._text import SUFFIXES as TEXT
from labelnext.pools.arrays import ArraySource, joined
from labelnext.pools.check import WITHOUT_PROBA, refuse_proba_of
from labelnext.pools.files import FileError, LocalFiles, broken, local_path, scheme_of
from labelnext.pools.known import USUAL, check_groups, check_same, check_unique, natural, some
from labelnext.pools.manifest import PoolSource, looks_like_a_pool, open_pool_folder
from labelnext.pools.pool import Pool
from labelnext.pools.source import KNOWN, PARTS, Source
from labelnext.utils.libraries import require
from labelnext.utils.memory import refuse_too_large
from labelnext.utils.text import counted, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from numpy.typing import ArrayLike

    from labelnext.pools.files import Files
    from labelnext.pools.source import Known, Part
    from labelnext.utils.given import Task

NPY, PARQUET, ZIP = b"\x93NUMPY", b"PAR1", b"PK"
ZARR = {"zarr.json", ".zgroup"}
ARRAYS = (".npy", ".npz", ".parquet", ".parq", ".pq", ".zarr")
# Texts that other programs write where a value is missing.
MISSING = ("nan", "NaN", "NAN", "NA", "N/A", "<NA>", "None", "null", "NULL")
EXPECTED = (
    "is of no known format: expected a pool folder of labelnext, a Zarr group, .npy, .npz or "
    "Parquet files"
)
Spec = str | os.PathLike[str]


def open_pool(
    path: Spec | None = None,
    *,
    proba: Spec | None = None,
    features: Spec | None = None,
    ids: Spec | ArrayLike | None = None,
    groups: Spec | ArrayLike | None = None,
    labels: Spec | ArrayLike | None = None,
    classes: ArrayLike | None = None,
    task: Task | None = None,
    bias: bool | None = None,
) -> Pool:
    """
    Open a pool that lies in files, to be read as it is needed: it may be larger than memory.

    What format they are in is told by what is there:

    - a folder that `labelnext.write_pool` or `labelnext.extract` has written, which is read
      fastest;
    - Parquet, a file or a folder of files in the order of their names (part.2 before part.10),
      with a column of lists of numbers for each part, or of numbers in NAME_0, NAME_1, ...; read
      row group by row group;
    - a Zarr group (extra ``zarr``) with an array for each part, read chunk by chunk; chunks that
      are missing are zeros, as they are for Zarr;
    - ``.npy`` files, in one folder under the usual names or each named; rows are read alone. One
      alone, as `path`, holds features;
    - ``.npz`` files, which are read into memory; also of a sparse matrix that SciPy saved;
    - ``.csv`` and ``.tsv`` with a header: columns NAME_0, NAME_1, ...; as `proba` alone, a column
      for each class, whose names are those of the columns.

    The files must not be changed while the pool is in use. Values are checked where they are
    first read.

    Parameters
    ----------
    path : str or path-like, default=None
        The file or folder, or a URI such as ``s3://bucket/pool`` that pyarrow reads, or fsspec if
        it is installed; None if each part is named.
    proba, features : str or path-like, default=None
        The name of a column or array of `path`, another file, or ``FILE:NAME`` for a column or
        array in one. None looks for the usual names: proba, probs or probabilities; embedding,
        embeddings, features or emb. One of the two is enough.
    ids, groups, labels : str, path-like or array-like, default=None
        Likewise; also a file of text, .txt (a value on each line), .csv, .tsv, .json or .jsonl
        (``FILE:data.id`` for nested keys), or the values themselves. Of a file, ids are looked for
        under the names id and ids, and where several files have them they must agree; what is
        given wins, unless it has some of the same ids in another order. In a folder of ``.npy``
        files an ids.txt is read too. Groups and labels are
        looked for only if they are asked for. A pool folder has its own.
    classes, task, bias : optional
        As those of `labelnext.Pool`; they win over what the files say. An ``.npz`` file may name
        the classes in an array classes.

    Returns
    -------
    Pool
        The pool.

    Raises
    ------
    FileNotFoundError, PermissionError, OSError
        If a file is not there or may not be read, or an object store cannot be reached.
    ValueError
        If the files are of no known format, damaged or unfinished, do not line up, have an id
        twice or a row without a group, or do not have what is named.
    TypeError
        If they hold no numbers, or ids, groups or labels of another kind.

    See Also
    --------
    labelnext.write_pool : Write a pool folder, the format that is read fastest.
    labelnext.Pool : A pool of arrays in memory.

    Examples
    --------
    >>> import numpy as np, os, tempfile
    >>> import labelnext
    >>> folder = tempfile.TemporaryDirectory()
    >>> np.save(os.path.join(folder.name, "proba.npy"), np.full((3, 2), 0.5, np.float32))
    >>> np.save(os.path.join(folder.name, "embedding.npy"), np.arange(6.0).reshape(3, 2))
    >>> pool = labelnext.open_pool(folder.name, ids=["a", "b", "c"])
    >>> pool.features[[2, 0]]
    array([[4., 5.],
           [0., 1.]])
    >>> pool.ids_of([2])
    array(['c'], dtype=object)
    >>> folder.cleanup()
    """
    wanted: dict[str, Any] = {"proba": proba, "features": features}
    said: dict[str, Any] = {"classes": classes, "task": task, "bias": bias}
    for what, value in (("ids", ids), ("groups", groups), ("labels", labels)):
        (wanted if value is None or isinstance(value, str | os.PathLike) else said)[what] = value
    parts: tuple[Part, ...] = PARTS
    if task in WITHOUT_PROBA:
        if proba is not None:
            refuse_proba_of(task)
        parts = ("features",)
    source = open_source(path, parts, given_ids=said.get("ids"), **wanted)
    if source.has("groups") and "groups" not in said and not isinstance(source, PoolSource):
        check_groups(source)
    if wanted.get("labels") is not None:
        names = source.classes if classes is None else classes
        said["labels"] = _numbers(source.known("labels"), names)
    return Pool.of(source, **said)


def read_values(spec: Spec, what: Known = "ids") -> list[Any]:
    """Read ids, groups or labels from a file of any format, ``FILE`` or ``FILE:NAME``."""
    values: list[Any] = _source_of(*_split(_path(spec, what), what), what, {}).known(what).tolist()
    return values


def lists_nothing(spec: Spec) -> bool:
    """Tell whether a file of text is empty, or has nothing but blanks in it."""
    file = _split(_path(spec, "ids"), "ids")[0]
    is_text = os.path.splitext(file)[1].lower() in TEXT
    return is_text and not text_of(content_of(file), file).strip()


def lists_values(spec: Spec) -> bool:
    """Tell whether ids, groups or labels are named by a file, not by a column of the pool."""
    return _is_file(os.fspath(spec))


def names_nothing(path: str) -> bool:
    """Tell whether a file lists values alone, without a name for them."""
    suffix = os.path.splitext(path)[1].lower()
    if suffix not in (".json", ".jsonl"):
        return suffix in (".txt", ".npy")
    return not any(isinstance(value, dict) for value in json_values(content_of(path), suffix, path))


@dataclass(frozen=True)
class _Single:
    """One array, without a name: a .npy file, or a sparse matrix that SciPy saved."""

    name: str
    files: Files
    place: str

    archive: Archive | None = None
    names: tuple[str, ...] = ()
    stems: tuple[str, ...] = ()

    def source(self, names: Mapping[str, str]) -> Source:
        (what,) = names
        if self.archive is not None:
            matrix = self.archive.sparse_matrix()
            try:
                return ArraySource(**{what: matrix}, name=self.name)
            except ValueError as error:
                raise ValueError(f"{self.name}: {error}") from None
        if what in PARTS and isinstance(self.files, LocalFiles):
            # Read by rows alone are arrays whose rows lie one after the other; others are mapped.
            found = open_npy(self.files, self.place)
            if len(found.shape) == 3 or found.columns_first:
                return MappedSource(what, found, self.files, self.name)
        return open_npy_files(self.name, self.files, {what: self.place})


@dataclass(frozen=True)
class _NpyFolder:
    """A folder of .npy files, which are its arrays."""

    name: str
    files: Files
    place: str
    names: tuple[str, ...]
    others: tuple[str, ...]  # files beside them

    stems: tuple[str, ...] = ()

    @property
    def ids(self) -> str | None:
        """Return the name of a text with ids beside the arrays, as there is no array of them."""
        found = [f"{name}.txt" for name in USUAL["ids"] if f"{name}.txt" in self.others]
        return None if {*self.names} & {*USUAL["ids"]} or not found else found[0]

    def told(self, names: Mapping[str, str], files: Mapping[str, tuple[str, str | None]]) -> str:
        """Say which files are taken for what, beside those named in `files`, and which are not."""
        taken = {f"{name}.npy": what for what, name in names.items()}
        elsewhere = {os.path.normpath(file): what for what, (file, _) in files.items()}
        for name in self.others:
            if (what := elsewhere.get(os.path.normpath(f"{self.name}/{name}"))) is not None:
                taken[name] = what
        left = [
            n for n in (*(f"{name}.npy" for name in self.names), *self.others) if n not in taken
        ]
        more = f" and {len(left) - 5:,} more" if len(left) > 5 else ""
        said = ", ".join(f"{what} from {name}" for name, what in taken.items())
        return said + (f"; not read: {', '.join(left[:5])}{more}" if left else "")

    def source(self, names: Mapping[str, str]) -> Source:
        places = {what: f"{self.place}/{name}.npy" for what, name in names.items()}
        return open_npy_files(self.name, self.files, places)


class _Folder:
    """A pool folder of labelnext, which has its own parts."""

    stems: tuple[str, ...] = ()

    def __init__(self, name: str, files: Files, place: str) -> None:
        self.pool = open_pool_folder(name, files, place)
        self.name = name
        self.names = [*self.pool.parts, *(what for what in KNOWN if self.pool.has(what))]

    def source(self, names: Mapping[str, str]) -> Source:
        odd = [f"{what}={name!r}" for what, name in names.items() if what != name]
        if odd:
            raise TypeError(
                f"{self.name} is a pool folder, which has its own parts; leave out {odd[0]}."
            )
        return self.pool


@dataclass(frozen=True)
class _Records:
    """A file of records in JSON, of which ids are compared with those of other files."""

    name: str
    ids: Sequence[Any]

    names: tuple[str, ...] = USUAL["ids"][:1]

    def source(self, names: Mapping[str, str]) -> Source:
        return ArraySource.of_known("ids", self.ids, self.name)


def open_source(
    path: Spec | None = None,
    parts: Sequence[Part] = PARTS,
    *,
    given_ids: Any = None,
    **asked: Spec | None,
) -> Source:
    """Open what is asked for: columns and arrays of one file or folder, and other files.

    Ids that are given as values are compared with those that files have.
    """
    wanted = {what: _path(spec, what) for what, spec in asked.items() if spec is not None}
    main = None if path is None else _main(_path(path, "path"))
    names, elsewhere = _told_apart(main, wanted, ids_given=given_ids is not None or "ids" in wanted)
    if main is None and not elsewhere.keys() & {*PARTS}:
        raise TypeError(
            "open_pool needs a path, or files with the parts: open_pool(proba=..., features=...)."
        )
    sources: dict[str, Source] = {}
    if main is not None:
        before = dict(names)
        own_source = _of_main(main, parts, names, elsewhere)
        if isinstance(main, _NpyFolder) and names != before:
            own_source.taken = main.told(names, elsewhere)
        own_parts = [part for part in own_source.parts if part in (*parts, *names)]
        known = [what for what in KNOWN if own_source.has(what)]
        sources = dict.fromkeys([*own_parts, *known], own_source)
    opened: dict[str, Any] = {} if main is None else {main.name: main}
    for what, (file, name) in elsewhere.items():
        sources[what] = _source_of(file, name, what, opened)
        if not sources[what].n_rows:
            raise FileError(
                f"{sources[what].name} is empty: expected {what}, for each sample; leave it out if "
                "there are none."
            )
    of_files = _ids_of_files(opened, elsewhere)
    asked_for = [(file, name) for file in of_files for name in (None, *USUAL["ids"])]
    taken = (of_files.get(elsewhere[part][0]) for part in PARTS if part in elsewhere)
    if "ids" not in sources and (ids := next(filter(None, taken), None)) is not None:
        sources["ids"] = ids
    source = joined({what: sources[what] for what in (*PARTS, *KNOWN) if what in sources})
    named = sources.get("ids", source)
    if not isinstance(named, PoolSource):  # whose writer has seen to it
        check_unique(named)
    # Ids that were asked for may be of another kind than those that the files have, and so may
    # those of a labelling tool's records.
    records = [file for file in of_files if isinstance(opened[file], _Records)]
    others = [of_files.pop(file) for file in records]
    if given_ids is not None:
        others.append(ArraySource.of_known("ids", given_ids, "what was given"))
    elif "ids" in elsewhere and elsewhere["ids"] not in asked_for:
        others.append(sources["ids"])
    first, *rest = (*of_files.values(), *others) or (None,)
    for other in rest:
        if first is not None and other.n_rows == first.n_rows:
            check_same(first, other, other_kind=other in others)
    return source


def _main(path: str) -> Any:
    """Open the pool; of an array of a file, as parts are named, say how a pool is named."""
    file, colon, _ = path.rpartition(":")
    if not colon or os.path.exists(path) or not os.path.exists(file):
        return _container(path)
    has = some(_container(file).names, 12)
    raise ValueError(f"{path}: a pool is a whole file: give {file}{has and ', which has ' + has}.")


def _told_apart(
    main: Any, wanted: Mapping[str, str], *, ids_given: bool
) -> tuple[dict[str, str], dict[str, tuple[str, str | None]]]:
    """Tell names of columns or arrays of `main`, if there is one, from other files."""
    names: dict[str, str] = {}
    elsewhere: dict[str, tuple[str, str | None]] = {}
    if isinstance(main, _NpyFolder) and main.ids is not None and not ids_given:
        elsewhere["ids"] = f"{main.name}/{main.ids}", None
    for what, spec in wanted.items():
        if main is not None and (own := _own_name(main, spec)) is not None:
            names[what] = own
        elif main is None or _is_file(spec):
            elsewhere[what] = _split(spec, what)
        elif isinstance(main, _Folder):
            main.source({what: spec})  # which says that it has its own
        elif isinstance(main, _Single):
            raise TypeError(
                f"{main.name} is one array, which has no '{spec}'; give files, as "
                "open_pool(proba=..., features=...)."
            )
        else:
            raise _no_such(main, spec, what, asked=True)
    return names, elsewhere


def _ids_of_files(
    opened: Mapping[str, Any], elsewhere: Mapping[str, tuple[str, str | None]]
) -> dict[str, Source]:
    """Find the ids that files have of their own, under their usual names."""
    asked = {(file, name) for what, (file, name) in elsewhere.items() if what != "ids"}
    found: dict[str, Source] = {}
    for file, container in opened.items():
        name = next((each for each in USUAL["ids"] if each in container.names), None)
        if isinstance(container, _Folder):
            found |= {file: container.pool} if container.pool.has("ids") else {}
        elif name is not None and (file, name) not in asked:
            found[file] = container.source({"ids": name})
    return found


def _of_main(
    main: Any, parts: Sequence[Part], names: dict[str, str], elsewhere: Collection[str]
) -> Source:
    """Find in a container what is not elsewhere, under its usual names where none was given."""
    if isinstance(main, _Folder):
        return main.source(names)
    if isinstance(main, _Single):
        free = [part for part in reversed(parts) if part not in elsewhere]
        stem = os.path.splitext(os.path.basename(main.place))[0]
        if stem.lower() in USUAL["proba"]:
            free.reverse()
        if not free:
            raise TypeError(
                f"{main.name} is one array, and proba and features are both in other files; "
                "leave it out."
            )
        return main.source({free[0]: ""})
    for what in (*parts, "ids"):
        found = next((name for name in USUAL[what] if name in (*main.names, *main.stems)), None)
        if what not in names and what not in elsewhere and found is not None:
            names[what] = found
    if not names.keys() & {*PARTS}:
        missing: Part = "proba" if "proba" not in elsewhere and "proba" in parts else "features"
        raise _no_such(main, USUAL[missing][0], missing, asked=False)
    source: Source = main.source(names)
    source.unused = tuple(name for name in main.names if name not in names.values())
    return source


def _source_of(file: str, name: str | None, what: Any, opened: dict[str, Any]) -> Source:
    """Open a part, or ids, groups or labels, in a file of its own; files are opened once."""
    suffix = os.path.splitext(file)[1].lower()
    if what in PARTS or suffix not in TEXT or suffix in TABLES:
        container = opened[file] = opened[file] if file in opened else _container(file)
        source: Source = container.source({what: _found(container, name, what)})
        return source
    content = content_of(file)
    values = parse_text(content, suffix, file, name, what)
    if what != "ids" and (ids := ids_of_records(content, suffix, file)):
        opened[file] = _Records(file, ids)
    return ArraySource.of_known(what, values, file if name is None else f"{file}:{name}")


def content_of(file: str) -> bytes:
    """Return all bytes of a file of text."""
    files, place = _place(file)
    size = files.size(place)
    refuse_too_large(file, 4 * size, "split it, or write it as Parquet")
    return files.read_some(place, size)


def _found(container: Any, name: str | None, what: str) -> Any:
    """Find the array or column of a file that is meant: the one named, a usual one, or the only."""
    if isinstance(container, _Single):
        if name is not None:
            raise ValueError(
                f"{container.name}:{name}: this file holds one array without a name; give "
                f"{what}={container.name!r}."
            )
        return ""
    there = (*container.names, *container.stems)
    usual: tuple[str, ...] = USUAL[what]
    if isinstance(container, Table):
        # A lone column is not taken as it stands: its first line may be a value, or a heading.
        there = (*there, CLASSES)
        usual = (*usual, CLASSES) if what == "proba" else usual
    elif len(there) == 1:
        usual = (*usual, *there)
    for each in usual if name is None else (name,):
        if each in there:
            return each
    if isinstance(container, Table) and name is None and what in KNOWN:
        raise ValueError(
            f"{container.name} has no column '{usual[0]}' in its first line "
            f"({some(container.names, 12)}); name a column with {container.name}:NAME, "
            "or use a .txt file with one value on each line."
        )
    raise _no_such(
        container, USUAL[what][0] if name is None else name, what, asked=name is not None
    )


def _no_such(container: Any, name: str, what: str, *, asked: bool) -> ValueError:
    names = list(container.names)
    shown = ", ".join(names[:12]) + (f" and {len(names) - 12} more" * (len(names) > 12))
    hint = "" if asked else f"; name it with {what}=..."
    if isinstance(container, Table) and what == "proba" and not asked:
        hint += f", or give proba={container.name!r} alone if each column is a class"
    return ValueError(
        f"{container.name} has no '{name}'; it has {shown or 'nothing'}"
        f"{hint}{did_you_mean(name, names) or '.'}"
    )


def _own_name(main: Any, spec: str) -> str | None:
    """Return what a container calls an array of that name, if it has one."""
    for name in (spec, spec.removesuffix(".npy") if isinstance(main, _NpyFolder) else spec):
        if name in main.names or name in main.stems:
            return name
    return None


def _is_file(spec: str) -> bool:
    file, colon, _ = spec.rpartition(":")
    return any(
        os.path.splitext(each)[1].lower() in (*ARRAYS, *TEXT) or os.path.exists(each)
        for each in ([spec, file] if colon else [spec])
    )


def _split(spec: str, what: str) -> tuple[str, str | None]:
    """Read ``FILE`` or ``FILE:NAME``."""
    suffixes = (*ARRAYS, *TEXT) if what in KNOWN else (*ARRAYS, *TABLES)
    file, colon, name = spec.rpartition(":")
    if os.path.splitext(spec)[1].lower() in suffixes or os.path.exists(spec):
        return spec, None
    if colon and (os.path.splitext(file)[1].lower() in suffixes or os.path.exists(file)):
        return file, name
    if scheme_of(spec) is not None:
        return spec, None
    raise ValueError(
        f"{what}={spec!r}: expected a file that ends in {', '.join(suffixes[:-1])} or "
        f"{suffixes[-1]}, or FILE:NAME for one array or column in it."
    )


def _path(spec: Any, what: str) -> str:
    """Return a path as text; refuse what is none."""
    if not isinstance(spec, str | os.PathLike):
        raise TypeError(
            f"{what} must be the path of a file or folder, got {type(spec).__name__} "
            f"{str(spec)[:40]!r}; arrays are for labelnext.Pool(proba, features)."
        )
    path = os.fspath(spec)
    if isinstance(path, bytes):
        path = os.fsdecode(path)
    if not path or "\0" in path:
        raise ValueError(f"{what} must be the path of a file or folder, got {path!r}.")
    return path


def _place(path: str) -> tuple[Files, str]:
    """Return the files that a path is among, and its place there."""
    scheme = scheme_of(path)
    if scheme is not None and scheme != "file":
        from labelnext.pools._remote import find_remote  # which brings pyarrow

        return find_remote(path, scheme)
    return LocalFiles(), local_path(path)


def _container(path: str) -> Any:
    """Tell from what is there which format a file or folder is in, and open it."""
    files, place = _place(path)
    if files.is_folder(place):
        return _folder(path, files, place)
    start = files.read_some(place, len(NPY))
    if start == NPY:
        if path.lower().endswith(".npz"):
            raise ValueError(
                f"{path} is no .npz archive; rename it to .npy if it was written by numpy.save."
            )
        return _Single(path, files, place)
    if start.startswith(PARQUET):
        return _parquet(path, files, [place])
    suffix = os.path.splitext(path)[1].lower()
    if start.startswith(ZIP) and suffix == ".npz":
        archive = Archive(path, files, place)
        sparse = {"format", "shape", "data"} <= {*archive.names}
        return _Single(path, files, place, archive) if sparse else archive
    if suffix in TABLES:
        return Table(path, content_of(path))
    if suffix in ARRAYS:
        raise broken(path, f"it does not begin as a {suffix} file does")
    raise ValueError(f"{path}: this file {EXPECTED}.")


def _folder(path: str, files: Files, place: str) -> Any:
    found = files.listing(place, unless=ZARR)
    if looks_like_a_pool(name.split("/")[0] for name in found):
        return _Folder(path, files, place)
    if ZARR & found.keys():
        require("zarr", extra="zarr", what=f"Reading {place}")
        from labelnext.pools._zarr import ZarrGroup

        _refuse_missing(place, found, found)  # a chunk that is not there would be zeros
        return ZarrGroup(path, files, place)
    # Those of other programs, such as _SUCCESS, are hidden by their names.
    shown = sorted(
        (n for n in found if not any(part[0] in "._" for part in n.split("/"))), key=natural
    )
    if arrays := [name for name in shown if name.endswith(".npy")]:
        _refuse_missing(place, found, arrays)
        names = tuple(name.removesuffix(".npy") for name in arrays)
        others = tuple(name for name in shown if name not in arrays)
        return _NpyFolder(path, files, place, names, others)
    tables = [name for name in shown if name.lower().endswith((".parquet", ".parq", ".pq"))]
    there = [name for name in shown if found[name] >= 0]
    if not tables and there and files.read_some(f"{place}/{there[0]}", 4) == PARQUET:
        tables = shown  # as they are called where their suffix is not needed
    if tables:
        # A part, or a folder of parts, may be a link to nothing.
        bare = [name for name in shown if not os.path.splitext(name)[1]]
        _refuse_missing(place, found, [*tables, *bare])
        return _parquet(path, files, [f"{place}/{name}" for name in tables])
    raise ValueError(f"{path}: this folder {EXPECTED}; it has {', '.join(shown[:5]) or 'none'}.")


def _refuse_missing(place: str, found: Mapping[str, int], names: Iterable[str]) -> None:
    """Refuse files that would be passed over in silence: nobody is told what they had."""
    for name in names:
        if found[name] < 0:
            raise FileError(
                f"{place}/{name} is a link to a file that is not there, or no plain file; restore "
                "or remove it."
            )


def _parquet(path: str, files: Files, places: list[str]) -> Any:
    from labelnext.pools._parquet import ParquetFiles  # which brings pyarrow

    return ParquetFiles(path, files, places)


def _numbers(labels: Any, classes: Any) -> Any:
    """Return labels that were read as text as numbers, if they all are, and no class is a text."""
    given = [label for label in labels.ravel().tolist() if label is not None]
    if classes is not None and any(isinstance(name, str) for name in classes):
        return labels
    if not all(isinstance(label, str) for label in given):
        return labels
    for kind in (int, float):
        with suppress(ValueError):
            if not any("_" in label for label in given):
                return [None if label is None else kind(label) for label in labels]
    for text in MISSING if classes is None else ():
        if text in given:
            raise ValueError(
                f"labels has the text {text!r} in {counted(given.count(text), 'row')}, as if it "
                "were a "
                "class; leave it empty where a label is missing, or name all classes with "
                "classes=... if it is one."
            )
    return labels
