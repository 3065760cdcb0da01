"""The choice of a round: what may be picked, a part at random, the rest by a strategy."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from labelnext.engine import open_gradients
from labelnext.loop import _events, _rounds, _schema
from labelnext.loop._check import POOL_TASKS, check_pool
from labelnext.loop._create import wanted
from labelnext.pools import Pool
from labelnext.pools.known import some
from labelnext.sampling import Batch
from labelnext.strategies import select
from labelnext.utils.given import shown
from labelnext.utils.libraries import without_tensor
from labelnext.utils.text import counted, counted_of

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from labelnext.loop._schema import Database

# Numbers that are multiplied to find nearest picks, some seconds; and picks compared at once.
MOST_COMPARED, BLOCK = 40_000_000_000, 256
IDS_ADVICE = "give the pool the ids of the loop, as in labelnext.Pool(..., ids=loop.samples().ids)."


class Plan(NamedTuple):
    """What `Loop.next` was asked for."""

    k: int
    strategy: Any
    random: float
    overlap: float
    seed: int
    model: str
    options: Mapping[str, Any]


def choose(database: Database, pool: Pool, plan: Plan) -> Batch:
    """Choose the picks of a round, and write it."""
    strategy = _strategy_for(pool) if plan.strategy is None else plan.strategy
    with database.reading() as db:
        keys = _keys_of(db, pool)
        number = _next_number(db)
        taken = _rounds.out_of_choice(db)
        check_pool(pool, _schema.about(db, "task"), _schema.about(db, "classes"))
        if pool.labels is None:
            pool = _with_labels(db, pool, keys)
    options = dict(plan.options)
    if "exclude" in options:
        raise TypeError(
            "next takes no exclude: give it a part of the pool, as in loop.next(pool[rows]), or "
            "exclude_ids."
        )
    excluded = options.pop("exclude_ids", None)
    excluded = np.empty(0, np.int64) if excluded is None else pool.rows_of(excluded)
    asked = np.flatnonzero(np.isin(keys, taken))
    out = np.unique(np.concatenate([asked, pool.labeled, excluded]))
    free = np.setdiff1d(np.arange(pool.n_rows), out, assume_unique=True)
    if not len(free):
        raise ValueError(
            f"Nothing is left to be picked: each sample of the pool, {pool.n_rows:,} in all, is "
            "labelled, asked for, or of the test set; label what is open, or close its round."
        )
    k = min(plan.k, len(free))
    # A round at random is no less a random slice than a tenth of another round.
    all_random = isinstance(strategy, str) and strategy == "random" and not options
    share = 1.0 if all_random else plan.random
    rng = np.random.default_rng([plan.seed, len(free)])
    # Drawn before the strategy chooses: uniform over all that might be picked.
    at_random = rng.choice(free, round(share * k), replace=False)
    batch = None
    if len(at_random) < k:
        batch = select(
            pool,
            k - len(at_random),
            strategy=strategy,
            exclude=np.union1d(out, at_random),
            random_state=plan.seed,
            **options,
        )
    batch, kinds = _mixed(pool, batch, at_random, rng)
    picks = _rounds.Picks(
        keys[batch.indices].tolist(),
        kinds,
        wanted(len(batch), plan.overlap, rng),
        _named(batch),
        _numbers(batch.scores, len(batch)),
        _numbers(batch.gradient_norms, len(batch)),
        _numbers(batch.d2, len(batch)),
        _numbers(batch.potentials, len(batch)),
        [
            place if place is None else int(keys[batch.indices[place]])
            for place in _nearest(pool, batch)
        ],
    )
    name = strategy if isinstance(strategy, str) else " ".join(repr(strategy).split())
    options = {key: value if _is_plain(value) else shown(value) for key, value in options.items()}
    ours = {"k": plan.k, "random": share, "overlap": plan.overlap, "model": plan.model}
    parameters = {**ours, **options}
    with database.writing() as db:
        if _next_number(db) != number:
            raise _schema.LoopError(
                "Another process has chosen a round meanwhile, and nothing was written; look at "
                "loop.rounds(), and choose again if more samples are wanted."
            )
        _rounds.add(
            db,
            number,
            "strategy",
            picks,
            strategy=name,
            parameters=parameters,
            seed=plan.seed,
            fingerprint=pool.fingerprint(),
        )
        for key in picks.samples:  # somebody may have labelled it meanwhile
            db.execute(_events.NEED, (key,))
    return batch


def _next_number(db: sqlite3.Connection) -> int:
    """Return the number of the next round; 0 is the test set's."""
    return int(db.execute("SELECT coalesce(max(number), 0) + 1 FROM rounds").fetchone()[0])


def _strategy_for(pool: Pool) -> str:
    """Return the strategy for a pool that the user has made of a model."""
    parts = pool.source.parts
    if len(parts) == 2 or pool.task in ("regression", "vectors"):  # gradients are of features alone
        return "badge"
    return "uncertainty" if parts == ("proba",) else "typi-clust"


