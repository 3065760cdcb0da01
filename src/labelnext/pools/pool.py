"""Pool: what samples are chosen from, as the rest of the library sees it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from labelnext.pools.arrays import ArraySource
from labelnext.pools.check import WITHOUT_PROBA, check_columns, refuse_proba_of
from labelnext.pools.known import (
    as_groups,
    as_labels,
    as_rows,
    check_ids,
    check_label_names,
    check_names,
    find_rows,
    some,
    stretches_of,
)
from labelnext.pools.source import (
    KNOWN,
    Known,
    Part,
    Source,
    StoredPart,
    TwoColumns,
    check_range,
    digest_of,
)
from labelnext.utils.given import TASKS, Task, check_task, refuse_other_order
from labelnext.utils.labels import MISSING_LABEL
from labelnext.utils.libraries import require, without_tensor
from labelnext.utils.memory import refuse_too_large
from labelnext.utils.text import counted


class Pool:
    """
    What samples are chosen from: what is known of each, wherever it lies.

    A pool has probabilities, features, or both, a row for each sample. It is light and never
    changes: arrays are kept as they are, neither copied nor changed, so they must not be changed
    while the pool is in use. `labelnext.open_pool` makes one of files, `labelnext.extract` of a
    network and its data. It can be cut (``pool[10:20]``, ``pool[mask]``), and pickled.

    Shapes and types are checked here; the values themselves, such as a NaN, when they are first
    read.

    Parameters
    ----------
    proba : array-like or torch.Tensor, default=None
        Probabilities, shape (n_rows, n_columns), of any real dtype. A single column, or one
        dimension, is P(y = 1) of a binary classifier. Three dimensions, (n_members, n_rows,
        n_columns), are the probabilities of each member of a committee.
    features : array-like, torch.Tensor or SciPy sparse, default=None
        The input of the model's last linear layer, or any embedding, of shape (n_rows,
        n_features) and any real dtype. CSR is used as it is; other sparse formats become CSR.
        Data frames are read by position. Tensors on a GPU stay there, and so does the work.
    ids : array-like of shape (n_rows,), default=None
        The samples' ids, all integers or all strings, each another. None stands for row numbers.
    groups : array-like of shape (n_rows,), default=None
        What each sample belongs to, such as its patient or its video: any hashable values.
    labels : array-like of shape (n_rows,) or (n_rows, n_labels), default=None
        The labels that are known, with `missing_label` where there is none.
    classes : array-like of shape (n_classes,), default=None
        The names of the classes, in the order of the columns of `proba`; with ``task="binary"``
        those for y = 0 and y = 1.
    task : str, default="multiclass"
        What the model's last layer ends in:

        - "multiclass", a softmax: each row sums to 1, and the gradient is that of the
          cross-entropy at the class of highest probability. A single column becomes two.
        - "multilabel", a sigmoid for each label: the gradient is that of the binary cross-entropy
          at the rounded labels.
        - "binary", one sigmoid: the same for one logit, with a single column.
        - "regression", no probabilities: the gradient of the output is the features.
        - "vectors": the features are the gradient embeddings, computed by the caller.
    bias : bool, default=False
        Whether the last layer has a bias whose gradient counts too: h = [h, 1].
    last_layer : tuple of array-like, default=None
        The weights of the last layer, shape (n_columns, n_features), and its bias, shape
        (n_columns,), or None. For strategies that need them.
    missing_label : scalar, str or None, default=numpy.nan
        What stands for a missing label. NaN and None both stand for every null value.

    Attributes
    ----------
    source : labelnext.pools.Source
        Where the parts lie.
    n_rows, n_classes, n_features, n_members : int or None
        The sizes; None where there is no such part.
    task, bias, classes, last_layer, missing_label
        As above.

    Raises
    ------
    ValueError
        If there is neither part, a shape is wrong, lengths differ, an id is there twice, a group
        is missing, a label is none of the classes, or tensors are on two devices.
    TypeError
        If an array does not hold real numbers, a tensor is sparse, ids are of two types, or a
        group cannot be hashed.

    See Also
    --------
    labelnext.open_pool : A pool that lies in files.
    labelnext.select : Choose samples of a pool.

    Examples
    --------
    >>> import numpy as np
    >>> import labelnext
    >>> pool = labelnext.Pool(
    ...     proba=[[0.5, 0.5], [0.75, 0.25], [1.0, 0.0]],
    ...     features=np.arange(6.0).reshape(3, 2),
    ...     ids=["a", "b", "c"],
    ...     labels=[None, "dog", None],
    ...     classes=["cat", "dog"],
    ... )
    >>> pool
    Pool of 3 samples: multiclass, 2 classes, 2 features in float64; ids; 1 labelled
    >>> pool.labeled
    array([1])
    >>> pool.rows_of(["c", "a"])
    array([2, 0])
    >>> pool[1:].features
    array([[2., 3.],
           [4., 5.]])
    """

    source: Source
    task: Task
    bias: bool
    classes: NDArray[Any] | None
    missing_label: Any
    _own: dict[str, Any]
    cache: dict[Any, Any]
    """What those who work with the pool keep with it; neither copied nor pickled."""

    def __init__(
        self,
        proba: Any = None,
        features: Any = None,
        *,
        ids: Any = None,
        groups: Any = None,
        labels: Any = None,
        classes: Any = None,
        task: Task | None = None,
        bias: bool | None = None,
        last_layer: Any = None,
        missing_label: Any = MISSING_LABEL,
    ) -> None:
        if isinstance(proba, Pool | Source):
            raise TypeError(
                f"proba must be an array, got a {type(proba).__name__}; Pool.of makes a pool of it."
            )
        if task in WITHOUT_PROBA and proba is not None:
            refuse_proba_of(task)
        refuse_other_order(proba=proba, features=features, ids=ids, groups=groups, labels=labels)
        rest = (classes, task, bias, last_layer, missing_label)
        self._begin(ArraySource(proba, features), ids, groups, labels, *rest)

    @classmethod
    def of(cls, source: Source | Pool, **known: Any) -> Pool:
        """
        Make a pool of a source, or of another pool; what is said here wins over what that says.

        Parameters
        ----------
        source : labelnext.pools.Source or Pool
            Where the parts lie.
        **known
            Of `ids`, `groups`, `labels`, `classes`, `task`, `bias`, `last_layer` and
            `missing_label` those to be told, as for `Pool`; None for what the source says.

        Returns
        -------
        Pool
            The pool.

        Examples
        --------
        >>> import numpy as np
        >>> import labelnext
        >>> pool = labelnext.Pool(features=np.eye(3))
        >>> labelnext.Pool.of(pool, ids=["a", "b", "c"]).ids_of([1])
        array(['b'], dtype=object)
        """
        if isinstance(source, Pool):
            given = source
            before = {**given._own, "labels": given._own.get("labels", (None,))[0]}
            before |= {"classes": given.classes, "task": given.task, "bias": given.bias}
            known = before | {name: value for name, value in known.items() if value is not None}
            known.setdefault("missing_label", given.missing_label)
            # The rule for a single column depends on the task, which may be another now.
            source = given.source
            source = source.source if isinstance(source, TwoColumns) else source
        elif not isinstance(source, Source):
            raise TypeError(
                f"Pool.of takes a source or a pool, got a {type(source).__name__}; arrays are for "
                "Pool(proba, features), files for labelnext.open_pool(path)."
            )
        pool = object.__new__(cls)
        pool._begin(source, **known)
        return pool

    def _begin(
        self,
        source: Source,
        ids: Any = None,
        groups: Any = None,
        labels: Any = None,
        classes: Any = None,
        task: Any = None,
        bias: bool | None = None,
        last_layer: Any = None,
        missing_label: Any = MISSING_LABEL,
    ) -> None:
        """Check what is known, and keep it."""
        if bias is not None and not isinstance(bias, bool | np.bool_):
            raise TypeError(f"bias must be True or False, got {bias!r}.")
        said = source.task if task is None else task
        task = check_task("multiclass" if said is None else said, TASKS)
        source = _for_task(source, task)
        if source.row_bytes > 1 << 28:
            what = f"A row of {source.name}"
            refuse_too_large(what, source.row_bytes, "it may be damaged, else take fewer columns.")
        bias = bool(source.bias if bias is None else bias)
        self._keep(source=source, task=task, bias=bias, classes=None, cache={}, _own={})
        self._keep(missing_label=missing_label)
        classes = source.classes if classes is None else classes
        if classes is not None:
            self._keep(classes=_fixed(check_names(classes, self.n_classes, task)))
        if ids is not None:
            self._own["ids"] = _fixed(check_ids(ids, source.n_rows))
        if groups is not None:
            self._own["groups"] = _fixed(as_groups(groups, source.n_rows))
        if labels is not None:
            self._own["labels"] = self._checked_labels(labels)
        if last_layer is not None:
            self._own["last_layer"] = _checked_layer(last_layer, source)

    def _keep(self, **values: Any) -> None:
        self.__dict__.update(values)

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(
            f"A pool never changes, so {name} cannot be set; make another with "
            f"Pool.of(pool, {name}=...)."
        )

    @property
    def n_rows(self) -> int:
        """How many samples there are."""
        return self.source.n_rows

    @property
    def n_classes(self) -> int | None:
        """How many classes there are, or labels that are each by itself; None if unknown."""
        if self.task == "binary":
            return 2
        named = None if self.classes is None else len(self.classes)
        return self.source.n_columns or named

    @property
    def n_features(self) -> int | None:
        """How many features a sample has; None if the pool has none."""
        return self.source.n_features or None

    @property
    def n_members(self) -> int | None:
        """How many members a committee has; None if the probabilities are those of one model."""
        return self.source.n_members

    @property
    def proba(self) -> Any:
        """The probabilities as they are; in files, read where they are indexed. None without."""
        return self._part("proba")

    @property
    def features(self) -> Any:
        """The features as they are; in files, read where they are indexed. None without."""
        return self._part("features")

    @property
    def ids(self) -> NDArray[Any] | None:
        """The ids of all samples, integers or strings; None where row numbers stand for them."""
        return self._known("ids")  # type: ignore[no-any-return]

    @property
    def groups(self) -> NDArray[Any] | None:
        """What each sample belongs to; None if that is not known."""
        return self._known("groups")  # type: ignore[no-any-return]

    @property
    def labels(self) -> NDArray[Any] | None:
        """The labels, `missing_label` where there is none; None if the pool has none."""
        return self._labels()[0]  # type: ignore[no-any-return]

    @property
    def labeled(self) -> NDArray[np.int64]:
        """The rows that have a label, in ascending order."""
        return self._labels()[1]

    @property
    def last_layer(self) -> tuple[NDArray[Any], NDArray[Any] | None] | None:
        """The weights of the last layer and its bias, or None; None if they are not known."""
        if "last_layer" not in self._own and "last_layer" not in self.cache:
            found = self.source.last_layer
            self.cache["last_layer"] = found and _checked_layer(found, self.source)
        return self._own.get("last_layer", self.cache.get("last_layer"))

    @property
    def known(self) -> tuple[Known, ...]:
        """What is known of the samples: those of "ids", "groups" and "labels" that are there."""
        return tuple(what for what in KNOWN if what in self._own or self.source.has(what))

    def ids_of(self, rows: Any) -> NDArray[Any]:
        """
        Return the ids of some rows; the row numbers themselves if the pool has no ids.

        Parameters
        ----------
        rows : array-like
            Row numbers, or a mask.

        Returns
        -------
        ndarray
            An id for each row, in their order.
        """
        rows = as_rows(rows, self.n_rows)
        if "ids" in self._own:
            return self._own["ids"][rows]  # type: ignore[no-any-return]
        found = self.source.known("ids", rows)
        return rows if found is None else found  # type: ignore[no-any-return]

    def rows_of(self, ids: Any) -> NDArray[np.int64]:
        """
        Find the rows of some ids.

        Parameters
        ----------
        ids : array-like
            Ids of the pool; numbers that were read as text stand for the numbers. ValueError names
            those that are not there.

        Returns
        -------
        ndarray of int64
            A row for each id, in their order.
        """
        return find_rows(ids, self._stretches_of_ids, "ids")

    def read(self, part: Part, rows: Any = None) -> Any:
        """
        Read probabilities or features into memory.

        Parameters
        ----------
        part : {"proba", "features"}
            Which.
        rows : array-like, default=None
            Row numbers, or a mask; None for all, which are not copied if they are in memory.

        Returns
        -------
        ndarray, csr_array or torch.Tensor
            The numbers, in the pool's dtype; a tensor on its device.
        """
        if part not in self.source.parts:
            there = {"proba": "probabilities", "features": "features"}
            if part not in there:
                raise ValueError(f"part must be 'proba' or 'features', got {part!r}.")
            has = " and ".join(there[each] for each in self.source.parts)
            unused = self.source.unused
            more = f" {self.source.name} also has {some(unused)};" if unused else ""
            raise ValueError(
                f"This pool has {has} only;{more} name or pass the {there[part]}: {part}=..."
            )
        if rows is None:
            return self._part(part) if self.source.in_memory else self.source.array(part)
        return self.source.take(part, as_rows(rows, self.n_rows))

    def part(self, lo: int, hi: int) -> Pool:
        """
        Return consecutive rows as a pool: what is sent to a shard.

        Parameters
        ----------
        lo, hi : int
            The first row, and the one after the last.

        Returns
        -------
        Pool
            The part. Pickled, it holds its own rows, or how to read them from their files.
        """
        check_range(self.source, lo, hi)
        return self._cut(self.source.part(lo, hi), slice(lo, hi))

    def to(self, device: Any) -> Self:
        """
        Return the pool with its probabilities and features on a device, where it is selected.

        Parameters
        ----------
        device : str or torch.device
            Such as ``"cuda"``, or ``"cpu"``, where tensors become arrays. What is there already
            is not copied. What does not fit a GPU stays in the CPU's memory, and is brought there
            piece by piece, in each pass of a selection once more.

        Returns
        -------
        Pool
            The same pool; the same seed chooses the same rows of it. It needs PyTorch.

        Raises
        ------
        ValueError
            If there is no such device.
        TypeError
            If the pool is in files, or its features are sparse.
        MemoryError
            If there is no room for it.

        Examples
        --------
        >>> import labelnext
        >>> labelnext.Pool([[0.5, 0.5]], [[2.0, 1.0]]).to("cpu")
        Pool of 1 sample: multiclass, 2 classes, 2 features in float64
        """
        torch = require("torch", extra="torch", what="Pool.to")
        try:
            place = torch.device(device)
            # That it is there: the name alone says nothing.
            place = torch.empty(1, device=place).device
        except (RuntimeError, TypeError, AssertionError) as error:
            raise ValueError(
                f"device must be one that torch has here, such as 'cpu' or 'cuda', got {device!r}: "
                f"{str(error).splitlines()[0]}"
            ) from error
        if place.type == "meta":
            raise ValueError("On the device meta tensors hold no numbers; name another.")
        if not self.source.in_memory:
            raise TypeError(
                f"{self.source.name} is read as needed, not kept on a device: read it into memory, "
                "as in Pool(pool.read('proba'), pool.read('features')), and move that."
            )
        if str(place) == str(self.source.device):
            return self
        source = self.source.moved(place)  # type: ignore[attr-defined]
        pool = object.__new__(type(self))
        pool._keep(**{**self.__dict__, "source": source, "cache": {}})
        return pool

    def fingerprint(self) -> str:
        """Return what differs between pools: a digest of sizes, dtypes and some of the numbers."""
        return digest_of(self.source.fingerprint(), self.task, self.bias)

    def __len__(self) -> int:
        return self.n_rows

    def __getitem__(self, rows: Any) -> Pool:
        """Return some rows as a pool: those of a slice, of a mask, or of row numbers."""
        n = self.n_rows
        if isinstance(rows, int | np.integer) and not isinstance(rows, bool | np.bool_):
            raise TypeError(
                f"A pool is cut by a slice, row numbers or a mask; take one sample with "
                f"pool[[{rows}]], its id with pool.ids_of([{rows}])."
            )
        if isinstance(rows, slice):
            lo, hi, step = rows.indices(n)
            if step == 1 and lo < hi:
                return self.part(lo, hi)
            numbers: Any = np.arange(lo, hi, step)
        else:
            numbers = as_rows(rows, n)
            distinct, counts = np.unique(numbers, return_counts=True)
            if len(distinct) < len(numbers):
                raise ValueError(
                    f"rows must be there once each, got row {distinct[counts > 1][0]:,} "
                    f"{counts.max()} times."
                )
        if not len(numbers):
            raise ValueError("The pool would be empty: no row was asked for.")
        chosen = rows if isinstance(rows, slice) else numbers
        return self._cut(self.source.chosen(chosen), numbers)

    __iter__ = None  # a pool is no sequence of samples

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "cache": {}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._keep(**state)

    def __repr__(self) -> str:
        return f"Pool of {counted(self.n_rows, 'sample')}: {'; '.join(self._said())}"

    def _repr_html_(self) -> str:
        import html

        rows = [f"<b>Pool</b> of {counted(self.n_rows, 'sample')}", *map(html.escape, self._said())]
        if self.classes is not None:
            shown = ", ".join(map(str, self.classes[:12].tolist()))
            more = f" and {len(self.classes) - 12:,} more" if len(self.classes) > 12 else ""
            rows.append(html.escape(f"classes: {shown}{more}"))
        return f"<div>{'<br>'.join(rows)}</div>"

    def _said(self) -> Iterator[str]:
        """Say what there is, in a few words each."""
        source = self.source
        first: list[str] = [self.task]
        if source.n_columns:
            what = "label" if self.task == "multilabel" else "class"
            plural = ("es" if what == "class" else "s") * (self.n_classes != 1)
            first.append(f"{self.n_classes:,} {what}{plural}")
            if source.n_members is not None:
                first.append(counted(source.n_members, "member"))
        if source.n_features:
            dtype = str(source.dtypes["features"]).removeprefix("torch.")
            first.append(
                f"{source.n_features:,} {'sparse ' * source.sparse}features in {dtype}"
                f"{' with a bias' * self.bias}"
            )
        yield ", ".join(first)
        for name in self.known:
            read = name == "labels" and (name in self._own or name in self.cache)
            yield f"{len(self.labeled):,} labelled" if read else name
        if not source.in_memory:
            yield f"in {source.name}"
        elif source.device != "cpu":
            yield f"on {source.device}"

    def _part(self, part: Part) -> Any:
        if part not in self.source.parts:
            return None
        if not self.source.in_memory:
            return StoredPart(self.source, part)
        if not isinstance(self.source, TwoColumns):
            return self.source.array(part)
        if part not in self.cache:
            self.cache[part] = self.source.array(part)
        return self.cache[part]

    def _known(self, what: Any) -> Any:
        """Return the caller's ids or groups, else the source's, which are kept once read."""
        if what in self._own:
            return self._own[what]
        if what not in self.cache:
            found = self.source.known(what)
            if what == "groups" and found is not None:
                found = as_groups(found, self.n_rows)
            self.cache[what] = None if found is None else _fixed(found)
        return self.cache[what]

    def _labels(self) -> tuple[Any, NDArray[np.int64]]:
        if "labels" in self._own:
            return self._own["labels"]  # type: ignore[no-any-return]
        if "labels" not in self.cache:
            found = self.source.known("labels")
            nothing = None, np.empty(0, np.int64)
            self.cache["labels"] = nothing if found is None else self._checked_labels(found)
        return self.cache["labels"]  # type: ignore[no-any-return]

    def _checked_labels(self, labels: Any) -> tuple[NDArray[Any], NDArray[np.int64]]:
        known, labeled = as_labels(
            labels, self.n_rows, self.task, self.missing_label, self.source.n_columns or None
        )
        if self.task in ("multiclass", "binary"):
            check_label_names(known, labeled, self.classes, self.n_classes)
        return _fixed(known), _fixed(labeled)

    def _cut(self, source: Source, rows: slice | NDArray[np.int64]) -> Self:
        """Return some rows with all that is known of them, which was checked already."""
        own: dict[str, Any] = {
            name: self._own[name][rows] for name in ("ids", "groups") if name in self._own
        }
        if "last_layer" in self._own:
            own["last_layer"] = self._own["last_layer"]
        if "labels" in self._own:
            labels, labeled = self._own["labels"]
            mask = np.zeros(self.n_rows, dtype=bool)
            mask[labeled] = True
            own["labels"] = labels[rows], np.flatnonzero(mask[rows]).astype(np.int64, copy=False)
        pool = object.__new__(type(self))
        pool._keep(**{**self.__dict__, "source": source, "_own": own, "cache": {}})
        return pool

    def _stretches_of_ids(self) -> Iterator[tuple[int, NDArray[Any]]]:
        if "ids" in self._own:
            yield 0, self._own["ids"]
        elif "ids" in self.known:
            yield from stretches_of("ids", self.source)
        else:
            yield 0, np.arange(self.n_rows)


def _for_task(source: Source, task: Task) -> Source:
    """Check the parts against the task, and make two columns of a single one where it has two."""
    if source.n_columns:
        if task == "multilabel" and source.one_dimensional:
            raise ValueError(
                f"With task='multilabel' proba must have two dimensions, got shape "
                f"({source.n_rows},); reshape it with proba.reshape(-1, 1) if it is one column."
            )
        if task == "regression":
            refuse_proba_of(task)
        check_columns((source.n_rows, source.n_columns), task)
        if source.n_columns == 1 and task in ("multiclass", "vectors"):
            source = TwoColumns(source)
    if task in ("regression", "vectors") and not source.n_features:
        raise ValueError(
            f"With task={task!r} the gradient is made of the features; pass them: "
            f"Pool(features=..., task={task!r})."
        )
    return source


def _checked_layer(last_layer: Any, source: Source) -> tuple[NDArray[Any], NDArray[Any] | None]:
    try:
        weights, bias = last_layer
    except (TypeError, ValueError):
        raise TypeError(
            "last_layer must be a pair, the weights and the bias (or None), got "
            f"{type(last_layer).__name__}."
        ) from None
    weights = np.asarray(without_tensor(weights))
    bias = None if bias is None else np.asarray(without_tensor(bias))
    rows, columns = weights.shape if weights.ndim == 2 else (0, 0)
    n_columns, n_features = source.n_columns or rows, source.n_features or columns
    if weights.shape != (n_columns, n_features):
        raise ValueError(
            f"The weights of last_layer must have the shape (n_columns, n_features), here "
            f"({n_columns}, {n_features}), got {weights.shape}."
        )
    if bias is not None and bias.shape != (n_columns,):
        raise ValueError(
            f"The bias of last_layer must have the shape ({n_columns},), got {bias.shape}."
        )
    for name, values in (("weights", weights), ("bias", bias)):
        if values is not None and values.dtype.kind not in "fiu":
            raise TypeError(
                f"The {name} of last_layer must hold real numbers, got dtype {values.dtype}."
            )
    return _fixed(weights), None if bias is None else _fixed(bias)


def _fixed(array: NDArray[Any]) -> NDArray[Any]:
    """Return an array that can't be written to through this name; nothing is copied."""
    view = array.view()
    view.flags.writeable = False
    return view
