"""The pool of ``labelnext select``: its parts, read and found to belong together."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from labelnext.cli._arrays import names_in, read_array
from labelnext.cli._errors import InputError
from labelnext.cli._ids import Ids, check_unique, read_ids, rows_of
from labelnext.cli._sources import ID_SUFFIXES, Source, parse_source
from labelnext.pools.names import IDS

if TYPE_CHECKING:
    from labelnext.engine import Gradients


@dataclass(frozen=True)
class Pool:
    """Probabilities, features and ids, row by row, and the rows not to be chosen."""

    proba: Any
    features: Any
    ids: Ids
    excluded: NDArray[np.int64]

    @property
    def n_rows(self) -> int:
        return len(self.ids)

    @property
    def n_left(self) -> int:
        return self.n_rows - len(self.excluded)

    def names(self, rows: Sequence[int]) -> list[Any]:
        """Return the ids of some rows."""
        return [self.ids[row] for row in rows]

    def gradients(self, *, bias: bool) -> "Gradients":
        """Make a pool of gradients of the arrays."""
        from labelnext.engine import as_gradients

        return as_gradients(self.proba, self.features, bias=bias)


def find_ids(ids: str | None, pool: Path | None) -> Source | None:
    """Find the ids: those asked for, or the pool file's, if it has any."""
    if ids is not None:
        return parse_source(ids, "--ids", usual=IDS, suffixes=ID_SUFFIXES, pool=pool)
    if pool is None:
        return None
    own = Source(pool, None, IDS, "--ids")
    found = [name for name in IDS if name in names_in(own)]
    return Source(pool, found[0], IDS, "--ids") if found else None


def read_pool(proba: Source, features: Source, ids: Source | None, exclude: list[Source]) -> Pool:
    """Read the pool and check that its parts belong together."""
    p, h = read_array(proba), read_array(features)
    n = p.shape[0] if p.ndim else 0
    if n == 0:
        raise InputError(f"--proba {proba}: the pool is empty; it needs a row for each sample")
    names: Ids = range(n) if ids is None else read_ids(ids)
    for source, length in ((features, h.shape[0] if h.ndim else 0), (ids, len(names))):
        if length != n:
            raise InputError(
                f"{proba} has {n:,} rows and {source} has {length:,}; "
                "they must have one for each sample, in the same order"
            )
    if ids is not None:
        check_unique(names, ids)
    excluded = [value for source in exclude for value in read_ids(source)]
    return Pool(p, h, names, rows_of(excluded, names, "--exclude"))
