"""The public edge of selection: arrays in, a batch out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, overload

from labelnext.engine import Gradients, as_gradients
from labelnext.sampling._choose import check_exclude, check_k, choose

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    from numpy.typing import ArrayLike

    from labelnext.engine import Task
    from labelnext.pools import Source
    from labelnext.sampling._batch import Batch
    from labelnext.sampling._picks import Progress
    from labelnext.sampling._random import RandomState


class _NotGiven:
    """Of an argument that was not given; None is something that is given, and refused."""

    def __repr__(self) -> str:
        return "<not given>"


MISSING: Any = _NotGiven()


@overload
def select(
    proba: ArrayLike,
    features: Any,
    k: int,
    *,
    bias: bool = False,
    task: Task = "multiclass",
    exclude: ArrayLike | None = None,
    random_state: RandomState = None,
    progress: Progress | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    engine: Literal["local", "ray"] = "local",
    address: str | None = None,
    num_shards: int | None = None,
    num_cpus: float | None = None,
    num_gpus: float | None = None,
    resources: Mapping[str, float] | None = None,
    memory_limit: int | str | None = None,
    timeout: float | None = None,
    start_timeout: float | None = None,
) -> Batch: ...
@overload
def select(
    pool: Gradients | Source,
    k: int,
    /,
    *,
    exclude: ArrayLike | None = None,
    random_state: RandomState = None,
    progress: Progress | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    engine: Literal["local", "ray"] = "local",
    address: str | None = None,
    num_shards: int | None = None,
    num_cpus: float | None = None,
    num_gpus: float | None = None,
    resources: Mapping[str, float] | None = None,
    memory_limit: int | str | None = None,
    timeout: float | None = None,
    start_timeout: float | None = None,
) -> Batch: ...


def select(
    proba: Any,
    features: Any = MISSING,
    k: Any = MISSING,
    *,
    bias: Any = MISSING,
    task: Any = MISSING,
    exclude: ArrayLike | None = None,
    random_state: RandomState = None,
    progress: Progress | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    engine: Literal["local", "ray"] = "local",
    address: str | None = None,
    num_shards: int | None = None,
    num_cpus: float | None = None,
    num_gpus: float | None = None,
    resources: Mapping[str, float] | None = None,
    memory_limit: int | str | None = None,
    timeout: float | None = None,
    start_timeout: float | None = None,
) -> Batch:
    """Choose the k samples that people should label next, by BADGE.

    BADGE [1]_ is D² sampling (k-means++) over the gradients of the cross-entropy at the
    pseudo-label with respect to the model's last linear layer: a batch is uncertain, because
    uncertain samples have long gradients, and diverse, because near ones are rarely both drawn.
    It is exact here, and no gradient is ever built.

    It is called as ``select(proba, features, k)``, or as ``select(pool, k)`` with a pool that
    `labelnext.extract` or `labelnext.engine.as_gradients` has made.

    Parameters
    ----------
    proba : array-like or torch.Tensor of shape (n_rows, n_classes) or (n_rows,), or Gradients
        Class probabilities of the pool. Rows sum to 1. One dimension is P(y = 1) of a binary
        classifier. Or a pool, which has its features.
    features : array-like, torch.Tensor or SciPy sparse matrix of shape (n_rows, n_features)
        The input of the model's last linear layer, row by row as in `proba`. Any real dtype;
        float16, float32, float64, memory-mapped arrays, tensors and CSR are used without a copy,
        and tensors on the device that both are on.
    k : int
        How many samples to choose, from 1 to the number of candidates.
    bias : bool, default=False
        Whether the gradient with respect to the last layer's bias counts too. A pool knows.
    task : {"multiclass", "multilabel", "binary"}, default="multiclass"
        What the model's last layer ends in: a softmax; a sigmoid for each label; one sigmoid. See
        `labelnext.engine.as_gradients`. A pool knows.
    exclude : array-like of int or of bool, default=None
        Rows that must not be chosen, those labelled already, say: row numbers, or a mask of
        length n_rows.
    random_state : int, numpy.random.Generator, numpy.random.RandomState or None, default=None
        The seed. The same seed gives the same batch, and that for a smaller k is its start.
    progress : callable, default=None
        Called now and then with the counters so far, a dict as in `Batch.stats`: `picks` of k,
        `passes`, `proposals` and so on.
    checkpoint : path-like, default=None
        A file that is kept up to date after each pass. If the process ends before its time, the
        same call goes on from there and ends with the same batch; of a selection that is
        complete, it returns the batch at once. A larger `k` goes on, too.
    engine : {"local", "ray"}, default="local"
        Where the work is done: in this process, or in shards on a Ray cluster (extra ``ray``),
        with the same batch. The pool may then also be a `labelnext.pools.Source`, which shards
        read by themselves, or a Ray Data set with the columns proba and features. What is lost on
        the way is built again; see `labelnext.engine.ray.RayParts`. `Batch.stats` also has
        `shards`, `messages`, `bytes_sent`, `bytes_received` and `restarts`.
    address : str, default=None
        Which cluster: ``"host:port"`` of its head, ``"auto"`` or ``"local"``. This and what
        follows is for ``engine="ray"``; see `labelnext.engine.ray.RayOptions`.
    num_shards : int, default=None
        Into how many shards to cut the pool. None: as many as there is room for.
    num_cpus : float, default=None
        Cores for each shard; None: 1.
    num_gpus : float, default=None
        GPUs for each shard; None: none.
    resources : mapping of str to float, default=None
        Other resources for each shard, by which it is placed.
    memory_limit : int or str, default=None
        What a shard of a pool in files may keep of it in memory. None: all of its rows.
    timeout : float, default=None
        Seconds after which a shard that has not answered counts as lost; None: 600.
    start_timeout : float, default=None
        Seconds that a shard may wait for a place on the cluster; None: 60.

    Returns
    -------
    Batch
        The picks in order, with what is worth knowing of each.

    Raises
    ------
    ValueError
        If a value is NaN or infinite, a row of `proba` does not sum to 1, lengths differ, the
        pool is empty, `k` is below 1 or above the number of candidates, `exclude` holds what is
        not a row, or `checkpoint` is damaged or that of another pool, seed or `exclude`.
    TypeError
        If `k` is missing or not an integer, an array does not hold numbers, a pool comes with
        what it knows itself (features, bias or task), or an argument of a cluster without one.
    ImportError, ConnectionError, TimeoutError, ShardLostError
        With ``engine="ray"``: it is not installed, there is no cluster at the address, it has no
        room for the shards, or one of them was lost for good.

    See Also
    --------
    labelnext.pool.Badge : The same as a query strategy that asks a classifier.

    References
    ----------
    .. [1] J. T. Ash, C. Zhang, A. Krishnamurthy, J. Langford and A. Agarwal, "Deep batch active
       learning by diverse, uncertain gradient lower bounds", ICLR 2020.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.linear_model import LogisticRegression
    >>> import labelnext
    >>> X, y = load_digits(return_X_y=True)
    >>> X = X / 16
    >>> clf = LogisticRegression(max_iter=1000).fit(X[:100], y[:100])
    >>> batch = labelnext.select(clf.predict_proba(X), X, k=5, exclude=range(100), random_state=0)
    >>> batch.indices
    array([ 898, 1177, 1650, 1120,  907])

    >>> pool = labelnext.engine.as_gradients(clf.predict_proba(X), X)
    >>> labelnext.select(pool, 2, exclude=range(100), random_state=0).indices
    array([ 898, 1177])
    """
    options = _check_engine(
        engine,
        address=address,
        num_shards=num_shards,
        num_cpus=num_cpus,
        num_gpus=num_gpus,
        resources=resources,
        memory_limit=memory_limit,
        timeout=timeout,
        start_timeout=start_timeout,
    )
    given = {
        name: value for name, value in (("bias", bias), ("task", task)) if value is not MISSING
    }
    in_one = features is MISSING or k is MISSING
    if isinstance(proba, Gradients):
        k = _check_pool_call(features, k, bias, task)
    elif in_one and options is not None and (features, k) != (MISSING, MISSING):
        # Files or a data set, which have their features.
        k = features if k is MISSING else k
    elif in_one:
        raise TypeError(
            "select needs probabilities, features and k, as in select(proba, features, k), or "
            "a pool and k, as in select(pool, k)."
        )
    if options is not None:
        from labelnext.sampling._on_ray import select_on_ray

        return select_on_ray(
            proba,
            None if in_one else features,
            k,
            about=given,
            exclude=exclude,
            random_state=random_state,
            progress=progress,
            checkpoint=checkpoint,
            options=options,
        )
    pool = proba if isinstance(proba, Gradients) else as_gradients(proba, features, **given)
    excluded = check_exclude(exclude, pool.n_rows)
    return choose(
        pool,
        check_k(k, pool.n_rows - len(excluded)),
        excluded,
        random_state=random_state,
        progress=progress,
        checkpoint=checkpoint,
    )


def _check_engine(engine: str, **options: Any) -> dict[str, Any] | None:
    """Return the options of a cluster that were given, None if there is to be no cluster."""
    if engine not in {"local", "ray"}:
        raise ValueError(f"engine must be 'local' or 'ray', got {engine!r}.")
    given = {name: value for name, value in options.items() if value is not None}
    if engine == "local" and given:
        raise TypeError(f"{', '.join(given)} are for engine='ray' only, got engine='local'.")
    return given if engine == "ray" else None


def _check_pool_call(features: Any, k: Any, bias: Any, task: Any) -> Any:
    """Return k of ``select(pool, k)``, which comes second or by its name."""
    for name, value in (("bias", bias), ("task", task)):
        if value is not MISSING:
            raise TypeError(
                f"select(pool, k) takes no {name}: the pool was made with one (pool.{name}); make "
                f"it anew with as_gradients(proba, features, {name}={value!r})."
            )
    if features is MISSING and k is MISSING:
        raise TypeError("select(pool, k) needs k, how many samples to choose.")
    if features is not MISSING and k is not MISSING:
        raise TypeError(
            "A pool has its features: call select(pool, k), or select(proba, features, k) with "
            "arrays."
        )
    return features if k is MISSING else k
