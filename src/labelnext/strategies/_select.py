"""The one door: a pool and a strategy in, a batch out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from labelnext.engine.memory_limit import parse_limit
from labelnext.pools import Pool
from labelnext.strategies._arguments import excluded_rows, number_groups
from labelnext.strategies._query import Query, badge_needs, check_needs, choose_badge
from labelnext.utils.given import check_flag, check_integer
from labelnext.utils.memory import clear_if_out_of_memory
from labelnext.utils.random import as_generator

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable

    from numpy.typing import ArrayLike, NDArray

    from labelnext.cluster import Ray
    from labelnext.sampling import Batch, Progress
    from labelnext.utils.given import Task


def select(
    pool: Any,
    features: Any = None,
    k: Any = None,
    *,
    strategy: Any = "badge",
    task: Task | None = None,
    bias: bool | None = None,
    exclude: Any = None,
    exclude_ids: Iterable[Any] | None = None,
    groups: ArrayLike | None = None,
    max_per_group: int | None = None,
    condition_on_labeled: bool = False,
    random_state: Any = None,
    progress: Progress | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    memory_limit: int | str | None = None,
    device: Any = None,
    cluster: Ray | None = None,
) -> Batch:
    """Choose the k samples that people should label next.

    It is called as ``select(pool, k)`` with a `Pool` that `labelnext.Pool`, `labelnext.extract`
    or `labelnext.open_pool` has made, or as ``select(proba, features, k)``, which is short for a
    pool of the two. Samples that the pool has a label for are no candidates.

    The default strategy is BADGE [1]_: D² sampling (k-means++) over the gradients of the
    cross-entropy at the pseudo-label with respect to the model's last linear layer; see
    `labelnext.pool.Badge`, and `labelnext.strategies.about` for the others.

    Parameters
    ----------
    pool : Pool, or array-like or torch.Tensor of shape (n_rows, n_classes) or (n_rows,)
        What to choose from; or class probabilities, whose rows sum to 1. A single column or one
        dimension is P(y = 1) of a binary classifier.
    features : array-like, torch.Tensor or SciPy sparse matrix of shape (n_rows, n_features)
        With probabilities, the input of the model's last linear layer, row by row. Any real
        dtype; arrays, memory-mapped arrays, tensors and CSR are used where they are, without a
        copy. With a pool, k comes here.
    k : int
        How many samples to choose, from 1 to the number of candidates.
    strategy : str, QueryStrategy or class, default="badge"
        How to choose: a name (see `labelnext.strategies.names`), a strategy with its parameters
        such as ``MaxHerding(radius=0.5)``, or a class of your own.
    task : {"multiclass", "multilabel", "binary", "regression", "vectors"}, default=None
        With probabilities, what the model's last layer ends in; see `Pool`. A pool knows.
    bias : bool, default=None
        With probabilities, whether the gradient with respect to the last layer's bias counts
        too. A pool knows.
    exclude : array-like, set, mapping, Series, tensor or Batch, default=None
        Rows that must not be chosen: row numbers (of a mapping its keys), a mask of length
        n_rows, or an earlier batch of this pool.
    exclude_ids : iterable or Batch, default=None
        Ids that must not be chosen, for a pool that has ids.
    groups : array-like of shape (n_rows,), default=None
        With `max_per_group`, the group of each sample (its video, patient, document); None is
        what the pool says.
    max_per_group : int, default=None
        How many picks a group may have.
    condition_on_labeled : bool, default=False
        For BADGE: whether labelled samples are centres from the start, so that the batch keeps
        away from them too.
    random_state : int, RandomState, Generator or None, default=None
        The seed. Randomness is a function of it and of how many samples are neither labelled
        nor excluded; the same seed gives the same batch wherever the pool lives, and that for a
        smaller k is its start. A generator is copied, never advanced; None takes a seed from
        NumPy's global generator.
    progress : callable, default=None
        For BADGE: called now and then with the counters so far, a dict as in `Batch.stats`.
    checkpoint : path-like, default=None
        For BADGE: a file that is kept up to date after each pass. If the process ends before its
        time, the same call goes on from there and ends with the same batch; of a selection that
        is complete, it returns the batch at once. A larger `k` goes on, too.
    memory_limit : int or str, default=None
        For a pool in files: what a selection may take, in bytes or as in ``"1GB"``; on a cluster
        that of each shard. None is half of the memory that is free.
    device : str or torch.device, default=None
        Where to work, such as ``"cuda"``: short for ``pool.to(device)``. None is where the pool
        is.
    cluster : Ray, default=None
        For BADGE: work in shards on a Ray cluster (extra ``ray``), with the same batch.
        `Batch.stats` then also has `shards`, `messages`, `bytes_sent`, `bytes_received` and
        `restarts`.

    Returns
    -------
    Batch
        The picks in order, with what is worth knowing of each.

    Raises
    ------
    ValueError
        If the pool lacks what the strategy needs, a value is NaN or infinite, a row of
        probabilities does not sum to 1, `k` is below 1 or above the number of candidates, a row
        or id to exclude is none of the pool, or `checkpoint` is damaged or of another selection.
    TypeError
        If an argument is of the wrong type, or one that the strategy does not take.
    MemoryError
        If the memory of a GPU does not do.
    ImportError, ConnectionError, TimeoutError, ShardLostError
        With `cluster`: Ray is not installed, there is no cluster at the address, it has no room
        for the shards, or one of them was lost for good.

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
    >>> pool = labelnext.Pool(clf.predict_proba(X), X)
    >>> labelnext.select(pool, 5, exclude=range(100), random_state=0).indices
    array([ 898, 1592,  262,  813,  442])

    Without a model, from features alone:

    >>> batch = labelnext.select(labelnext.Pool(features=X), 3, strategy="typi-clust")
    >>> len(batch)
    3
    """
    pool, k = _as_pool(pool, features, k, task, bias, cluster)
    chooser, name = _as_strategy(strategy, condition_on_labeled)
    if chooser is None:
        check_needs(name, badge_needs(pool), pool)
    else:
        options = {"progress": progress, "checkpoint": checkpoint, "cluster": cluster}
        _check_chooser(chooser, name, pool, options)
        max_per_group = chooser._limit(max_per_group, name)
        if random_state is None:
            random_state = chooser.random_state
    if memory_limit is not None:
        parse_limit(memory_limit)
        if pool.source.in_memory:
            raise TypeError(
                "memory_limit is for pools in files, and this one is in memory: leave it out, or "
                "write the pool into files and open these."
            )
    if cluster is not None:
        _check_cluster(cluster)
    if device is not None:
        if cluster is not None:
            raise TypeError(
                "device is for this process; on a cluster say what each shard is to have, as in "
                "labelnext.Ray(num_gpus=1)."
            )
        pool = pool.to(device)
    labeled = pool.labeled
    excluded = excluded_rows(exclude, exclude_ids, pool)
    if len(labeled):
        excluded = np.union1d(excluded, labeled)
    names = pool.groups if groups is None and max_per_group is not None else groups
    grouped = number_groups(names, max_per_group, pool.n_rows)
    query = Query(
        pool=pool,
        k=_check_k(k, pool.n_rows, excluded, grouped),
        rng=as_generator(random_state, pool.n_rows - len(excluded)),
        excluded=excluded,
        labeled=labeled,
        labels=np.asarray(pool.labels)[labeled] if len(labeled) else labeled,
        groups=grouped,
        memory_limit=memory_limit,
        asker=name,
        seeded=random_state is not None,
        own_rows=True,
        progress=progress,
        checkpoint=checkpoint,
        cluster=cluster,
    )
    with clear_if_out_of_memory(pool.source.device, f"choosing {query.k:,} samples by {name}"):
        if chooser is None:
            return choose_badge(query, condition_on_labeled=bool(condition_on_labeled))
        batch: Batch = chooser._select(query)
        return batch


def _as_pool(
    pool: Any, features: Any, k: Any, task: Task | None, bias: bool | None, cluster: Any
) -> tuple[Pool, Any]:
    """Return the pool and k of either way to call `select`."""
    if cluster is not None and type(pool).__module__.startswith("ray.data"):
        from labelnext.cluster import as_pool

        pool = as_pool(pool, task=task, bias=bias)
        task = bias = None
    if isinstance(pool, Pool):
        for name, value in (("bias", bias), ("task", task)):
            if value is not None:
                raise TypeError(
                    f"select(pool, k) takes no {name}: the pool has one (pool.{name}); say it "
                    f"when the pool is made, as in Pool(proba, features, {name}={value!r})."
                )
        if features is None and k is None:
            raise TypeError("select(pool, k) needs k, how many samples to choose.")
        if features is not None and k is not None:
            raise TypeError(
                "A pool has its features: call select(pool, k), or select(proba, features, k) "
                "with arrays."
            )
        return pool, features if k is None else k
    if features is None or k is None:
        raise TypeError(
            "select needs probabilities, features and k, as in select(proba, features, k), or "
            "a pool and k, as in select(labelnext.Pool(features=X), k)."
        )
    return Pool(pool, features, task=task, bias=bias), k


def _as_strategy(strategy: Any, condition_on_labeled: Any) -> tuple[Any, str]:
    """Return the strategy, None for plain BADGE, which needs no scikit-learn; and its name."""
    check_flag("condition_on_labeled", condition_on_labeled)
    name = strategy if isinstance(strategy, str) else ""
    if name == "badge":
        return None, name
    if name:
        from labelnext.strategies._registry import by_name

        strategy = by_name(name)
    if isinstance(strategy, type):
        strategy = strategy()
    from labelnext.strategies._badge import Badge
    from labelnext.strategies._base import QueryStrategy

    if not isinstance(strategy, QueryStrategy):
        raise TypeError(
            f"strategy must be a name such as 'badge', a strategy of labelnext or one that derives "
            f"from labelnext.strategies.QueryStrategy, got {strategy!r}."
        )
    name = name or type(strategy).__name__
    if not condition_on_labeled:
        return strategy, name
    if not isinstance(strategy, Badge):
        always = "always looks at labelled samples" if strategy.looks_at_labeled else "does not"
        raise TypeError(f"condition_on_labeled is for BADGE; {name} {always}. Leave it out.")
    from sklearn.base import clone

    return clone(strategy).set_params(condition_on_labeled=True), name


def _check_chooser(chooser: Any, name: str, pool: Pool, options: dict[str, Any]) -> None:
    from labelnext.strategies._badge import Badge

    chooser._check_parameters()
    needs = chooser._needs_of(pool)
    check_needs(name, needs, pool)
    if pool.bias and "features" in needs and not chooser.counts_bias:
        raise TypeError(
            f"{name} looks at features without the 1 of a bias, but this pool has one: make it "
            f"with bias=False, or choose strategy='badge', which counts it."
        )
    given = [option for option, value in options.items() if value is not None]
    if given and not isinstance(chooser, Badge):
        raise TypeError(
            f"{' and '.join(given)} work with BADGE alone, got strategy {name}; "
            f"leave {'it' if len(given) == 1 else 'them'} out."
        )


def _check_cluster(cluster: Any) -> None:
    from labelnext.cluster import Ray

    if not isinstance(cluster, Ray):
        raise TypeError(
            f"cluster must be a labelnext.Ray, as in cluster=labelnext.Ray(num_shards=4), got "
            f"{cluster!r}."
        )


def _check_k(k: Any, n_rows: int, excluded: NDArray[np.int64], groups: Any) -> int:
    """Return k, or say why so many cannot be chosen."""
    check_integer("k", k, least=1)
    most = n_rows - len(excluded)
    if k > most:
        raise ValueError(
            f"k must be at most the number of candidates, {most}, got {k}; choose a "
            f"smaller k or exclude fewer rows."
        )
    if groups is not None and k > (most := groups.most(excluded)):
        raise ValueError(
            f"k must be at most what max_per_group={groups.limit} leaves of the candidates, "
            f"{most}, got {k}; choose a smaller k or allow more of each group."
        )
    return int(k)
