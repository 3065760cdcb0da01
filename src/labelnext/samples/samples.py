"""What people give to be labelled, whatever it is in, as one table of samples."""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from labelnext.pools.disk import as_here
from labelnext.pools.known import USUAL, is_text, natural, some
from labelnext.utils.given import shown
from labelnext.utils.text import counted, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import pyarrow as pa

Kind = Literal["text", "image", "audio", "row", "html"]
KINDS: tuple[Kind, ...] = get_args(Kind)
# What people call the column that is to be shown.
COLUMNS: dict[Kind, tuple[str, ...]] = {
    "text": ("text", "body", "content", "sentence"),
    "image": ("image", "picture", "photo"),
    "audio": ("audio", "sound"),
    "html": ("html",),
}
# What is in a folder, by the endings of its files.
ENDINGS: dict[Kind, tuple[str, ...]] = {
    "image": (".png", ".jpg", ".jpeg", ".gif", ".bmp", ".webp", ".tif", ".tiff", ".avif", ".svg"),
    "audio": (".wav", ".mp3", ".flac", ".ogg", ".oga", ".opus", ".m4a", ".aac"),
    "html": (".html", ".htm"),
    "text": (".txt", ".md"),
}
SAID = {"text": "texts", "image": "pictures", "audio": "sounds", "row": "rows", "html": "pages"}
# Whose content is the path of a file.
IN_FILES = ("image", "audio")
# Rows of a table that its first line is compared with; letters of which no name has as many.
FIRST, LONG = 1_000, 80
# What stands for row numbers in place of a column with ids.
ROW = "row"


@dataclass(frozen=True, eq=False, repr=False)
class Samples:
    """
    Samples to be labelled, in the order given.

    Parameters
    ----------
    ids : list of str
        An id for each, all different.
    kind : {"text", "image", "audio", "row", "html"}
        What they are.
    contents : list of str
        The text or HTML; the path of a picture or sound, absolute or relative to `root`; the
        values of a row as JSON.
    groups : list of str, default=None
        What each belongs to.
    root : Path, default=None
        The folder that the paths are in.
    table : pyarrow.Table, default=None
        The columns that are neither content, ids nor groups.
    columns : mapping, default={}
        Of a table the column that each of these was taken from, by the name of the option of
        `read`; of ids "row" where they are the numbers of the rows.
    left_out : mapping, default={}
        Of a folder how many files were left out, by their endings in small letters; of a .txt file
        how many lines, as "empty lines".
    odd_name : str, default=None
        Of a .csv or .tsv file the name of a column that looks like a sample: the file may have no
        line with names.
    hidden : sequence of str, default=()
        Columns that hold names of classes and nothing else, which are not shown.

    Examples
    --------
    >>> from labelnext.samples import Samples
    >>> Samples(["a", "b"], "text", ["Well made", "Broke at once"])
    2 samples: texts
    """

    ids: list[str]
    kind: Kind
    contents: list[str]
    groups: list[str] | None = None
    root: Path | None = None
    table: pa.Table | None = None
    columns: Mapping[str, str | Sequence[str]] = field(default_factory=dict)
    left_out: Mapping[str, int] = field(default_factory=dict)
    odd_name: str | None = None
    hidden: Sequence[str] = ()

    def __len__(self) -> int:
        return len(self.ids)

    def __repr__(self) -> str:
        return f"{len(self):,} sample{'s' * (len(self) != 1)}: {SAID[self.kind]}"

    def missing(self) -> list[str]:
        """Return the ids of samples whose file is not there, or whose text is empty.

        Examples
        --------
        >>> from pathlib import Path
        >>> from labelnext.samples import Samples
        >>> Samples(["a"], "image", ["gone.png"], root=Path("/nowhere")).missing()
        ['a']
        """
        root, in_files = self.root or Path(), self.kind in IN_FILES
        return [
            sample
            for sample, content in zip(self.ids, self.contents, strict=True)
            if not (os.path.isfile(root / content) if in_files else content.strip())
        ]


