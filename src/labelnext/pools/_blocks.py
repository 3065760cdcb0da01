"""Sources whose rows come in blocks that must be decoded whole: row groups, chunks."""

from __future__ import annotations

import threading
from abc import abstractmethod
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelnext.pools.source import Known, Part, Source, by_block

# Bytes of decoded blocks of either part that are kept.
CACHE_BYTES = 1 << 25


class BlockSource(Source):
    """Blocks, the last of which are kept decoded; `edges` are where those of each part begin."""

    cache_bytes: int  # of decoded blocks of either part that may be kept

    def __init__(self, edges: Mapping[str, NDArray[np.int64]]) -> None:
        self._edges = dict(edges)
        self.cuts = self._edges.get("features", next(iter(self._edges.values())))
        self.n_rows = int(self.cuts[-1])
        self.cache_bytes = CACHE_BYTES
        self._forget()

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in self.__dict__.items() if k not in ("_blocks", "_locks")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._forget()

    def read(self, part: Part, lo: int, hi: int) -> NDArray[Any]:
        out = np.empty((hi - lo, self.width(part)), self.dtypes[part])
        edges = self._edges[part]
        row, block = lo, int(np.searchsorted(edges, lo, "right")) - 1
        while row < hi:
            start, stop = int(edges[block]), min(hi, int(edges[block + 1]))
            out[row - lo : stop - lo] = self._block(part, block)[row - start : stop - start]
            row, block = stop, block + 1
        return out

    def take(self, part: Part, rows: NDArray[np.int64]) -> NDArray[Any]:
        out = np.empty((len(rows), self.width(part)), self.dtypes[part])
        for block, places, inside in by_block(self._edges[part], rows):
            out[places] = self._block(part, block)[inside]
        return out

    def known(self, what: Known, rows: NDArray[np.int64] | None = None) -> Any:
        if what not in self._edges:
            return None
        rows = np.arange(self.n_rows) if rows is None else rows
        if not len(rows):
            return self._block(what, 0)[:0]
        blocks = list(by_block(self._edges[what], rows))
        # One block may hold whole numbers, and another missing ones, which are NaN.
        values = np.concatenate([self._block(what, block)[inside] for block, _, inside in blocks])
        out = np.empty_like(values)
        out[np.concatenate([places for _, places, _ in blocks])] = values
        return out

    def has(self, what: Known) -> bool:
        return what in self._edges

    @abstractmethod
    def _decode(self, part: str, block: int) -> NDArray[Any]:
        """Read a block of a part, or of ids, groups or labels."""

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
