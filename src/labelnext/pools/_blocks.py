"""Sources whose rows come in blocks that must be decoded whole: row groups, chunks."""

from __future__ import annotations

import threading
from abc import abstractmethod
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import numpy as np

from labelnext.pools.source import Part, Source

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

# Bytes of decoded blocks of either part that are kept.
CACHE_BYTES = 1 << 25


class BlockSource(Source):
    """Blocks, the last of which are kept decoded: many reads may come of one.

    Of each part at least the last block is kept, however large.

    Parameters
    ----------
    edges : dict of ndarray of int64
        Where the blocks of proba, features and maybe ids begin, from 0 to the number of rows.
    """

    cache_bytes: int
    """Bytes of decoded blocks of either part that may be kept; it may be set."""

    def __init__(self, edges: Mapping[str, NDArray[np.int64]]) -> None:
        self._edges = dict(edges)
        self.n_rows = int(self._edges["features"][-1])
        self.cuts = self._edges["features"]
        self.cache_bytes = CACHE_BYTES
        self._forget()

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in self.__dict__.items() if k not in ("_blocks", "_locks")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._forget()

    def read(self, part: Part, lo: int, hi: int) -> NDArray[Any]:
        """Read rows lo to hi of one part."""
        out = np.empty((hi - lo, self.width(part)), self.dtypes[part])
        edges = self._edges[part]
        row, block = lo, int(np.searchsorted(edges, lo, "right")) - 1
        while row < hi:
            start, stop = int(edges[block]), min(hi, int(edges[block + 1]))
            out[row - lo : stop - lo] = self._block(part, block)[row - start : stop - start]
            row, block = stop, block + 1
        return out

    def take(self, part: Part, rows: NDArray[np.int64]) -> NDArray[Any]:
        """Read some rows of one part, in the order asked for; each block is decoded once."""
        return self._take(part, rows, np.empty((len(rows), self.width(part)), self.dtypes[part]))

    def ids(self, rows: NDArray[np.int64] | None = None) -> Any:
        """Read the ids of some rows, or of all; None if there are none."""
        if "ids" not in self._edges:
            return None
        rows = np.arange(self.n_rows) if rows is None else rows
        if not len(rows):
            return self._block("ids", 0)[:0]
        first = int(np.searchsorted(self._edges["ids"], rows[0], "right")) - 1
        return self._take("ids", rows, np.empty(len(rows), self._block("ids", first).dtype))

    @abstractmethod
    def _decode(self, part: str, block: int) -> NDArray[Any]:
        """Read a block of proba, features or ids."""

    def _take(self, part: str, rows: NDArray[np.int64], out: NDArray[Any]) -> NDArray[Any]:
        edges = self._edges[part]
        of = np.searchsorted(edges, rows, "right") - 1
        order = np.argsort(of, kind="stable")
        for places in np.split(order, np.flatnonzero(np.diff(of[order])) + 1):
            if len(places):
                block = int(of[places[0]])
                out[places] = self._block(part, block)[rows[places] - edges[block]]
        return out

    def _block(self, part: str, block: int) -> NDArray[Any]:
        """Return a block as it was kept, or decode it."""
        with self._locks[part]:
            kept = self._blocks[part]
            found = kept.pop(block, None)
            if found is None:
                found = self._decode(part, block)
            kept[block] = found
            while len(kept) > 1 and sum(each.nbytes for each in kept.values()) > self.cache_bytes:
                kept.popitem(last=False)
        return found

    def _forget(self) -> None:
        self._locks = {part: threading.Lock() for part in self._edges}
        self._blocks: dict[str, OrderedDict[int, NDArray[Any]]] = {
            part: OrderedDict() for part in self._edges
        }