def read(
    source: Any,
    *,
    text: str | None = None,
    image: str | None = None,
    audio: str | None = None,
    html: str | None = None,
    id: str | None = None,  # noqa: A002 — as in the command
    group: str | None = None,
    columns: Sequence[str] | None = None,
    classes: Sequence[str] | None = None,
) -> Samples:
    """
    Read samples from whatever they are in.

    Parameters
    ----------
    source : str, path-like, frame, or sequence of str or dict
        A file (CSV, TSV, JSON, JSON Lines, Parquet, Arrow, or .txt with a text on each line); a
        folder of pictures, of sounds, of texts or of HTML pages, with what is below it; a folder
        that Hugging Face's ``save_to_disk`` wrote, or of Parquet files; a frame of pandas, polars
        or pyarrow; texts; or records.
    text, image, audio, html : str, default=None
        The column with what is to be shown: one of them. None looks for the usual names, and shows
        whole rows where there is none. Pictures and sounds are paths, relative to the file's
        folder.
    id : str, default=None
        The column with ids; "row" for the number of the row. None looks for "id" and "ids", and
        takes the number of the row where there is none. Files in a folder have their paths.
    group : str, default=None
        The column that says what each sample belongs to.
    columns : sequence of str, default=None
        The columns that make a row, where whole rows are shown; None for all but ids and what
        holds nothing but `classes`.
    classes : sequence of str, default=None
        The names of the classes. A column that holds these alone is what people are asked for, so
        it is not shown to them.

    Returns
    -------
    Samples
        The samples.

    Raises
    ------
    FileNotFoundError, PermissionError
        If there is no such file, or it may not be read.
    ValueError, TypeError
        If there is nothing in it, a column is missing, an id is empty or there twice, or none of
        the files is where it should be.

    Examples
    --------
    >>> from labelnext import samples
    >>> found = samples.read([{"id": "r1", "body": "Well made"}, {"id": "r2", "body": "Broke"}])
    >>> found
    2 samples: texts
    >>> found.ids, found.contents
    (['r1', 'r2'], ['Well made', 'Broke'])
    """
    if isinstance(source, Samples):
        return source
    given = {"text": text, "image": image, "audio": audio, "html": html, "id": id, "group": group}
    named = {name: value for name, value in given.items() if value is not None}
    asked = _Asked(named, columns, {*(classes or ())})
    from labelnext.pools.table import FOLDER_TABLES, HEADED, HF_STATE, as_table, read_table

    if not isinstance(source, str | os.PathLike):
        return _of_table(as_table(_rows(source), "samples"), "samples", Path.cwd(), asked)
    where = os.fspath(source)
    if not where:
        raise ValueError("The path of the samples is empty; give that of a table or of a folder.")
    path = Path(where).expanduser().absolute()
    if not path.exists():
        raise FileNotFoundError(
            f"There is no {where} (looked for {path}); give the path of a table or of a folder, or "
            "the samples themselves."
        )
    table = read_table(path)
    if table is not None:
        root = path if path.is_dir() else path.parent
        odd = _odd_name(table) if path.suffix.lower() in HEADED else None
        found = replace(_of_table(table, where, root, asked, odd), odd_name=odd)
        if path.suffix.lower() == ".txt":
            found = _without_empty_lines(found, where)
        # Hugging Face's own files stand beside its tables.
        whole = path.is_file() or (path / HF_STATE).is_file()
        if not whole:
            files = list(_files_of(path))
            tables = [name for name in files if "/" not in name and _ending(name) in FOLDER_TABLES]
            found = replace(found, left_out=_left_out(files, tables))
        return found
    for what in (*asked.named, *(["columns"] if columns is not None else [])):
        raise ValueError(f"{where} is a folder of files, without columns; leave out {what}=.")
    return _of_folder(path, where)


def _without_empty_lines(found: Samples, where: str) -> Samples:
    """Leave out what is no sample in a file of lines; others keep the numbers of their lines."""
    lines = [at for at, content in enumerate(found.contents) if content.strip()]
    if not lines:
        raise ValueError(f"{where} has no samples in it: all its lines are empty.")
    if len(lines) == len(found):
        return found
    left_out = {"empty lines": len(found) - len(lines)}
    ids, contents = ([of[at] for at in lines] for of in (found.ids, found.contents))
    return replace(found, ids=ids, contents=contents, left_out=left_out)


@dataclass(frozen=True)
class _Asked:
    """The columns that were named, and those that make a row."""

    named: Mapping[str, str]
    columns: Sequence[str] | None
    classes: set[str]

    def __post_init__(self) -> None:
        given = [str(name) for name in COLUMNS if name in self.named]
        given += ["columns"] if self.columns is not None else []
        if len(given) > 1:
            raise ValueError(
                f"{given[0]}= and {given[1]}= both say what to show; give one of them."
            )
        if isinstance(self.columns, str):
            raise TypeError(f"columns must be a list of names, got {self.columns!r}.")
        if len({*(self.columns or ())}) < len(self.columns or ()):
            raise ValueError(f"columns must differ, got {some(self.columns or (), 12)}.")

    def shown(self, table: pa.Table) -> tuple[Kind, str | None]:
        """Return what is shown of each sample, and the column that holds it, if it is one."""
        import pyarrow as pa

        for kind in COLUMNS:
            if kind in self.named:
                return kind, self.named[kind]
        if self.columns is None:
            names = [name for name in table.column_names if name not in self.named.values()]
            for kind, usual in COLUMNS.items():
                for name in names:
                    if name.lower() in usual:
                        return kind, name
            if len(names) == 1 and pa.types.is_string(table.column(names[0]).type):
                return "text", names[0]
        return "row", None


