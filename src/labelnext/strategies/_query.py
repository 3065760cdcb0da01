"""What a strategy gets to choose from."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from labelnext.engine.memory_limit import parse_limit
from labelnext.engine.threads import threads_set
from labelnext.pools.check import TOO_SMALL, TOO_SMALL_32, check_proba, refuse_too_small
from labelnext.sampling import choose_by_d2
from labelnext.utils.libraries import is_sparse, is_tensor, plain_float32, without_tensor
from labelnext.utils.memory import say_bytes

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Iterator

    from numpy.typing import NDArray

    from labelnext.cluster import Ray
    from labelnext.pools import Pool
    from labelnext.sampling import Batch, Groups, Progress

    Rows = NDArray[np.int64]
    Mask = NDArray[np.bool_]
    Step = Callable[[Mask], tuple[int, float, NDArray[Any]]]

WORDS = {
    "proba": ("probabilities", "proba=... of the model"),
    "features": ("features", "features=..., what the model's last linear layer sees"),
    "members": (
        "the probabilities of several members of a committee",
        "proba=... of shape (n_members, n_rows, n_classes)",
    ),
    "last_layer": (
        "the model's last linear layer",
        "last_layer=(weights, bias) of shapes (n_classes, n_features) and (n_classes,)",
    ),
}


def _no_rows() -> Rows:
    return np.empty(0, dtype=np.int64)


class Choice(NamedTuple):
    """What a strategy answers.

    Parameters
    ----------
    picks : ndarray of shape (k,), int64
        Distinct places among the candidates, in the order of the picks.
    utilities : ndarray of shape (k, n_candidates), default=None
        Row t is what decided on pick t, NaN at what could not be picked.
    scores : ndarray of shape (k,), default=None
        The utility of each pick at its turn, where it is known without those of all others; None
        takes it from the utilities, if they are there.
    """

    picks: Rows
    utilities: NDArray[np.float64] | None = None
    scores: NDArray[np.float64] | None = None


class Model(Protocol):
    """The classifier behind a pool, for what a pool alone does not tell; see `query`."""

    @property
    def is_cold(self) -> bool:
        """Whether there were too few labels to fit it."""

    def members(self, rng: np.random.Generator) -> Iterable[NDArray[np.float64]]:
        """Return the probabilities that each member of a committee gives to the candidates."""

    def last_step(self) -> Callable[[Any], NDArray[Any]]:
        """Return what makes scores of classes of features."""

    def right_without(self, held: Rows) -> tuple[NDArray[Any], NDArray[np.bool_]] | None:
        """Fit a copy without some labels; return its probabilities there, and where it is right."""


@dataclass(frozen=True, kw_only=True)
class Query:
    """
    What a strategy gets to choose from, checked.

    Parameters
    ----------
    pool : Pool
        All samples.
    k : int
        How many candidates to choose, from 1 to what there is.
    rng : numpy.random.Generator
        Where all randomness is to come from.
    excluded : numpy.ndarray of int64, default=none
        Rows of the pool that are no candidates, ascending: the labelled ones among them.
    labeled : numpy.ndarray of int64, default=none
        Rows of the pool that have a label, ascending.
    labels : numpy.ndarray, default=none
        Their labels.
    return_utilities : bool, default=False
        Whether the utilities are wanted. The choice must not depend on it.
    groups : Groups or None, default=None
        The group of each row of the pool, and how many picks each may have.
    memory_limit : int, str or None, default=None
        What may be read of a pool in files; None is half of the memory that is free.
    model : Model or None, default=None
        The classifier behind the pool, if `query` made it from one.
    asker : str, default="This strategy"
        What messages call the strategy.
    seeded : bool, default=True
        Whether the caller gave a seed.
    own_rows : bool, default=False
        Whether the caller knows the rows of the pool, so that messages name them; else places
        among the candidates.
    progress, checkpoint, cluster : default=None
        As those of `labelnext.select`.

    Examples
    --------
    >>> import numpy as np
    >>> from labelnext.pools import Pool
    >>> from labelnext.strategies import Query
    >>> pool = Pool(features=np.eye(4))
    >>> query = Query(pool=pool, k=2, rng=np.random.default_rng(0), excluded=np.array([1]))
    >>> query.candidates
    array([0, 2, 3])
    >>> query.utilities_of_scores(np.array([0.1, 0.9, 0.5]), np.array([1, 2]))
    array([[0.1, 0.9, 0.5],
           [0.1, nan, 0.5]])
    """

    pool: Pool
    k: int
    rng: np.random.Generator
    excluded: Rows = field(default_factory=_no_rows)
    labeled: Rows = field(default_factory=_no_rows)
    labels: NDArray[Any] = field(default_factory=_no_rows)
    return_utilities: bool = False
    groups: Groups | None = None
    memory_limit: int | str | None = None
    model: Model | None = None
    asker: str = "This strategy"
    seeded: bool = True
    own_rows: bool = False
    progress: Progress | None = None
    checkpoint: str | os.PathLike[str] | None = None
    cluster: Ray | None = None

    def __post_init__(self) -> None:
        # Whether or not the pool is large enough for threads.
        threads_set()

    @cached_property
    def candidates(self) -> Rows:
        """The rows of the pool to choose from, ascending."""
        free = np.ones(self.pool.n_rows, dtype=bool)
        free[self.excluded] = False
        return np.flatnonzero(free).astype(np.int64)

    @property
    def n_candidates(self) -> int:
        """How many candidates there are, at least 1."""
        return self.pool.n_rows - len(self.excluded)

    def proba(self) -> NDArray[np.float64]:
        """
        Return the class probabilities of the candidates, shape (n_candidates, n_classes).

        Rows sum to 1. There are two classes at least: a single logit speaks for two, and where
        one class is known, all candidates are equally uncertain. Of a committee it is the mean.
        """
        return np.asarray(self._proba(self._rows(False)), dtype=np.float64)

    def features(self, with_labeled: bool = False, on_device: bool = False) -> Any:
        """
        Return the features of the candidates, in float32 or float64, all finite.

        Parameters
        ----------
        with_labeled : bool, default=False
            Whether those of the labelled samples follow.
        on_device : bool, default=False
            Whether tensors on a device may stay there; else they are fetched.

        Returns
        -------
        ndarray, CSR matrix or torch.Tensor of shape (n_rows, n_features)
            The features. A ValueError says which are NaN or infinite, or that they take more
            memory than may be taken.
        """
        return self._features(self._rows(with_labeled), on_device)

    def proba_and_features(
        self, with_labeled: bool = False, on_device: bool = False
    ) -> tuple[NDArray[Any], Any]:
        """
        Return the probabilities, in the dtype that they have, and the features.

        Parameters
        ----------
        with_labeled, on_device : bool, default=False
            As in `features`.

        Returns
        -------
        tuple of numpy.ndarray and ndarray, CSR matrix or torch.Tensor
            As from `proba` and `features`.
        """
        rows = self._rows(with_labeled)
        self._afford(rows, "proba", "features")
        return self._proba(rows), self._features(rows, on_device)

    def members(self) -> Iterator[NDArray[np.float64]]:
        """Yield the probabilities of the candidates by each member of a committee, in turn."""
        if self.model is not None:
            opinions = self.model.members(self.rng)
        else:
            rows = self._rows(False)
            read = self._read("proba", rows)
            opinions = (self._checked(np.asarray(proba, dtype=np.float64), rows) for proba in read)
        number = 0
        for number, proba in enumerate(opinions, 1):  # noqa: B007
            yield proba
        if number == 1:
            raise ValueError(
                f"{self.asker} asks a committee of two members at least, got one, with which "
                f"nobody disagrees; pass more, or a strategy that asks one model."
            )

    def last_step(self) -> Callable[[Any], NDArray[Any]]:
        """Return what the model's last step makes of features: a score for each class."""
        if self.model is not None:
            return self.model.last_step()
        assert self.pool.last_layer is not None  # which `needs` has seen to
        weights, bias = self.pool.last_layer

        def scores(features: Any) -> NDArray[Any]:
            if is_tensor(features):
                with plain_float32(features.device):
                    products = features @ features.new_tensor(weights).T
            else:
                products = features @ weights.T
            logits = np.asarray(without_tensor(products)) + (0 if bias is None else bias)
            return np.hstack([-logits, logits]) if logits.shape[1] == 1 else logits

        return scores

    def free(self, places: Rows | None = None) -> Free:
        """Return which candidates, or those at some places, may still be picked; see `Free`."""
        return Free(self.candidates if places is None else self.candidates[places], self.groups)

    def first(self, order: Rows, k: int | None = None) -> Rows:
        """Return the first k of candidates in an order, as far as their groups admit them."""
        k = self.k if k is None else k
        if self.groups is None:
            return order[:k]
        admitted = _rank_within(self.groups.of_row[self.candidates[order]]) < self.groups.limit
        return order[admitted][:k]

    def largest(self, scores: NDArray[np.float64]) -> Choice:
        """Choose the candidates of the largest scores, which no pick changes, ties at random."""
        # All of them have a lot, so that a batch is the start of a larger one.
        lots = self.rng.random(self.n_candidates)
        picks = self.first(np.lexsort((lots, -scores)))
        if not self.return_utilities:
            return Choice(picks, scores=scores[picks])
        return Choice(picks, self.utilities_of_scores(scores, picks))

    def one_by_one(self, step: Step, free: Free | None = None) -> Choice:
        """
        Pick one after the other.

        Parameters
        ----------
        step : callable
            Makes one pick: from a mask of what may be picked to its place, its score, and the
            utilities of all at this turn.
        free : Free, default=None
            What may be picked at first; None is all candidates.

        Returns
        -------
        Choice
            The picks, their scores, and the utilities if they are wanted.
        """
        free = self.free() if free is None else free
        picks, scores, rows = np.empty(self.k, dtype=np.int64), np.empty(self.k), []
        for t in range(self.k):
            picks[t], scores[t], utilities = step(free.mask)
            if self.return_utilities:
                rows.append(np.where(free.mask, utilities, np.nan))
            free.take(int(picks[t]))
        return Choice(picks, np.array(rows) if self.return_utilities else None, scores)

    def utilities_of_scores(self, scores: NDArray[np.float64], picks: Rows) -> NDArray[np.float64]:
        """
        Repeat scores that no pick changes, NaN at what cannot be picked any more.

        Parameters
        ----------
        scores : numpy.ndarray of shape (n_candidates,)
            A score for each candidate.
        picks : numpy.ndarray of shape (k,)
            The picks, in their order.

        Returns
        -------
        numpy.ndarray of shape (k, n_candidates)
            In row t the scores, NaN at the first t picks and at candidates of full groups.
        """
        return self.without_taken(np.tile(scores, (len(picks), 1)), picks)

    def without_taken(self, utilities: NDArray[np.float64], picks: Rows) -> NDArray[np.float64]:
        """Return utilities, with NaN in row t for what picks before t have made unavailable."""
        free = self.free()
        for row, pick in zip(utilities, picks.tolist(), strict=True):
            row[~free.mask] = np.nan
            free.take(pick)
        return utilities

    def pseudo_labels(self, rows: Rows) -> NDArray[Any] | None:
        """Return the most probable class of some rows of the pool; None if nothing tells it."""
        if "proba" not in self.pool.source.parts:
            return None
        proba = without_tensor(self.pool.read("proba", rows))
        proba = proba.mean(axis=0) if proba.ndim == 3 else proba
        if self.pool.task == "multilabel":
            return np.asarray(proba >= 0.5)
        if proba.shape[1] == 1:
            return np.asarray(proba[:, 0] >= 0.5, dtype=np.int64)
        return np.asarray(proba.argmax(axis=1), dtype=np.int64)

    def _rows(self, with_labeled: bool) -> Rows | None:
        """Return the rows to read, None for all of the pool in its order."""
        if len(self.excluded) == 0:
            return None
        if not with_labeled:
            return self.candidates
        rows = np.concatenate([self.candidates, self.labeled])
        in_order = len(rows) == self.pool.n_rows and (np.diff(rows) == 1).all()
        return None if in_order else rows

    def _proba(self, rows: Rows | None) -> NDArray[Any]:
        proba = self._read("proba", rows)
        return self._checked(proba.mean(axis=0) if proba.ndim == 3 else proba, rows)

    def _checked(self, proba: NDArray[Any], rows: Rows | None) -> NDArray[Any]:
        task = self.pool.task
        if task not in ("multiclass", "binary"):
            raise ValueError(
                f"{self.asker} chooses by the probabilities of classes of which one is right, but "
                f"the pool is of task {task!r}; choose strategy='badge', or one that looks at "
                f"features alone, such as 'max-herding'."
            )
        where = partial(self._where, "proba", rows)
        check_proba(proba, task, self.pool.source.stored_as, where)
        if task == "binary":
            positive = proba.astype(np.float64)
            return np.hstack([1 - positive, positive])
        return proba if proba.shape[1] > 1 else np.full((len(proba), 2), 0.5)

    def _features(self, rows: Rows | None, on_device: bool = False) -> Any:
        features = self._read("features", rows, on_device)
        features = finite(features, partial(self._where, "features", rows))
        refuse_too_small(features, TOO_SMALL if str(features.dtype)[-2:] == "64" else TOO_SMALL_32)
        return features

    def _where(self, part: Any, rows: Rows | None, place: int) -> str:
        """Say in a message which row it is that was read at a place."""
        if not self.own_rows:
            return f"{place} of the candidates"
        row, source = place if rows is None else int(rows[place]), self.pool.source
        said = source.where(row, part)  # "row 7 of arrays"
        return said.split()[1] if source.in_memory else f"{row} ({said})"

    def _read(self, part: Any, rows: Rows | None, on_device: bool = False) -> Any:
        self._afford(rows, part)
        values = self.pool.read(part, rows)
        return values if on_device else without_tensor(values)

    def _afford(self, rows: Rows | None, *parts: Any) -> None:
        """Refuse to read more of files than memory has room for."""
        source = self.pool.source
        if source.in_memory:
            return
        n_rows = self.pool.n_rows if rows is None else len(rows)
        members = {"proba": source.n_members or 1}
        needed = n_rows * sum(
            members.get(part, 1) * source.width(part) * source.dtypes[part].itemsize
            for part in parts
        )
        limit = parse_limit(self.memory_limit)
        if needed > limit:
            raise ValueError(
                f"{self.asker} reads the {' and '.join(WORDS[part][0] for part in parts)} of all "
                f"{n_rows:,} candidates at once, which take {say_bytes(needed)}, but memory_limit "
                f"is {say_bytes(limit)}; allow as much, exclude some, or choose strategy='badge' "
                f"or 'core-set', which read them in stretches."
            )


