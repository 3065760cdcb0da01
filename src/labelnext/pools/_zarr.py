"""A Zarr group as a source: an array for each part, chunk by chunk."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any

import numpy as np

from labelnext.pools._blocks import BlockSource
from labelnext.pools._files import told
from labelnext.pools.check import check_shape, refuse_dtype
from labelnext.pools.known import as_ids
from labelnext.pools.names import FEATURES, IDS, PROBA, pick
from labelnext.pools.source import PARTS, digest_of
from labelnext.utils.extras import require

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from labelnext.pools._files import Files
    from labelnext.pools.names import Wanted

# Bytes of the chunks that are decoded together, if one chunk has fewer.
TOGETHER = 1 << 22
# Blocks of either part that are looked at to tell one pool from another.
SAMPLED = 3


class ZarrSource(BlockSource):
    """Arrays of a group.

    Parameters
    ----------
    name : str
        What messages call it.
    files : Files
        Where the group is.
    place : str
        Its path there.
    names : dict of str
        What the arrays of proba, features and maybe ids are called.
    """

    def __init__(self, name: str, files: Files, place: str, names: Mapping[str, str]) -> None:
        self.name = name
        self._files, self._place, self._names = files, place, dict(names)
        self._arrays = self._open()
        self._check()
        super().__init__({part: _edges(array) for part, array in self._arrays.items()})
        self.dtypes = {part: self._arrays[part].dtype.newbyteorder("=") for part in PARTS}
        self.one_dimensional = self._arrays["proba"].ndim == 1
        self.n_columns = 1 if self.one_dimensional else self._arrays["proba"].shape[1]
        self.n_features = self._arrays["features"].shape[1]

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in super().__getstate__().items() if k != "_arrays"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._arrays = self._open()

    def where(self, row: int) -> str:
        """Say which row of the arrays a row is."""
        return f"row {row} of {self._place}/{self._names['proba']}"

    def fingerprint(self) -> str:
        """Return a digest of shapes and dtypes, and of some of the chunks."""
        known = []
        for part in PARTS:
            edges = self._edges[part]
            blocks = np.unique(np.linspace(0, len(edges) - 2, SAMPLED).astype(np.int64)).tolist()
            sums = [zlib.crc32(self._decode(part, block).data) for block in blocks]
            known.append((self._arrays[part].shape, self.dtypes[part].str, sums))
        return digest_of(*known)

    def _open(self) -> dict[str, Any]:
        group = open_group(self._files, self._place)
        return {part: group[name] for part, name in self._names.items()}

    def _decode(self, part: str, block: int) -> NDArray[Any]:
        lo, hi = self._edges[part][block : block + 2].tolist()
        try:
            with told(self._place):
                rows = np.asarray(self._arrays[part][lo:hi])
        except (FileNotFoundError, PermissionError):
            raise
        except (OSError, ValueError, RuntimeError) as error:
            raise ValueError(
                f"Cannot read rows {lo} to {hi} of {self._place}/{self._names[part]}: "
                f"{' '.join(str(error).split()).rstrip('.')}; a chunk may be cut short: write or "
                "copy it again."
            ) from None
        if part == "ids":
            return as_ids(rows)
        return np.ascontiguousarray(rows.reshape(hi - lo, -1), rows.dtype.newbyteorder("="))

    def _check(self) -> None:
        """Refuse arrays that are no pool."""
        for part in PARTS:
            where = f"{self._place}/{self._names[part]}"
            refuse_dtype(self._arrays[part].dtype, where)
            check_shape(self._arrays[part].shape, part, f" in {where}")
        n_rows = self._arrays["proba"].shape[0]
        for what, array in self._arrays.items():
            if what == "ids" and array.ndim != 1:
                raise TypeError(
                    f"{self._place}/{self._names[what]} must hold ids in one dimension, got shape "
                    f"{array.shape}."
                )
            if array.shape[0] != n_rows:
                raise ValueError(
                    f"{self._place}: {self._names['proba']} has {n_rows:,} rows and "
                    f"{self._names[what]} has {array.shape[0]:,}; they must have one for each "
                    "sample, in the same order."
                )


def open_zarr(name: str, files: Files, place: str, wanted: Wanted) -> ZarrSource:
    """Open a Zarr group.

    Raises
    ------
    ImportError
        If zarr is not installed.
    ValueError
        If it is damaged or no group, or arrays are missing or do not line up.
    TypeError
        If they do not hold real numbers.
    """
    there = list(open_group(files, place).array_keys())
    names = {
        "proba": pick(wanted[0], PROBA, there, name),
        "features": pick(wanted[1], FEATURES, there, name),
    }
    if wanted[2] is not None or set(there) & set(IDS):
        names["ids"] = pick(wanted[2], IDS, there, name)
    return ZarrSource(name, files, place, names)


def open_group(files: Files, place: str) -> Any:
    """Open a group for reading only, or say why it is none."""
    zarr = require("zarr", extra="zarr", what=f"Reading {place}")
    try:
        with told(place):
            return zarr.open_group(files.zarr_store(place), mode="r")
    except (FileNotFoundError, PermissionError):
        raise
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ValueError(
            f"{place} is no Zarr group that can be read ({' '.join(str(error).split())}); "
            "expected one with an array for the probabilities and one for the features."
        ) from None


def _edges(array: Any) -> NDArray[np.int64]:
    row_bytes = max(1, array.dtype.itemsize * int(np.prod(array.shape[1:])))
    chunk = array.chunks[0]
    step = chunk * max(1, TOGETHER // (chunk * row_bytes))
    return np.append(np.arange(0, array.shape[0], step), array.shape[0])
