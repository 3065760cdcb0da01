"""Arrays and tensors in memory as a source; and parts that are in several places as one."""

from __future__ import annotations

import warnings
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelnext.pools.check import as_part, check_lengths, check_shape, common_device
from labelnext.pools.known import as_ids, check_length, decoded
from labelnext.pools.source import KNOWN, PARTS, Known, Part, Source, check_range, digest_of
from labelnext.utils.libraries import is_sparse, is_tensor, without_tensor
from labelnext.utils.memory import clear_if_out_of_memory
from labelnext.utils.text import counted

# How much of what is free on a GPU a pool may take; the rest is for a selection from it.
SHARE_OF_GPU = 0.8


class ArraySource(Source):
    """Probabilities and features that are arrays of this process, memory-mapped, or tensors.

    They are kept as they are, in any order of their numbers, and must not be changed while the
    source is in use.

    `proba` may have one dimension, P(y = 1), or three, those of a committee; `features` may be
    sparse; either may be missing.

    Examples
    --------
    >>> import numpy as np
    >>> from labelnext.pools import ArraySource
    >>> source = ArraySource(np.full((3, 2), 0.5), np.arange(3.0)[:, None], ids=["a", "b", "c"])
    >>> source
    ArraySource arrays: 3 rows, probabilities: 2 in float64, features: 1 in float64
    >>> source.take("features", np.array([2, 0]))
    array([[2.],
           [0.]])
    """

    in_memory = True

    def __init__(
        self, proba: Any = None, features: Any = None, ids: Any = None, name: str = "arrays"
    ) -> None:
        if proba is None and features is None:
            raise ValueError(
                "A pool needs probabilities, features or both: Pool(proba, features), "
                "Pool(features=...)."
            )
        self.device = common_device(proba, features)
        self._arrays: dict[Part, Any] = {}
        if proba is not None:
            p, self.stored_as = as_part("proba", proba)
            check_shape(p.shape, "proba", members=True)
            self.one_dimensional = p.ndim == 1
            self._arrays["proba"] = p[:, None] if p.ndim == 1 else p
        if features is not None:
            self._arrays["features"], _ = as_part("features", features)
            check_shape(self._arrays["features"].shape, "features")
        if len(self._arrays) == 2:
            check_lengths(*self._arrays.values())
        self._describe(name)
        self._known: dict[str, NDArray[Any]] = {}
        if ids is not None:
            self._known["ids"] = as_ids(ids)
            check_length("ids", self._known["ids"], self.n_rows)
        self._at: Any = range(self.n_rows)

    def _describe(self, name: str) -> None:
        p, h = self._arrays.get("proba"), self._arrays.get("features")
        self.name = name
        self.n_rows = int(p.shape[-2]) if p is not None else int(h.shape[0]) if h is not None else 0
        self.n_columns = 0 if p is None else int(p.shape[-1])
        self.n_members = int(p.shape[0]) if p is not None and p.ndim == 3 else None
        self.n_features = 0 if h is None else int(h.shape[1])
        self.sparse = is_sparse(h)
        self.dtypes = {
            part: array.dtype.newbyteorder("=")
            if isinstance(array.dtype, np.dtype)
            else array.dtype
            for part, array in self._arrays.items()
        }
        self.cuts = np.array([0, self.n_rows])

    def __getstate__(self) -> dict[str, Any]:
        # Of a tensor torch would send all memory that it is a view of.
        arrays = {
            part: array.clone()
            if is_tensor(array) and array.untyped_storage().nbytes() > array.nbytes
            else array
            for part, array in self._arrays.items()
        }
        return {**self.__dict__, "_arrays": arrays}

    def with_known(self, known: Mapping[Known, Any]) -> ArraySource:
        """Return the same arrays with ids, groups or labels as they are read of files."""
        source = self.chosen(slice(None))
        for what, values in known.items():
            check_length(what, values, self.n_rows)
            source._known[what] = decoded(what, values)
        return source

    @classmethod
    def of_known(cls, what: Known, values: Any, name: str) -> ArraySource:
        """Return a source of ids, groups or labels alone, as they are read of a file."""
        source = object.__new__(cls)
        source._arrays, source._known = {}, {what: decoded(what, values)}
        source._describe(name)
        source.n_rows = len(values)
        source._at = range(source.n_rows)
        return source

    def read(self, part: Part, lo: int, hi: int) -> Any:
        return self._ordered(part, self._cut(part, slice(lo, hi)))

    def take(self, part: Part, rows: NDArray[np.int64]) -> Any:
        return self._ordered(part, self._cut(part, rows))

    def array(self, part: Part) -> Any:
        """Return a whole part as it is."""
        return self._arrays[part]

    def known(self, what: Known, rows: NDArray[np.int64] | None = None) -> Any:
        found = self._known.get(what)
        return found if found is None or rows is None else found[rows]

    def where(self, row: int, part: Part | None = None) -> str:
        return f"row {self._at[row]} of {self.name}"

    def fingerprint(self) -> str:
        """Return a digest of shapes, dtypes and all numbers."""
        sums = []
        for part, whole in self._arrays.items():
            crc, stretches = 0, (self.read(part, lo, hi) for lo, hi in self.stretches())
            arrays = (whole.data, whole.indices, whole.indptr) if is_sparse(whole) else stretches
            for array in arrays:
                crc = zlib.crc32(np.ascontiguousarray(without_tensor(array)).data, crc)
            sums.append((tuple(whole.shape), crc))
        return digest_of(self.n_rows, self.dtypes, sums)

    def part(self, lo: int, hi: int) -> ArraySource:
        """Return rows lo to hi as a source of their own, which alone are sent where it is sent."""
        check_range(self, lo, hi)
        return self.chosen(slice(lo, hi))

    def chosen(self, rows: slice | NDArray[np.int64]) -> ArraySource:
        """Return some rows: of a slice, without a copy where the arrays are dense."""
        part = object.__new__(ArraySource)
        part.__dict__.update(self.__dict__)
        part._arrays = {name: self._cut(name, rows) for name in self._arrays}
        part._known = {what: values[rows] for what, values in self._known.items()}
        if isinstance(rows, slice):
            part._at = self._at[rows]
        else:
            part._at = np.asarray(self._at)[rows]
        part._describe(self.name)
        return part

    def moved(self, device: Any) -> ArraySource:
        """Return the same rows as tensors on a device, or on the CPU as arrays.

        What does not fit a GPU stays in the CPU's memory, and is brought there piece by piece.
        """
        if self.sparse:
            raise TypeError(
                "features are a SciPy sparse matrix, which stays on the CPU; make them dense, or "
                "select on the CPU."
            )
        return self._as_arrays() if device.type == "cpu" else self._as_tensors(device)

    def _as_arrays(self) -> ArraySource:
        moved = self.chosen(slice(None))
        for part, array in self._arrays.items():
            moved._arrays[part] = as_part(part, _as_tensor(part, array).cpu())[0]
        moved.device = "cpu"
        moved._describe(self.name)
        return moved

    def _as_tensors(self, device: Any) -> ArraySource:
        moved, room = self.chosen(slice(None)), _room_on(device)
        tensors = {part: _as_tensor(part, array) for part, array in self._arrays.items()}
        for part, tensor in sorted(tensors.items(), key=lambda item: item[1].nbytes):
            room -= tensor.nbytes
            whole = room > 0 or tensor.ndim == 3 or tensor.shape[1] == 1
            with clear_if_out_of_memory(
                device, f"a pool with {part} of {counted(tensor.nbytes, 'byte')}"
            ):
                moved._arrays[part] = tensor.to(device) if whole else InPieces(tensor, device)
        moved.device = device
        moved._describe(self.name)
        return moved

    def _cut(self, part: Part, rows: Any) -> Any:
        array = self._arrays[part]
        if isinstance(array, InPieces):
            return array[rows]
        if is_tensor(array) and not (isinstance(rows, slice) and (rows.step or 1) > 0):
            import torch

            numbers = np.arange(self.n_rows)[rows].copy()  # in ascending memory
            rows = torch.from_numpy(numbers).to(array.device)
        return array[:, rows] if array.ndim == 3 else array[rows]

    def _ordered(self, part: Part, values: Any) -> Any:
        if is_tensor(values) or is_sparse(values):
            return values
        return np.ascontiguousarray(values, dtype=self.dtypes[part])