class Free:
    """Which of some rows of a pool may still be picked, as picks are taken and groups fill."""

    def __init__(self, rows: Rows, groups: Groups | None) -> None:
        self.mask: NDArray[np.bool_] = np.ones(len(rows), dtype=bool)
        """True where a candidate may be picked, shape (n,); changes with each pick."""
        self._of_row = None if groups is None else groups.of_row[rows]
        self._limit = 0 if groups is None else groups.limit
        self._taken: dict[int, int] = {}

    def take(self, pick: int) -> None:
        """Pick a candidate, by its place."""
        self.mask[pick] = False
        if self._of_row is not None:
            group = int(self._of_row[pick])
            self._taken[group] = self._taken.get(group, 0) + 1
            if self._taken[group] == self._limit:
                self.mask[self._of_row == group] = False


def _rank_within(groups: Rows) -> Rows:
    """Return how many of its group come before each."""
    order = np.argsort(groups, kind="stable")
    _, starts, counts = np.unique(groups[order], return_index=True, return_counts=True)
    ranks = np.empty(len(groups), dtype=np.int64)
    ranks[order] = np.arange(len(groups)) - np.repeat(starts, counts)
    return ranks


def finite(features: Any, where: Callable[[int], str]) -> Any:
    """Return features in float32 or float64, or say which row is not finite."""
    if is_tensor(features):
        if features.element_size() < 4 and features.is_floating_point():
            features = features.float()
        features = features if features.is_floating_point() else features.double()
    elif features.dtype not in (np.float32, np.float64):
        features = features.astype(np.float32 if features.dtype == np.float16 else np.float64)
    values = features.data if is_sparse(features) else features
    # A sum is finite only if all it adds is; a whole mask would be as long as the features.
    with np.errstate(over="ignore", invalid="ignore"):
        if np.isfinite(float(values.sum() if is_tensor(values) else values.sum(dtype=np.float64))):
            return features
    rows = without_tensor(features)
    rows = np.asarray(abs(rows).max(axis=1).todense() if is_sparse(rows) else rows)
    wrong = ~np.isfinite(rows.reshape(features.shape[0], -1)).all(axis=1)
    if wrong.any():
        raise ValueError(
            f"The features must be finite, got NaN or an infinity in row "
            f"{where(int(np.flatnonzero(wrong)[0]))}; drop or impute such samples."
        )
    return features