def _rows(source: Any) -> Any:
    """Return what `as_table` takes: a frame as it is, texts as records."""
    if hasattr(source, "columns") or hasattr(source, "with_format"):
        return source
    try:
        rows = [None] if isinstance(source, bytes | Mapping) else list(source)
    except TypeError:
        rows = [None]
    kinds = {type(row) for row in rows}
    if all(issubclass(kind, str) for kind in kinds):
        return [{"text": str(row)} for row in rows]
    if all(issubclass(kind, dict) for kind in kinds):
        return rows
    raise TypeError(
        "samples must be a path, a frame, texts, or records (dict), got "
        f"{type(source).__name__} {shown(source)}."
    )


def _of_table(
    table: pa.Table, where: str, root: Path, asked: _Asked, odd: str | None = None
) -> Samples:
    names = table.column_names
    if not table.num_rows:
        raise ValueError(f"{where} has no samples in it.")
    for what, name in (*asked.named.items(), *(("columns", each) for each in asked.columns or ())):
        if name not in names and (what, name) != ("id", ROW):
            raise ValueError(
                f"{where} has no column '{name}' ({what}=); it has {some(names, 12)}"
                f"{did_you_mean(name, names) or '.'}"
                + (f" {without_names(odd, where)}." if odd else "")
            )
    kind, shown_column = asked.shown(table)
    ids, id_column = _ids(table, where, asked.named.get("id"), shown_column)
    group = asked.named.get("group")
    groups = None if group is None else _texts(table, group, where)
    if groups is not None and "" in groups:
        raise ValueError(
            f"{where}: '{group}' is empty at row {groups.index(''):,} (the first is row 0); every "
            "sample needs a group."
        )
    rest = [name for name in names if name not in (shown_column, group, id_column)]
    others = table.select(rest) if rest else None
    told = [name for name in rest if _tells(table, name, asked.classes)]
    hidden = [name for name in told if name not in (asked.columns or ())]
    if kind == "row":
        if not (wanted := asked.columns or [name for name in rest if name not in hidden]):
            raise ValueError(f"{where} has no columns to show but {some(names)}.")
        taken = {"columns": wanted, "id": id_column or ROW}
        rows = _as_json(table, wanted)
        return Samples(ids, kind, rows, groups, None, others, taken, hidden=hidden)
    assert shown_column is not None
    taken = {kind: shown_column, "id": id_column or ROW}
    if kind not in IN_FILES:
        texts = _texts(table, shown_column, where)
        return Samples(ids, kind, texts, groups, None, others, taken, hidden=hidden)
    paths = [as_here(root, path) for path in _paths(table, shown_column, where)]
    found = Samples(ids, kind, paths, groups, root, others, taken, hidden=hidden)
    if len(found.missing()) == len(ids):
        raise ValueError(
            f"{where}: none of the {len(ids):,} files of '{shown_column}' is there; the first "
            f"would be {root / found.contents[0]}. Give paths that are relative to {root}, or "
            "absolute ones."
        )
    return found


def _tells(table: pa.Table, name: str, classes: set[str]) -> bool:
    """Tell whether a column holds names of classes and nothing else, which gives labels away."""
    import pyarrow as pa
    import pyarrow.compute as pc

    column, types = table.column(name), pa.types
    if types.is_list(column.type) or types.is_large_list(column.type):
        column = pc.list_flatten(column)
    if types.is_nested(column.type) or types.is_floating(column.type):
        return False
    found = {str(value) for value in pc.unique(column).to_pylist()} - {"None", ""}
    return bool(found) and found <= classes


def without_names(odd: str, where: str) -> str:
    """Say that a table may have no line of names.

    >>> without_names("good", "a.csv")[:62]
    "'good' looks like a sample and not like the name of a column; "
    """
    return (
        f"{shown(odd)} looks like a sample and not like the name of a column; if the first line of "
        f"{where} does not name the columns, put a line before it that does, such as text,label"
    )


def _odd_name(table: pa.Table) -> str | None:
    """Return the name of a column that looks like what is in the columns."""
    names: list[str] = table.column_names
    usual = {each for some_of in COLUMNS.values() for each in some_of}
    in_files = (*ENDINGS["image"], *ENDINGS["audio"])
    numbers = all(name.isdecimal() for name in names)  # as pandas names columns
    for name in names:
        if name.lower() in usual or name.lower() in USUAL["ids"] or numbers:
            continue
        same = name in table.column(name).slice(0, FIRST).to_pylist()
        number = re.fullmatch(r"-?\d+[.,]\d+|-\d+", name) is not None
        alone = len(names) == 1 and " " in name
        if same or number or alone or len(name) > LONG or name.lower().endswith(in_files):
            return name
    return None


