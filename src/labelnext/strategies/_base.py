"""What all strategies share: the one method to override, and the two doors to it."""

from __future__ import annotations

import inspect
import warnings
from abc import ABC, abstractmethod
from dataclasses import dataclass, field, fields
from functools import partial, wraps
from typing import TYPE_CHECKING, Any, ClassVar, dataclass_transform

import numpy as np
from sklearn.base import BaseEstimator

from labelnext.sampling import Batch
from labelnext.strategies._adapter import Asked, find_candidates, fitter, pool_of_model
from labelnext.strategies._arguments import number_groups
from labelnext.strategies._query import WORDS, Choice, Query
from labelnext.utils import MISSING_LABEL
from labelnext.utils.given import check_flag, check_integer
from labelnext.utils.random import as_generator

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike, NDArray

    from labelnext.pools import Pool
    from labelnext.sampling import Groups
    from labelnext.strategies._adapter import Fit

    Check = Callable[[str, Any], None]
    Picks = NDArray[np.int64]
    Utilities = NDArray[np.float64]


def checked(check: Check, *, default: Any, kw_only: bool = True) -> Any:
    """Declare a parameter, with what refuses a value under its name; a default of None will do."""
    return field(default=default, kw_only=kw_only, metadata={"check": check})


check_count = partial(check_integer, least=1)


@dataclass_transform(kw_only_default=True, field_specifiers=(field, checked))
def parameters(cls: type[Any]) -> Any:
    """Make a constructor of a strategy's fields, which keeps what it is given by name."""
    cls = dataclass(kw_only=True, eq=False, repr=False)(cls)
    keep, signature = cls.__init__, inspect.signature(cls.__init__)
    last = {"missing_label", "random_state"}
    known = sorted(signature.parameters.values(), key=lambda one: one.name in last)
    n_by_place = sum(one.kind is not one.KEYWORD_ONLY for one in known[1:])

    @wraps(keep)
    def init(self: Any, *by_place: Any, **by_name: Any) -> None:
        if len(by_place) > n_by_place:
            raise TypeError(
                f"{type(self).__name__} takes its parameters by name, got "
                f"{by_place[n_by_place]!r} without one; the size of a batch goes to query, as "
                f"batch_size, or to labelnext.select, as k."
            )
        keep(self, *by_place, **by_name)

    init.__signature__ = signature.replace(parameters=known)  # type: ignore[attr-defined]
    cls.__init__ = init
    return cls