class InPieces:
    """A tensor in the CPU's memory, of which rows are brought to a device as they are asked for."""

    ndim = 2

    def __init__(self, tensor: Any, device: Any) -> None:
        self.tensor, self.device = tensor, device
        self.shape, self.dtype, self.nbytes = tensor.shape, tensor.dtype, tensor.nbytes
        self.element_size = tensor.element_size
        self._latest: tuple[Any, Any] = None, None

    def detach(self) -> InPieces:
        """Return it as it is: it has no graph."""
        return self

    def __len__(self) -> int:
        return int(self.shape[0])

    def __getitem__(self, rows: Any) -> Any:
        if not isinstance(rows, slice):
            return self.tensor[rows.cpu() if is_tensor(rows) else rows].to(self.device)
        # A pass asks for the rows of a tile several times.
        if self._latest[0] != rows:
            self._latest = None, None
            self._latest = rows, self.tensor[rows].to(self.device)
        return self._latest[1]


def _as_tensor(part: Part, array: Any) -> Any:
    import torch

    if isinstance(array, InPieces):
        return array.tensor
    if is_tensor(array):
        return array
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it may not be written to, which nobody does
        try:
            return torch.from_numpy(np.asarray(array))
        except (TypeError, ValueError) as error:
            raise TypeError(
                f"{part} in {array.dtype} cannot be a tensor ({error}): make an array in C order "
                f"of it, as in numpy.ascontiguousarray({part}, dtype='float32')."
            ) from error


