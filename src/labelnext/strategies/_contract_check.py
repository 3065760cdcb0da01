"""The contract of a query strategy, as a function that users can call in their tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sklearn.linear_model import LogisticRegression

from labelnext.strategies import _contract_batches as _batches
from labelnext.strategies import _contract_containers as _containers
from labelnext.strategies import _contract_estimator as _estimator
from labelnext.strategies import _contract_refusals as _refusals
from labelnext.strategies._contract_asker import Asker

if TYPE_CHECKING:
    from collections.abc import Callable

CHECKS: tuple[Callable[[Asker], None], ...] = (
    *_estimator.CHECKS,
    *_batches.CHECKS,
    *_containers.CHECKS,
    *_refusals.CHECKS,
)


def check_query_strategy(strategy: Any, clf: Any = None) -> None:
    """
    Check that a query strategy keeps the contract that all strategies of `labelnext.pool` keep.

    It is an estimator like any other, and keeps no state. A query returns distinct candidates,
    the same ones for the same seed; its utilities are NaN where nothing could be picked, and
    asking for them does not change the batch. It takes samples, labels and candidates in all
    their forms, repeated points and no labels at all among them, changes none of its arguments,
    and refuses what is wrong. If it says ``batches_are_prefixes``, as it does unless its class
    says otherwise, the batch for a smaller size is the start of that for a larger one.

    Parameters
    ----------
    strategy : QueryStrategy
        The strategy, with any parameters. It is cloned, and its `missing_label` and
        `random_state` are set.
    clf : classifier, default=None
        What it is to ask, if its `query` has an argument `clf`; one that takes few samples,
        sparse ones and labels of any kind. None stands for a `LogisticRegression`.

    Raises
    ------
    AssertionError
        If the contract is broken. The message says which part of it.

    See Also
    --------
    labelnext.strategies.QueryStrategy : The base that does most of this.

    Notes
    -----
    Frames of pandas and polars are tried if these are installed.

    Examples
    --------
    >>> from labelnext.pool import RandomSampling
    >>> from labelnext.strategies import check_query_strategy
    >>> check_query_strategy(RandomSampling())

    One that picks the same sample twice is found out:

    >>> class Twice(RandomSampling):
    ...     def _choose(self, query):
    ...         picks, utilities = super()._choose(query)
    ...         return picks // 2, utilities
    >>> check_query_strategy(Twice())
    Traceback (most recent call last):
        ...
    AssertionError: Twice breaks the contract, a batch holds distinct candidates: ...
    """
    asker = Asker(strategy, LogisticRegression(max_iter=10_000) if clf is None else clf)
    for check in CHECKS:
        try:
            check(asker)
        except Exception as error:
            part = (check.__doc__ or "").strip().rstrip(".")
            part = part[:1].lower() + part[1:]
            raise AssertionError(
                f"{type(strategy).__name__} breaks the contract, {part}: "
                f"{type(error).__name__}: {error}"
            ) from error