@dataclass(init=False, kw_only=True, eq=False, repr=False)
class QueryStrategy(BaseEstimator, ABC):  # type: ignore[misc]
    """
    Base of all strategies: all that does not depend on how samples are chosen.

    A strategy says in `needs` what it asks of a pool, and overrides `_choose`. It can then be
    asked in two ways that make the same choice: ``labelnext.select(pool, k, strategy=...)``, and
    ``strategy.query(X, y, clf)`` in scikit-activeml's manner, which asks the classifier what the
    strategy needs and makes a pool of the answer. Both go through these steps:

    1. `_check_parameters`, for parameters of the strategy's own; the constructor keeps what it
       is given and checks nothing, as scikit-learn asks.
    2. The samples, labels, candidates and batch size are checked, and what the pool lacks is
       refused.
    3. A generator is made of `random_state`.
    4. `_choose` gets all this as a `Query` and returns places among the candidates, and the
       utilities if they are wanted.
    5. Places become rows, and utilities get their columns, NaN where there is no candidate.

    A strategy keeps no state: a query changes neither it nor anything that it is given. One that
    picks by `Query.largest`, `Query.first` or `Query.free` heeds groups; what no batch may hold
    is refused.

    Parameters
    ----------
    missing_label : scalar, str or None, default=numpy.nan
        What stands for a missing label in `query`; a pool knows its own.
    random_state : int, RandomState, Generator or None, default=None
        The seed. Randomness is a function of it and of how many samples have no label: the same
        call gives the same batch, and the rounds of a loop differ although the seed stays the
        same. A generator is copied, never advanced. None takes a seed from NumPy's global
        generator, so that `numpy.random.seed` rules.

    Examples
    --------
    A strategy that prefers samples far from the origin:

    >>> import numpy as np
    >>> import labelnext
    >>> from labelnext.strategies import QueryStrategy
    >>> class Farthest(QueryStrategy):
    ...     needs = ("features",)
    ...
    ...     def _choose(self, query):
    ...         return query.largest(np.linalg.norm(query.features(), axis=1))
    >>> X = np.array([[3.0, 4.0], [1.0, 0.0], [6.0, 8.0]])
    >>> labelnext.select(labelnext.Pool(features=X), 2, strategy=Farthest, exclude=[1]).indices
    array([2, 0])
    >>> picks, utilities = Farthest().query(
    ...     X, y=[np.nan, 0, np.nan], batch_size=2, return_utilities=True
    ... )
    >>> picks
    array([2, 0])
    >>> utilities
    array([[ 5., nan, 10.],
           [ 5., nan, nan]])
    """

    needs: ClassVar[tuple[str, ...]] = ()
    """What the strategy asks of a pool: some of "proba", "features", "members", "last_layer"."""

    looks_at_labeled: ClassVar[bool] = False
    """Whether it asks for the features (or probabilities) of labelled samples too."""

    counts_bias: ClassVar[bool] = False
    """Whether features are followed by a 1 where the pool has a bias; if not, that is refused."""

    takes_groups: ClassVar[bool] = True
    """Whether it heeds `max_per_group`; if not, a limit is refused."""

    batches_are_prefixes: ClassVar[bool] = True
    """Whether the batch for a smaller size is the start of that for a larger one."""

    paper: ClassVar[str] = ""
    """Where the strategy comes from, in a few words."""

    max_per_group = None
    """How many picks a group may have, unless the call says it."""

    missing_label: Any = MISSING_LABEL
    random_state: Any = None

    def __init__(self, missing_label: Any = MISSING_LABEL, random_state: Any = None) -> None:
        self.missing_label = missing_label
        self.random_state = random_state

    @abstractmethod
    def _choose(self, query: Query) -> Choice | tuple[Picks, Utilities | None] | Picks:
        """Choose among the candidates.

        Parameters
        ----------
        query : Query
            What to choose from.

        Returns
        -------
        Choice, or its first or first two values alone
            Picks should be the start of those for any larger batch; utilities are not looked at
            unless `query.return_utilities`.
        """

    def _check_parameters(self) -> None:
        """Raise if a parameter of the strategy's own is not as it should be."""
        for each in fields(self):
            check, value = each.metadata.get("check"), getattr(self, each.name)
            if check is not None and (value is not None or each.default is not None):
                check(each.name, value)

    def _needs_of(self, pool: Pool) -> tuple[str, ...]:
        """Return what the strategy needs of this pool."""
        del pool
        return self.needs

    def _select(self, query: Query) -> Batch:
        """Choose from a pool, and tell what is known of each pick."""
        picks, utilities, scores = self._choice(query)
        if scores is None and utilities is not None:
            scores = utilities[np.arange(len(picks)), picks]
        rows = query.candidates[picks]
        labels = query.pseudo_labels(rows)
        return Batch(rows, labels, scores=scores, stats={"picks": len(rows)}).described(query.pool)

    def _choice(self, query: Query) -> Choice:
        """Choose, and refuse picks that no batch may hold."""
        answer = self._choose(query)
        choice = Choice(*answer) if isinstance(answer, tuple) else Choice(answer)
        picks, n, name = np.asarray(choice.picks), query.n_candidates, type(self).__name__
        good = picks.shape == (query.k,) and picks.dtype.kind in "iu"
        if not (good and (picks >= 0).all() and (picks < n).all() and len(set(picks)) == query.k):
            raise ValueError(
                f"{name}._choose must return {query.k} distinct integers from 0 to {n - 1}, places "
                f"among the candidates, got {choice.picks!r}."
            )
        if query.groups is not None:
            of_pick = query.groups.of_row[query.candidates[picks]]
            if np.bincount(of_pick).max() > query.groups.limit:
                raise ValueError(
                    f"{name}._choose has picked more than {query.groups.limit} of one group: it "
                    f"must choose with query.first or query.free, or say takes_groups = False."
                )
        return choice._replace(picks=picks.astype(np.int64, copy=False))

    def _limit(self, max_per_group: int | None, name: str) -> int | None:
        """Return how many picks a group may have; refuse a limit that would not be heeded."""
        limit = self.max_per_group if max_per_group is None else max_per_group
        if limit is not None and not self.takes_groups:
            raise TypeError(
                f"{name} takes no groups, and would pick more than "
                f"max_per_group={limit!r} of one; leave it out, or choose another strategy."
            )
        return limit

    def query(
        self,
        X: Any,
        y: ArrayLike,
        clf: Any = None,
        fit_clf: bool = True,
        sample_weight: ArrayLike | None = None,
        candidates: Any = None,
        batch_size: int = 1,
        return_utilities: bool = False,
        groups: ArrayLike | None = None,
        max_per_group: int | None = None,
        features: Any = None,
    ) -> Picks | tuple[Picks, Utilities]:
        """
        Choose the samples to be labelled next.

        Parameters
        ----------
        X : array-like, sparse matrix or frame of shape (n_samples, ...)
            All samples, labelled or not. The classifier gets them as they are, pandas and polars
            frames too; a list of texts will do for a pipeline that takes texts. Images, tokens
            and tensors are samples for a network.
        y : array-like of shape (n_samples,)
            Their labels, numbers or strings, some or all of them missing.
        clf : classifier, default=None
            Any classifier with `predict_proba`; or, with ``fit_clf=False``, a trained
            `torch.nn.Module` whose outputs are logits. It is not changed. None will do for a
            strategy that needs features alone: they are then X itself. A strategy that asks a
            committee takes a list of classifiers, too.
        fit_clf : bool, default=True
            Whether to fit a copy of `clf`: one with a parameter `missing_label` to all samples,
            any other to the labelled ones. While the labels are of fewer than two classes, all
            samples count as equally uncertain, and the transformers of a pipeline are fitted
            without labels, to the candidates and to the labelled samples where a strategy looks
            at those. If False, `clf` has been fitted and is used as it is.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the samples for fitting.
        candidates : array-like, default=None
            What to choose from. None: the samples without a label; one dimension of integers:
            these rows of X, labelled or not; more dimensions: samples, which need not be in X.
        batch_size : int, default=1
            How many samples to choose; at most all candidates, with a warning.
        return_utilities : bool, default=False
            Whether to return the utilities too. They do not change the batch.
        groups : array-like of shape (n_samples,) or (n_candidates,), default=None
            With `max_per_group`, the group of each sample of X, or of each candidate if
            `candidates` holds samples: any hashable values, none of them missing.
        max_per_group : int, default=None
            How many picks a group may have. When it is full its samples are candidates no more.
        features : array-like or sparse matrix of shape (n_samples, n_features), default=None
            What the classifier's last linear step sees, where the classifier does not tell or
            something better is known. None asks the classifier.

        Returns
        -------
        query_indices : numpy.ndarray of shape (batch_size,), int64
            The chosen samples, in the order of the picks: rows of `candidates` if it holds
            samples, else rows of X.
        utilities : numpy.ndarray of shape (batch_size, n_samples) or (batch_size, n_candidates)
            Only if asked for. Row t is what decided on pick t, in columns that
            `query_indices` refers to; NaN at what could not be picked.

        Raises
        ------
        TypeError, ValueError, sklearn.exceptions.NotFittedError
            If an argument is of the wrong type or does not fit another, `clf` has no
            `predict_proba`, is missing or must be fitted, or there is no candidate.

        Warns
        -----
        UserWarning
            If there are fewer candidates than `batch_size`, or groups leave fewer.
        """
        self._check_parameters()
        fit = self._fitter(clf, fit_clf, sample_weight)
        asked = Asked.of(X, y, missing_label=self.missing_label, fit=fit, features=features)
        name = type(self).__name__
        found = find_candidates(asked.X, asked.unlabelled, candidates, name)
        check_integer("batch_size", batch_size, least=1)
        check_flag("return_utilities", return_utilities)
        limit = self._limit(max_per_group, name)
        grouped = number_groups(groups, limit, found.n_rows, found.rows)
        query = pool_of_model(
            self,
            asked,
            found,
            grouped,
            k=self._cut(int(batch_size), len(found), grouped),
            rng=as_generator(self.random_state, len(asked.unlabelled)),
            return_utilities=bool(return_utilities),
        )
        picks, utilities, _ = self._choice(query)
        if not return_utilities:
            return found.rows[picks]
        assert utilities is not None, f"{type(self).__name__}._choose returned no utilities"
        return found.rows[picks], found.spread(utilities)

    def _fitter(self, clf: Any, fit_clf: bool, sample_weight: ArrayLike | None) -> Fit | None:
        """Check the classifier, and return what fits a copy of it for a query."""
        if clf is None:
            lacks = [need for need in self.needs if need != "features"]
            if lacks or sample_weight is not None:
                raise TypeError(
                    f"{type(self).__name__}.query needs a classifier as clf, whose "
                    f"{WORDS[lacks[0]][0] if lacks else 'fit takes sample_weight'}"
                    f"{' it looks at' if lacks else ''}."
                )
            return None
        return fitter(clf, fit_clf, sample_weight, self.missing_label)

    def _cut(self, batch_size: int, n_candidates: int, groups: Groups | None) -> int:
        """Return the batch size, or with a warning the largest that can be had."""
        most = n_candidates if groups is None else groups.most()
        if batch_size <= most:
            return batch_size
        if most == n_candidates:
            message = f"the number of candidates; all {most} of them are returned."
        else:
            message = f"what max_per_group leaves of the candidates; {most} of them are returned."
        # Seen from where `query` is called, that of a strategy with a signature of its own too.
        own = type(self).query is not QueryStrategy.query
        message = f"batch_size={batch_size} is larger than {message}"
        warnings.warn(message, UserWarning, stacklevel=3 + own)
        return most