def _room_on(device: Any) -> float:
    """Return how many bytes of a pool a device may hold, and have room for a selection."""
    import torch

    if device.type != "cuda":
        return np.inf
    return SHARE_OF_GPU * torch.cuda.mem_get_info(device)[0]


def joined(sources: Mapping[str, Source]) -> Source:
    """Return one source of those of each part, and of ids, groups and labels, row by row."""
    distinct = list(dict.fromkeys(sources.values()))
    first, *others = distinct
    for other in others:
        if other.n_rows != first.n_rows:
            table = any(end in each.name for end in (".csv", ".tsv") for each in (first, other))
            blank = '; blank lines of a .csv or .tsv file are skipped, write "" into them' * table
            raise ValueError(
                f"{first.name} has {counted(first.n_rows, 'row')} and {other.name} has "
                f"{other.n_rows:,}; "
                f"they must have one for each sample, in the same order{blank}."
            )
    parts = [part for part in PARTS if part in sources]
    if not others and set(first.parts) <= {*parts}:
        return first
    # Sparse features and committees are read from memory alone, so the other part comes there too.
    if all(sources[p].in_memory for p in parts) or any(
        sources[p].sparse or sources[p].n_members is not None for p in parts
    ):
        arrays = {part: sources[part].array(part) for part in parts}
        name = " and ".join(dict.fromkeys(sources[part].name for part in parts))
        whole = ArraySource(**arrays, name=name)
        whole = whole.with_known({w: sources[w].known(w) for w in KNOWN if w in sources})
        return _told_by(whole, distinct)
    return JoinedSource(sources)


def _told_by(source: Source, sources: Sequence[Source]) -> Source:
    """Let a source know what those that it is made of say of the model; the first wins."""
    for each in reversed(sources):
        source.task = source.task if each.task is None else each.task
        source.bias = source.bias if each.bias is None else each.bias
        source.classes = source.classes if each.classes is None else each.classes
        source.unused = source.unused or each.unused
        source.taken = source.taken or each.taken
    return source


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
        _told_by(self, list(dict.fromkeys(sources.values())))

    def read(self, part: Part, lo: int, hi: int) -> NDArray[Any]:
        return self._sources[part].read(part, lo, hi)

    def take(self, part: Part, rows: NDArray[np.int64]) -> NDArray[Any]:
        return self._sources[part].take(part, rows)

    def known(self, what: Known, rows: NDArray[np.int64] | None = None) -> Any:
        return self._sources[what].known(what, rows) if what in self._sources else None

    @property
    def last_layer(self) -> Any:
        found = (source.last_layer for source in self._sources.values())
        return next((layer for layer in found if layer is not None), None)

    def where(self, row: int, part: Part | None = None) -> str:
        return self._sources.get(part or "", self._main).where(row, part)

    def fingerprint(self) -> str:
        """Return a digest of all of them."""
        return digest_of(*(source.fingerprint() for source in self._sources.values()))