def choose_badge(query: Query, *, condition_on_labeled: bool) -> Batch:
    """Choose by BADGE: D² sampling over the gradients of a pool, wherever it lives."""
    centres = query.labeled if condition_on_labeled else _no_rows()
    return choose_by_d2(
        query.pool,
        query.k,
        exclude=np.setdiff1d(query.excluded, centres) if len(centres) else query.excluded,
        centres=centres,
        groups=query.groups,
        rng=query.rng,
        seeded=query.seeded,
        progress=query.progress,
        checkpoint=query.checkpoint,
        memory_limit=query.memory_limit,
        cluster=query.cluster,
    )


def badge_needs(pool: Pool) -> tuple[str, ...]:
    """Return what BADGE needs of a pool: features alone where they are the gradients."""
    return ("features",) if pool.task in ("regression", "vectors") else ("proba", "features")


def check_needs(strategy: str, needs: tuple[str, ...], pool: Pool) -> None:
    """Refuse a pool that lacks what a strategy needs, and say what to pass."""
    lacks = [need for need in needs if not _has(pool, need)]
    if lacks:
        known = [WORDS[part][0] for part in pool.source.parts]
        raise ValueError(
            f"{strategy} needs {' and '.join(WORDS[need][0] for need in lacks)}; this pool has "
            f"{' and '.join(known) or 'neither probabilities nor features'}"
            f"{' only' if known else ''}: make it with "
            f"{' and '.join(WORDS[need][1] for need in lacks)}."
        )


def _has(pool: Pool, need: str) -> bool:
    if need == "members":
        return pool.n_members is not None
    if need == "last_layer":
        return pool.last_layer is not None
    return need in pool.source.parts
