"""The answer: picked rows in order, with what is worth knowing of each; and its files."""

from __future__ import annotations

import importlib
import io
import json
import weakref
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, overload

import numpy as np

from labelnext.pools.disk import check_place, write_whole, writing
from labelnext.utils.text import as_csv, printable

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Mapping, Sequence

    import pandas
    import polars
    from numpy.typing import ArrayLike, NDArray

    from labelnext.pools import Pool

    Columns = Mapping[str, Sequence[Any]]

# A longer batch is shown by its first and last few picks.
SHOWN = 10
FORMATS = (".csv", ".json", ".jsonl", ".parquet")

# What a selection counts, in the order of a table.
COUNTERS = (
    *("picks", "passes", "proposals", "accepted", "pairs", "pairs_tested"),
    *("residual_products", "feature_products", "differences", "bytes_read", "bytes_total"),
)


class Column(NamedTuple):
    """One column of a batch: its name in files, the field that holds it, and its heading."""

    name: str
    field: str
    title: str


COLUMNS = (
    Column("row", "indices", "row"),
    Column("id", "ids", "id"),
    Column("group", "groups", "group"),
    Column("pseudo_label", "pseudo_labels", "pseudo-label"),
    Column("score", "scores", "score"),
    Column("gradient_norm", "gradient_norms", "gradient norm"),
    Column("d2", "d2", "D²"),
    Column("potential", "potentials", "potential"),
)
"""What is known of a pick, in the order of every table and file; `rank` comes before."""


class Pick(NamedTuple):
    """One pick of a batch; None where the pool or the strategy does not tell.

    Parameters
    ----------
    rank, row : int
        Its place in the batch, from 1, and its row in the pool.
    id, group : object
        Its id, and the group that it is of.
    pseudo_label : int, str or tuple
        As those of `Batch`, by name if the pool has class names; for a multilabel pool a tuple of
        those that are at least half probable.
    score, gradient_norm, d2, potential : float
        As those of `Batch`.

    Examples
    --------
    >>> import numpy as np
    >>> import labelnext
    >>> features = np.array([[1.0], [2.0], [4.0]])
    >>> labelnext.select(np.full((3, 2), 0.5), features, k=1)[0].row
    2
    """

    rank: int
    row: int
    id: Any = None
    group: Any = None
    pseudo_label: Any = None
    score: float | None = None
    gradient_norm: float | None = None
    d2: float | None = None
    potential: float | None = None