def _keys_of(db: sqlite3.Connection, pool: Pool) -> NDArray[np.int64]:
    """Return the loop's row of each row of a pool, by its ids."""
    if pool.ids is None:
        raise ValueError(f"The pool has no ids, so its rows cannot be told; {IDS_ADVICE}")
    known = dict(db.execute("SELECT id, key FROM samples").fetchall())
    ids = [str(name) for name in pool.ids.tolist()]
    unknown = [name for name in ids if name not in known]
    if unknown:
        raise ValueError(
            f"Of the pool {counted_of(len(unknown), len(ids), 'id')} not in the loop: "
            f"{some(unknown)}; the loop has {counted(len(known), 'id')} like "
            f"{some(list(known)[:3])}. Make the pool of this loop's samples, or {IDS_ADVICE}"
        )
    return np.array([known[name] for name in ids], np.int64)


def _with_labels(db: sqlite3.Connection, pool: Pool, keys: NDArray[np.int64]) -> Pool:
    """Give a pool the labels that are known, for strategies that look at them."""
    task = _schema.about(db, "task")
    if task != "multiclass" or pool.task not in POOL_TASKS[task]:
        return pool
    labels = _events.labels(db, task, "majority", ("pool",)).y[keys]
    if all(label is None for label in labels):
        return pool
    if pool.classes is not None:  # by its own names, of a model that may not know each class yet
        own = {str(name): name for name in pool.classes.tolist()}
        labels[:] = [own.get(label) for label in labels]
    return Pool.of(pool, labels=labels, missing_label=None)


def _mixed(
    pool: Pool, batch: Batch | None, at_random: NDArray[np.int64], rng: np.random.Generator
) -> tuple[Batch, list[str]]:
    """Put rows drawn at random into places of a batch drawn at random, too."""
    chosen = np.empty(0, np.int64) if batch is None else batch.indices
    k = len(chosen) + len(at_random)
    is_random = np.zeros(k, dtype=bool)
    is_random[rng.choice(k, len(at_random), replace=False)] = True
    indices = np.empty(k, np.int64)
    indices[is_random], indices[~is_random] = at_random, chosen
    columns: dict[str, Any] = {"indices": indices}
    for name in ("gradient_norms", "d2", "potentials", "scores"):
        values = getattr(batch, name, None)
        if values is not None:
            columns[name] = np.full(k, np.nan)
            columns[name][~is_random] = values
    if "proba" in pool.source.parts:
        columns["pseudo_labels"] = _pseudo_labels(pool, indices)
    batch = Batch(**columns) if batch is None else replace(batch, **columns)
    return batch.described(pool), ["random" if each else "strategy" for each in is_random]


def _pseudo_labels(pool: Pool, rows: NDArray[np.int64]) -> NDArray[Any]:
    proba = np.asarray(without_tensor(pool.read("proba", rows)))
    if pool.n_members is not None:
        proba = proba.mean(axis=0)
    if pool.task == "multilabel":
        return proba >= 0.5
    if pool.task == "binary":
        return (proba.reshape(len(rows), -1)[:, -1] >= 0.5).astype(np.int64)
    return proba.argmax(axis=1).astype(np.int64, copy=False)  # type: ignore[no-any-return]


def _nearest(pool: Pool, batch: Batch) -> list[int | None]:
    """Return the place of the nearest earlier pick of each; None where there is no telling."""
    k, source = len(batch), pool.source
    width = source.n_features + source.n_columns
    if (
        "features" not in source.parts
        or pool.n_members is not None
        or k * k * width > MOST_COMPARED
    ):
        return [None] * k
    picks = pool[batch.indices]
    if not source.n_columns:
        picks = Pool(features=without_tensor(picks.read("features")), task="vectors")
    factors = open_gradients(picks).gather(np.arange(k))
    nearest: list[int | None] = []
    for lo in range(0, k, BLOCK):
        d2 = factors[lo : lo + BLOCK].squared_distances(factors[: lo + BLOCK])
        d2[np.arange(lo, lo + len(d2))[:, None] <= np.arange(d2.shape[1])] = np.inf
        nearest += d2.argmin(axis=1).tolist()
    return [None, *nearest[1:]]


def _named(batch: Batch) -> list[Any]:
    """Return pseudo-labels by the names of the classes; None where these are not known."""
    if batch.classes is None or batch.pseudo_labels is None:
        return [None] * len(batch)
    labels = batch.to_lists()["pseudo_label"]
    return [label if isinstance(label, list) else str(label) for label in labels]


def _numbers(values: NDArray[Any] | None, n: int) -> list[float | None]:
    if values is None:
        return [None] * n
    return [None if np.isnan(value) else float(value) for value in values]


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, bool | int | float | str)