def _ids(
    table: pa.Table, where: str, name: str | None, shown_column: str | None
) -> tuple[list[str], str | None]:
    """Return ids, and the column that they are from, None for the numbers of the rows."""
    names = table.column_names
    if name is None:
        name = next((n for n in USUAL["ids"] if n in names and n != shown_column), ROW)
    if name not in names:
        return [*map(str, range(table.num_rows))], None
    ids = _texts(table, name, where)
    if "" in ids:
        raise ValueError(
            f"{where}: '{name}' is empty at row {ids.index(''):,} (the first is row 0); fill it "
            f"in, name another column with id=, or say id='{ROW}' for the number of the row."
        )
    first: dict[str, int] = {}
    twice: dict[str, tuple[int, int]] = {}
    for row, value in enumerate(ids):
        if first.setdefault(value, row) != row:
            twice.setdefault(value, (first[value], row))
    if twice:
        value, (one, other) = next(iter(twice.items()))
        raise ValueError(
            f"{where}: {counted(len(twice), 'id is', 'ids are')} there more than once: "
            f"{some(twice)} ({value!r} at "
            f"rows {one:,} and {other:,}, the first is row 0); give each sample an id of its own, "
            f"name another column with id=, or say id='{ROW}' for the number of the row."
        )
    return ids, name


def _of_folder(folder: Path, where: str) -> Samples:
    """Read the files of a folder, of the kind of which there are most."""
    found: dict[Kind, list[str]] = {kind: [] for kind in ENDINGS}
    files = list(_files_of(folder))
    for path in files:
        ending = _ending(path)
        for kind, endings in ENDINGS.items():
            if ending in endings:
                found[kind].append(path)
    kind = max(found, key=lambda each: len(found[each]))
    paths = sorted(found[kind], key=natural)
    if not paths:
        raise ValueError(
            f"{where} has no pictures, sounds, texts or tables in it; give a folder with such "
            "files (.png, .jpg, .wav, .txt, .html, .parquet, ...)."
        )
    for path in paths:
        if not is_text(path):
            raise ValueError(f"{where}: the name {path!r} is no text in UTF-8; rename the file.")
    contents = paths
    if kind not in IN_FILES:
        from labelnext.pools.table import read_text

        contents = [read_text(str(folder / path)) for path in paths]
    return Samples(paths, kind, contents, None, folder, left_out=_left_out(files, paths))


def _ending(path: str) -> str:
    return os.path.splitext(path)[1].lower()


def _left_out(files: Sequence[str], taken: Sequence[str]) -> dict[str, int]:
    """Count the files that were not taken by their endings, those with most first."""
    return dict(Counter(sorted(map(_ending, {*files}.difference(taken)))).most_common())


def _files_of(folder: Path) -> Iterable[str]:
    """Name the files below a folder, hidden ones left out; links are followed, each once."""
    seen = set()
    for here, folders, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(here)
        folders[:] = [] if real in seen else sorted(n for n in folders if n[0] != ".")
        if real not in seen:
            for name in names:
                if name[0] != ".":
                    yield Path(here, name).relative_to(folder).as_posix()
        seen.add(real)


def _texts(table: pa.Table, name: str, where: str) -> list[str]:
    """Return a column as texts; what is missing is an empty one."""
    import pyarrow as pa

    column = table.column(name)
    if pa.types.is_nested(column.type) or pa.types.is_binary(column.type):
        raise TypeError(f"{where}: '{name}' holds {column.type}; expected texts or numbers.")
    return ["" if value is None else str(value) for value in column.to_pylist()]


def _paths(table: pa.Table, name: str, where: str) -> list[str]:
    import pyarrow as pa

    column = table.column(name)
    if pa.types.is_struct(column.type):
        values = [value or {} for value in column.to_pylist()]
        if any(value.get("bytes") for value in values):
            raise TypeError(
                f"{where}: '{name}' holds the files themselves; write them to a folder, and give "
                "the folder, or a table of their paths."
            )
        return [str(value.get("path") or "") for value in values]
    return _texts(table, name, where)


def _as_json(table: pa.Table, names: Sequence[str]) -> list[str]:
    rows: Iterable[Mapping[str, Any]] = table.select(list(names)).to_pylist()
    return [json.dumps({n: _plain(v) for n, v in r.items()}, ensure_ascii=False) for r in rows]


def _plain(value: Any) -> Any:
    """Return a value as JSON has it: no NaN, no dates, no bytes."""
    if isinstance(value, dict):
        return {str(name): _plain(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, float) and value - value != 0:  # NaN and infinities
        return None
    if isinstance(value, bytes):
        return f"{len(value):,} bytes"
    return value if value is None or isinstance(value, bool | int | float) else str(value)
