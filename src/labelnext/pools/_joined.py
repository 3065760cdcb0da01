"""Parts, ids, groups and labels that are in several files, as one source."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from labelnext.pools.arrays import ArraySource
from labelnext.pools.source import KNOWN, PARTS, Known, Part, Source, digest_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray


def joined(sources: Mapping[str, Source]) -> Source:
    """Return one source of those of each part, and of ids, groups and labels, row by row."""
    distinct = list(dict.fromkeys(sources.values()))
    first, *others = distinct
    for other in others:
        if other.n_rows != first.n_rows:
            raise ValueError(
                f"{first.name} has {first.n_rows:,} rows and {other.name} has {other.n_rows:,}; "
                "they must have one for each sample, in the same order."
            )
    if not others:
        return first
    parts = [part for part in PARTS if part in sources]
    # Sparse features and committees are read from memory alone, so the other part comes there too.
    if all(sources[p].in_memory for p in parts) or any(
        sources[p].sparse or sources[p].n_members is not None for p in parts
    ):
        arrays = {part: sources[part].array(part) for part in parts}
        name = " and ".join(dict.fromkeys(sources[part].name for part in parts))
        whole = ArraySource(**arrays, name=name)
        return whole.with_known({w: sources[w].known(w) for w in KNOWN if w in sources})
    return JoinedSource(sources)


class JoinedSource(Source):
    """Parts, ids, groups and labels of several sources of as many rows each."""

    def __init__(self, sources: Mapping[str, Source]) -> None:
        self._sources = dict(sources)
        proba, features = (sources.get(part) for part in PARTS)
        there: dict[Part, Source] = {part: sources[part] for part in PARTS if part in sources}
        self._main = next(iter(there.values()))
        distinct = list(dict.fromkeys(there.values()))
        self.name = " and ".join(source.name for source in distinct)
        self.n_rows = self._main.n_rows
        self.n_columns = 0 if proba is None else proba.n_columns
        self.n_features = 0 if features is None else features.n_features
        self.dtypes = {part: source.dtypes[part] for part, source in there.items()}
        self.cuts = max((source.cuts for source in distinct), key=len)
        if proba is not None:
            self.stored_as, self.one_dimensional = proba.stored_as, proba.one_dimensional
        for source in reversed(list(dict.fromkeys(sources.values()))):
            self.task = self.task if source.task is None else source.task
            self.bias = self.bias if source.bias is None else source.bias
            self.classes = self.classes if source.classes is None else source.classes
            self.unused = self.unused or source.unused

    def read(self, part: Part, lo: int, hi: int) -> NDArray[Any]:
        """Read rows lo to hi of one part."""
        return self._sources[part].read(part, lo, hi)

    def take(self, part: Part, rows: NDArray[np.int64]) -> NDArray[Any]:
        """Read some rows of one part, in the order asked for."""
        return self._sources[part].take(part, rows)

    def known(self, what: Known, rows: NDArray[np.int64] | None = None) -> Any:
        """Return ids, groups or labels of some rows, or of all; None if there are none."""
        return self._sources[what].known(what, rows) if what in self._sources else None

    @property
    def last_layer(self) -> Any:
        """The weights of the last layer and its bias, of the first source that has them."""
        found = (source.last_layer for source in self._sources.values())
        return next((layer for layer in found if layer is not None), None)

    def where(self, row: int) -> str:
        """Say where a row of the first part is."""
        return self._main.where(row)

    def fingerprint(self) -> str:
        """Return a digest of all of them."""
        return digest_of(*(source.fingerprint() for source in self._sources.values()))