@dataclass(frozen=True, eq=False)
class Batch:
    """The samples that people should label next, in the order in which they were picked.

    It prints as a table. Slicing its start, ``batch[:50]``, gives the batch that one would have
    got for 50 (unless the strategy says that its batches are not prefixes); ``batch[3]`` is one
    `Pick`. What the pool or the strategy does not tell is None, and in no table.

    Parameters
    ----------
    indices : ndarray of shape (k,), int64
        The picked rows of the pool.
    pseudo_labels : ndarray of shape (k,), int64, or (k, n_labels), bool, default=None
        The class of highest probability of each pick (a column of the probabilities); 0 or 1 for
        a single logit; for a multilabel pool, which labels are at least half probable.
    gradient_norms : ndarray of shape (k,), float64, default=None
        ‖G‖ of each pick: how uncertain and how large.
    d2 : ndarray of shape (k,), float64, default=None
        D² at the moment of the pick: the squared distance to the nearest earlier pick. For the
        first, which has no earlier one, ‖G‖².
    potentials : ndarray of shape (k,), float64, default=None
        The sum of D² over the pool after each pick: how much is left to be covered.
    stats : mapping of str to int, default={}
        What the selection took, for the whole run also in the start of a batch: `picks`; `passes`
        over the pool; `proposals` drawn and those `accepted`; `pairs` of a row and a centre that
        the passes covered, how many of them were tested one by one (`pairs_tested`), how many
        needed ⟨a, a⟩ (`residual_products`), ⟨h, h⟩ (`feature_products`: these were evaluated) and
        d² from `differences`; `bytes_read` from files by the passes, of `bytes_total` had each
        read the whole pool (both 0 for a pool in memory).
    scores : ndarray of shape (k,), float64, default=None
        The utility that decided on each pick, by strategies other than BADGE; of those that
        draw, what their law is made of.
    ids : ndarray of shape (k,), int64 or object, default=None
        The ids of the picks.
    groups : ndarray of shape (k,), default=None
        Their groups.
    classes : tuple of str, default=None
        The names of the classes; tables then show them for pseudo-labels.

    Examples
    --------
    >>> import numpy as np
    >>> import labelnext
    >>> features = np.array([[1.0], [2.0], [4.0]])
    >>> batch = labelnext.select(np.full((3, 2), 0.5), features, k=2, random_state=1)
    >>> batch
    Batch of 2 picks
      rank  row  pseudo-label  gradient norm   D²  potential
         1    2             0          2.828    8        6.5
         2    0             0         0.7071  4.5        0.5
    >>> batch[0].row, batch[:1].indices
    (2, array([2]))
    """

    indices: NDArray[np.int64]
    pseudo_labels: NDArray[Any] | None = None
    gradient_norms: NDArray[np.float64] | None = None
    d2: NDArray[np.float64] | None = None
    potentials: NDArray[np.float64] | None = None
    stats: Mapping[str, int] = field(default_factory=dict)
    scores: NDArray[np.float64] | None = None
    ids: NDArray[Any] | None = None
    groups: NDArray[Any] | None = None
    classes: tuple[Any, ...] | None = None
    # What it was chosen from, for reports: no field, and a batch that is kept does not keep it.
    _pool: ClassVar[weakref.ref[Pool] | None] = None

    def __post_init__(self) -> None:
        # Frozen through and through: a batch is a record of what happened.
        for column in COLUMNS:
            values = getattr(self, column.field)
            if values is not None:
                values = values.view()
                values.flags.writeable = False
                object.__setattr__(self, column.field, values)
        object.__setattr__(self, "stats", MappingProxyType(dict(self.stats)))
        if self.classes is not None:
            object.__setattr__(self, "classes", tuple(self.classes))

    def __reduce__(self) -> tuple[Any, ...]:
        values = [getattr(self, f.name) for f in fields(self)]
        return Batch, tuple(dict(v) if isinstance(v, MappingProxyType) else v for v in values)

    def __len__(self) -> int:
        return len(self.indices)

    def __iter__(self) -> Iterator[Pick]:
        return (self[rank] for rank in range(len(self)))

    @overload
    def __getitem__(self, rank: int) -> Pick: ...
    @overload
    def __getitem__(self, rank: slice) -> Batch: ...

    def __getitem__(self, rank: int | slice) -> Pick | Batch:
        if isinstance(rank, slice):
            start, stop, step = rank.indices(len(self))
            if start != 0 or step != 1:
                raise IndexError(
                    "Only the start of a batch is a batch, as in batch[:50]; for other picks "
                    "slice a column, as in batch.indices[10:20]."
                )
            start_of = {c.field: getattr(self, c.field)[:stop] for c in self._known()}
            return replace(self, **start_of)._of(self._pool)
        place = range(len(self))[rank]
        return Pick(place + 1, **{c.name: self._value(c, place) for c in self._known()})

    def _known(self) -> list[Column]:
        return [column for column in COLUMNS if getattr(self, column.field) is not None]

    def _value(self, column: Column, place: int) -> Any:
        """Return one cell as plain Python: numbers, names of classes, or a tuple of them."""
        value = getattr(self, column.field)[place]
        if column.name == "pseudo_label":
            names = self.classes or range(max(2, np.size(value), int(np.max(value, initial=0)) + 1))
            if np.ndim(value):
                return tuple(names[label] for label in np.flatnonzero(value).tolist())
            return names[int(value)]
        return value.item() if isinstance(value, np.generic) else value

    def described(self, pool: Pool) -> Batch:
        """Return the batch with what a pool knows of its picks: ids, groups and class names."""
        known: dict[str, Any] = {}
        if "ids" in pool.known:
            known["ids"] = pool.ids_of(self.indices)
        if "groups" in pool.known:
            # In files those of the picks alone are read.
            groups: Any = pool.groups if pool.source.in_memory else pool[self.indices].groups
            known["groups"] = groups[self.indices] if pool.source.in_memory else groups
        if pool.classes is not None:
            known["classes"] = pool.classes.tolist()
        return (replace(self, **known) if known else self)._of(weakref.ref(pool))

    def _of(self, pool: weakref.ref[Pool] | None) -> Batch:
        object.__setattr__(self, "_pool", pool)
        return self

    def to_dict(self) -> dict[str, NDArray[Any]]:
        """Return arrays of the columns that are known, by their names in `Pick`."""
        columns: dict[str, NDArray[Any]] = {"rank": np.arange(1, len(self) + 1)}
        for column in self._known():
            values = getattr(self, column.field)
            if column.name == "pseudo_label" and self.classes is not None and values.ndim == 1:
                values = np.array([self.classes[label] for label in values], dtype=object)
            columns[column.name] = values
        return columns

    def to_lists(self) -> dict[str, list[Any]]:
        """Return the columns as lists of plain Python values, several labels as a list."""
        columns: dict[str, list[Any]] = {"rank": list(range(1, len(self) + 1))}
        for column in self._known():
            values = [self._value(column, place) for place in range(len(self))]
            columns[column.name] = [list(v) if isinstance(v, tuple) else v for v in values]
        return columns

    def to_pandas(self) -> pandas.DataFrame:
        """Return the batch as a pandas frame, a row a pick; needs pandas installed."""
        frame: pandas.DataFrame = _library("pandas").DataFrame(self._frame())
        return frame

    def to_polars(self) -> polars.DataFrame:
        """Return the batch as a polars frame, a row a pick; needs polars installed."""
        frame: polars.DataFrame = _library("polars").DataFrame(self._frame())
        return frame

    def _frame(self) -> dict[str, Any]:
        """Return arrays where a column is one, lists where a cell holds several values."""
        lists = self.to_lists()
        return {n: lists[n] if v.ndim == 2 else v for n, v in self.to_dict().items()}

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        """Write the batch to a file, which appears whole or not at all; links are followed.

        Parameters
        ----------
        path : str or path-like
            Ends in ``.csv``, ``.json`` (a list of records), ``.jsonl`` (a record on each line) or
            ``.parquet``.
        overwrite : bool, default=False
            Whether to replace a file that exists.

        Raises
        ------
        ValueError
            If the ending is another, or a text holds half of a character.
        FileExistsError, OSError
            If the file exists and `overwrite` is False, or it cannot be written there.
        """
        path = Path(path)
        if path.suffix.lower() not in FORMATS:
            raise ValueError(
                f"The name of a batch's file must end in {', '.join(FORMATS)}, got {str(path)!r}."
            )
        with _place(path, overwrite):
            content = file_of(self.to_lists(), path.suffix.lower())
            write_whole(path, content, overwrite=overwrite)

    def report(
        self,
        path: str | os.PathLike[str],
        *,
        samples: Any = None,
        pool: Pool | None = None,
        exclude: ArrayLike | None = None,
        overwrite: bool = False,
    ) -> None:
        """Write a page to look at the batch, which needs no network and appears whole or not.

        It has the map of the pool (two directions of its features, by PCA), on which pointing at
        a pick shows its sample, id, class and rank; the same map by class, by probability and by
        what is labelled; what is left to cover; and the table.

        Parameters
        ----------
        path : str or path-like
            Ends in ``.html``.
        samples : sequence, array, frame, dict, str or path-like, default=None
            What people see: a list of texts or of paths of pictures, an array of pictures, or a
            frame, one for each row of the pool, in its order; a dict by id; a table (``.csv``,
            ``.tsv``, ``.parquet``, ``.jsonl``, ``.txt``), whose column ``id`` is used if both have
            ids; or a folder with pictures named by ids.
        pool : Pool, default=None
            What the batch was chosen from. Only needed if that pool is gone, as after
            ``select(proba, features, k)`` or in another process.
        exclude : array-like of int, default=None
            Rows that were excluded, drawn as those that are labelled.
        overwrite : bool, default=False
            Whether to replace a file that exists.

        Raises
        ------
        ValueError
            If the ending is another, the pool is gone, or samples do not fit it.
        FileExistsError, OSError
            If the file exists and `overwrite` is False, or it cannot be written there.
        """
        path = Path(path)
        if path.suffix.lower() != ".html":
            raise ValueError(f"The name of a report must end in .html, got {str(path)!r}.")
        content = self._page(pool, samples, exclude)
        with _place(path, overwrite):
            write_whole(path, content, overwrite=overwrite)

    def _page(self, pool: Pool | None, samples: Any, exclude: ArrayLike | None) -> bytes:
        from labelnext.sampling.report import batch_page

        if pool is None and self._pool is not None:
            pool = self._pool()
        if pool is None:
            raise ValueError(
                "A report shows the pool, and the one that this batch was chosen from is gone; "
                "keep it in a variable, or pass it: report(path, pool=labelnext.Pool(...))."
            )
        if len(self.indices) and self.indices.max() >= pool.n_rows:
            raise ValueError(
                f"pool has {pool.n_rows:,} rows, and the batch has row {self.indices.max():,}; "
                "pass the pool that it was chosen from."
            )
        titles = {column.name: column.title for column in COLUMNS}
        return batch_page(self.to_lists(), titles, pool, samples=samples, exclude=exclude)

    def _cells(self) -> tuple[list[str], list[list[str]]]:
        """Return the heading and the rows to show, as text."""
        header = ["rank", *(column.title for column in self._known())]
        rows = [
            [str(pick.rank), *(_cell(getattr(pick, column.name)) for column in self._known())]
            for rank, pick in enumerate(self)
            if len(self) <= SHOWN or min(rank, len(self) - 1 - rank) < SHOWN // 2
        ]
        if len(self) > SHOWN:
            rows.insert(SHOWN // 2, ["⋮"] * len(header))
        return header, rows

    def _title(self) -> str:
        return f"Batch of {len(self)} pick{'s' * (len(self) != 1)}"

    def __repr__(self) -> str:
        header, rows = self._cells()
        widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
        lines = (
            "  " + "  ".join(cell.rjust(w) for cell, w in zip(cells, widths, strict=True))
            for cells in (header, *rows)
        )
        return "\n".join([self._title(), *lines])

    def _repr_html_(self) -> str:
        import html

        header, rows = self._cells()
        head = "".join(f"<th>{html.escape(name)}</th>" for name in header)
        body = "".join(
            "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>"
            for row in rows
        )
        return (
            f"<table><caption>{self._title()}</caption><thead><tr>{head}</tr></thead>"
            f"<tbody>{body}</tbody></table>"
        )


@contextmanager
def _place(path: Path, overwrite: bool) -> Iterator[None]:
    """Refuse a place that cannot be written, or a file that is not to be replaced."""
    try:
        with writing(str(path), "make room, or choose another place."):
            check_place(path)
            if path.exists() and not overwrite:
                raise FileExistsError
            yield
    except FileExistsError:
        raise FileExistsError(f"{path} exists already; replace it with overwrite=True.") from None


def _library(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ImportError(
            f"to_{name} needs {name}: pip install {name}; or use to_dict()."
        ) from error


def _cell(value: Any) -> str:
    if isinstance(value, tuple):
        return printable(" ".join(map(str, value))) or "none"
    return f"{value:.4g}" if isinstance(value, float) else printable(value)


def file_of(columns: Columns, suffix: str) -> bytes:
    """Lay columns out as the content of a file of one of the `FORMATS`."""
    try:
        if suffix == ".parquet":
            return _parquet(columns)
        if suffix == ".csv":
            return as_csv({n: [_as_text(v) for v in values] for n, values in columns.items()})
        records = list(_records(columns))
        if suffix == ".jsonl":
            return "".join(f"{record}\n" for record in records).encode()
        return ("[\n" + ",\n".join(records) + "\n]\n").encode()
    except UnicodeEncodeError as error:
        near = error.object[max(0, error.start - 20) : error.end + 20]
        raise ValueError(
            f"{near!r} holds half of a character (a lone surrogate), which no file can; correct "
            "the text that it comes from."
        ) from None


def _parquet(columns: Columns) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = io.BytesIO()
    pq.write_table(pa.table({name: _arrow(values) for name, values in columns.items()}), sink)
    return sink.getvalue()


def _arrow(values: Sequence[Any]) -> Any:
    """Return a column of Parquet: whole numbers in 64 bits, larger or mixed ones as texts."""
    import pyarrow as pa

    values = list(values)
    for kind in (None, pa.uint64()):
        try:
            return pa.array(values, kind)
        except (OverflowError, pa.ArrowInvalid, pa.ArrowTypeError):
            pass
    return pa.array([value if value is None else str(_as_text(value)) for value in values])


def _records(columns: Columns) -> Iterator[str]:
    return (
        json.dumps(dict(zip(columns, row, strict=True)), ensure_ascii=False, default=str)
        for row in zip(*columns.values(), strict=True)
    )


def _as_text(value: Any) -> Any:
    """Return one cell of CSV: of several labels their names, with a space between."""
    return " ".join(map(str, value)) if isinstance(value, list) else value
