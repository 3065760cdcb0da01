"""A pool of consecutive parts, each any pool with its own D², wherever they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from labelnext.engine._base import Gradients
from labelnext.engine._factors import Factors
from labelnext.engine._parts import LocalParts, Parts
from labelnext.engine._stored import PlainForm, StoredRows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from labelnext.engine._base import D2
    from labelnext.engine._parts import About


@dataclass(frozen=True)
class Elsewhere:
    """What an array is like that is in parts, in other places."""

    shape: tuple[int, int]
    dtype: np.dtype[Any] | str


class ShardedGradients(Gradients):
    """A pool cut into consecutive parts, each with its own D².

    Whoever chooses the batch holds the centres, sums and rows that were drawn, never an array as
    long as the pool. The batch is that of the pool in one piece, for the same seed.

    Parameters
    ----------
    parts : sequence of Gradients, or Parts
        The parts in order: pools of this process, or how to call them where they are.

    Raises
    ------
    ValueError
        If the parts are not of one pool: other columns, dtypes, task or bias.

    Examples
    --------
    >>> import numpy as np
    >>> import labelnext
    >>> from labelnext.engine import ShardedGradients, as_gradients
    >>> proba, features = np.full((4, 2), 0.5), np.array([[1.0], [2.0], [4.0], [3.0]])
    >>> pool = ShardedGradients(
    ...     [as_gradients(proba[:1], features[:1]), as_gradients(proba[1:], features[1:])]
    ... )
    >>> pool
    ShardedGradients of 4 rows: multiclass, 2 classes, 1 features in float64, on 2 parts on cpu
    >>> labelnext.select(pool, 2, random_state=0).indices
    array([2, 0])
    """

    def __init__(self, parts: Sequence[Gradients] | Parts) -> None:
        self.parts = parts if isinstance(parts, Parts) else LocalParts(parts)
        every = range(self.parts.n_parts)
        answers = self.parts.call("about", dict.fromkeys(every, ()))
        abouts: list[About] = [answers[i] for i in every]
        check_alike(abouts)
        first = abouts[0]
        sizes = [about.n_rows for about in abouts]
        self.starts: NDArray[np.int64] = np.cumsum([0, *sizes])
        self.n_rows = int(self.starts[-1])
        self.n_classes, self.bias, self.task = first.n_classes, first.bias, first.task
        self.proba, self.features = (
            Elsewhere((self.n_rows, width), dtype)
            for width, dtype in zip(first.widths, first.dtypes, strict=True)
        )
        devices = ", ".join(dict.fromkeys(about.device for about in abouts))
        self.device = f"{len(abouts)} part{'s' * (len(abouts) > 1)} on {devices}"
        self._form = _joined([about.form for about in abouts], sizes)
        # The rows of the latest draw come with their numbers, and are asked for next.
        self.drawn: tuple[NDArray[np.int64], StoredRows] | None = None

    @property
    def form(self) -> PlainForm:
        return self._form

    def stored(self, rows: NDArray[np.int64]) -> StoredRows:
        if self.drawn is not None and np.array_equal(rows, self.drawn[0]):
            return self.drawn[1]
        part_of = np.searchsorted(self.starts, rows, side="right") - 1
        # Of no rows the first part tells what they look like.
        wanted = by_part(part_of, rows) or {0: rows}
        answers = self.parts.call("stored", {i: (some,) for i, some in wanted.items()})
        stored: StoredRows = in_order(answers, part_of)
        return stored

    def factors_of(self, stored: StoredRows) -> Factors:
        return SentFactors.of(self.form.factors_of(stored), stored)

    def gather(self, rows: NDArray[np.int64]) -> Factors:
        return self.factors_of(self.stored(rows))

    def start(self, exclude: NDArray[np.int64]) -> D2:
        from labelnext.engine._sharded_d2 import ShardedD2

        return ShardedD2(self, exclude)


def check_alike(abouts: list[About]) -> None:
    """Refuse parts that cannot be of one pool."""
    names = {
        "widths": "numbers of columns (probabilities, features)",
        "dtypes": "dtypes (probabilities, features)",
        "sparse": "kinds of features (sparse or not)",
        "task": "tasks",
        "bias": "biases",
    }
    first = abouts[0]
    for field, name in names.items():
        for i, about in enumerate(abouts):
            expected, got = getattr(first, field), getattr(about, field)
            if got != expected:
                raise ValueError(
                    f"All parts of a pool must be alike, but part 0 and part {i} have different "
                    f"{name}: {expected} and {got}; store both in the same way."
                )


def _joined(forms: list[PlainForm], sizes: list[int]) -> PlainForm:
    """Return one form for the rows of all parts: pruned, if any is, as the largest has it."""
    pruned = [i for i, form in enumerate(forms) if type(form) is not PlainForm]
    return forms[max(pruned or range(len(forms)), key=sizes.__getitem__)].joined(forms)


def by_part(part_of: NDArray[np.int64], values: NDArray[Any]) -> dict[int, NDArray[Any]]:
    """Sort values by the part that each is for, in the order of the parts."""
    return {int(i): values[part_of == i] for i in np.unique(part_of)}


def in_order(answers: dict[int, Any], part_of: NDArray[np.int64]) -> Any:
    """Put what `by_part` has taken apart together again."""
    blocks = [answers[i] for i in sorted(answers)]
    places = np.argsort(np.argsort(part_of, kind="stable"))
    if isinstance(blocks[0], StoredRows):
        whole = StoredRows.concatenate(blocks)
        return whole if len(blocks) == 1 else whole.take(places)
    return np.concatenate(blocks)[places]


@dataclass(frozen=True)
class SentFactors(Factors):
    """Factors that keep their rows as these are stored, to be sent to all parts."""

    inner: Any
    stored: StoredRows

    @classmethod
    def of(cls, inner: Factors, stored: StoredRows) -> SentFactors:
        """Keep stored rows with their factors."""
        return cls(inner.residuals, inner.features, inner.pseudo_labels, inner.bias, inner, stored)

    def __getitem__(self, rows: slice | NDArray[Any]) -> SentFactors:
        return SentFactors.of(self.inner[rows], self.stored.take(rows))

    @classmethod
    def concatenate(cls, blocks: list[Any]) -> SentFactors:
        inner = type(blocks[0].inner).concatenate([block.inner for block in blocks])
        return cls.of(inner, StoredRows.concatenate([block.stored for block in blocks]))

    def lower(self, d2: NDArray[np.float64], centres: Any) -> None:
        self.inner.lower(d2, centres.inner)

    def lower_to_all(self, d2: NDArray[np.float64], blocks: list[Any]) -> None:
        self.inner.lower_to_all(d2, [block.inner for block in blocks])

    def distances_within(self, below: NDArray[np.float64]) -> NDArray[np.float64]:
        distances: NDArray[np.float64] = self.inner.distances_within(below)
        return distances
