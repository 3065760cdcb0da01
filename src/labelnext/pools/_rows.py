"""Sources whose rows can each be read by themselves: one .npy file a part, or many."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from labelnext.pools._files import some_bytes
from labelnext.pools.known import as_ids
from labelnext.pools.source import PARTS, Part, Source, digest_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from labelnext.pools._files import Files
    from labelnext.pools._npy import NpyFile


class RowsSource(Source):
    """Shards of .npy files, one for each part, that were found to fit together.

    Parameters
    ----------
    name : str
        What messages call it.
    files : Files
        Where the files are.
    parts : dict of lists of NpyFile
        The shards of either part, as many rows each.
    ids : list of NpyFile or None
        The ids of each shard.
    """

    def __init__(
        self,
        name: str,
        files: Files,
        parts: Mapping[Part, Sequence[NpyFile]],
        ids: Sequence[NpyFile] | None,
    ) -> None:
        self.name = name
        self._files, self._parts, self._ids = files, parts, ids
        lengths = [file.n_rows for file in parts["proba"]]
        self._starts = np.concatenate([[0], np.cumsum(lengths)])
        self.n_rows = int(self._starts[-1])
        first = {part: parts[part][0] for part in PARTS}
        self.n_columns, self.n_features = (first[part].width for part in PARTS)
        self.dtypes = {part: first[part].dtype.newbyteorder("=") for part in PARTS}
        self.one_dimensional = len(first["proba"].shape) == 1
        self.cuts = np.array([0, self.n_rows])

    def read(self, part: Part, lo: int, hi: int) -> NDArray[Any]:
        """Read rows lo to hi of one part."""
        out = np.empty((hi - lo, self.width(part)), self.dtypes[part])
        for shard, start, stop in self._stretches(lo, hi):
            first = int(self._starts[shard])
            rows = out[start - lo : stop - lo]
            self._parts[part][shard].read(self._files, start - first, rows)
            self._was_read(part, shard, start - first, rows)
        return out

    def take(self, part: Part, rows: NDArray[np.int64]) -> NDArray[Any]:
        """Read some rows of one part, in the order asked for."""
        out = np.empty((len(rows), self.width(part)), self.dtypes[part])
        self._take(self._parts[part], rows, out)
        return out

    def ids(self, rows: NDArray[np.int64] | None = None) -> Any:
        """Read the ids of some rows, or of all; None if there are none."""
        if self._ids is None:
            return None
        if rows is None:
            rows = np.arange(self.n_rows)
        # Strings may be stored in another width in each shard.
        dtype = max((file.dtype for file in self._ids), key=lambda dtype: dtype.itemsize)
        out = np.empty((len(rows), 1), dtype.newbyteorder("="))
        self._take(self._ids, rows, out)
        return as_ids(out[:, 0])

    def where(self, row: int) -> str:
        """Say in which file a row is, and which row of the file it is."""
        shard = int(np.searchsorted(self._starts, row, "right")) - 1
        return f"row {row - self._starts[shard]} of {self._parts['proba'][shard].path}"

    def fingerprint(self) -> str:
        """Return a digest of shapes, dtypes and some of the files' bytes."""
        files = [file for shards in (*self._parts.values(), self._ids or ()) for file in shards]
        known = [(f.shape, f.dtype.str, some_bytes(self._files, f.path)) for f in files]
        return digest_of(*known)

    def _take(self, shards: Sequence[NpyFile], rows: NDArray[np.int64], out: NDArray[Any]) -> None:
        of = np.searchsorted(self._starts, rows, "right") - 1
        order = np.argsort(of, kind="stable")
        for places in np.split(order, np.flatnonzero(np.diff(of[order])) + 1):
            if len(places):
                shard = int(of[places[0]])
                inside = rows[places] - self._starts[shard]
                shards[shard].take(self._files, inside, out, places)

    def _stretches(self, lo: int, hi: int) -> Iterator[tuple[int, int, int]]:
        """Cut rows lo to hi where shards begin: the shard, and its rows of the pool."""
        shard = int(np.searchsorted(self._starts, lo, "right")) - 1
        while lo < hi:
            stop = min(hi, int(self._starts[shard + 1]))
            yield shard, lo, stop
            lo, shard = stop, shard + 1

    def _was_read(self, part: Part, shard: int, first: int, rows: NDArray[Any]) -> None:
        """Look at rows that were read in order; of plain files nothing is known of them."""
