"""BALD and BatchBALD: what a committee disagrees about although its members are sure."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import entr

from labelnext.engine.threads import for_each, n_threads
from labelnext.estimators import ColdStart, fit_on_labeled
from labelnext.estimators.predict import ask_committee, ask_members, has_members, proba_of
from labelnext.estimators.rows import take_rows
from labelnext.strategies._base import QueryStrategy, check_count, checked, parameters
from labelnext.utils.given import check_integer
from labelnext.utils.labels import split_labels

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from numpy.typing import ArrayLike, NDArray

    from labelnext.strategies._adapter import Fit
    from labelnext.strategies._query import Choice, Mask, Query


# Candidates that are looked at together; numbers that a thread does; and configurations, of those
# that are merged, from which it is known how much a candidate may bring.
_AT_ONCE, _NUMBERS, _MERGED = 512, 1 << 17, 32
_ZERO = 1e-12


def _check_committee(name: str, committee: Any) -> None:
    if not callable(committee):
        raise TypeError(
            f"{name} must be None or a function of (clf, X) that returns probabilities of shape "
            f"(n_members, n_samples, n_classes), got {committee!r}; classifiers go to query, in a "
            f"list, as clf."
        )


@parameters
class CommitteeQueryStrategy(QueryStrategy):
    """Base of the strategies that ask several members of a committee; parameters as in `Bald`."""

    needs = ("members",)

    committee: Callable[[Any, Any], ArrayLike] | None = checked(_check_committee, default=None)
    n_members: int = checked(partial(check_integer, least=2), default=10)

    def _fitter(self, clf: Any, fit_clf: bool, sample_weight: ArrayLike | None) -> Fit | None:
        fitter = super()._fitter
        if isinstance(clf, list | tuple):
            if len(clf) < 2:
                raise ValueError(f"A committee needs two classifiers at least, got {len(clf)}.")
            fits: Any = [fitter(member, fit_clf, sample_weight) for member in clf]
            return lambda X, y: [fit(X, y) for fit in fits]
        fit_one = fitter(clf, fit_clf, sample_weight)
        if fit_one is None:
            return None

        def fit(X: Any, y: ArrayLike) -> Any:
            fitted = fit_one(X, y)
            if self.committee is not None or has_members(fitted):
                return fitted
            if not fit_clf:
                raise TypeError(
                    f"A fitted {type(clf).__name__} is of one opinion, and with fit_clf=False no "
                    f"others can be fitted: pass a list of fitted classifiers, an ensemble, a "
                    f"network with layers of dropout, or set committee to a function."
                )
            weights = None if sample_weight is None else np.asarray(sample_weight)
            return Bootstrap(clf, X, y, weights, self.missing_label)

        return fit

    def _opinions(
        self, clf: Any, X: Any, rng: np.random.Generator
    ) -> Iterator[NDArray[np.float64]]:
        """Yield the probabilities that each member gives to samples, shape (n, n_classes)."""
        shape = None
        for answer in self._ask(clf, X, rng):
            # To a member that knows one class, any other has probability 0.
            proba = np.pad(answer, ((0, 0), (0, 1))) if answer.shape[1] == 1 else answer
            if shape not in (None, proba.shape):
                raise ValueError(
                    f"All members of a committee must know the same classes, but one gives "
                    f"{shape[1] if shape else 0} probabilities and another {proba.shape[1]}."
                )
            shape = proba.shape
            yield proba

    def _ask(self, clf: Any, X: Any, rng: np.random.Generator) -> Iterator[NDArray[np.float64]]:
        if self.committee is not None and not isinstance(clf, ColdStart | list):
            yield from _check(self.committee(clf, X), X.shape[0])
        elif isinstance(clf, list):
            yield from ask_committee(clf, X)
        elif isinstance(clf, Bootstrap):
            yield from clf.ask(X, self.n_members, rng)
        else:
            yield from ask_members(clf, X, self.n_members, rng)


@dataclass(frozen=True)
class Bootstrap:
    """Copies of a classifier, each to be fitted to labels drawn with replacement."""

    clf: Any
    X: Any
    y: ArrayLike
    sample_weight: NDArray[Any] | None
    missing_label: Any

    def ask(
        self, X: Any, n_members: int, rng: np.random.Generator
    ) -> Iterator[NDArray[np.float64]]:
        """Yield the probabilities that each copy gives to samples."""
        labels, missing = split_labels(self.y, self.missing_label)
        known = np.flatnonzero(~missing).astype(np.int64)
        _, codes = np.unique(labels[known].astype(str), return_inverse=True)
        for _ in range(n_members):
            # Within each class, so that all copies know the same ones.
            rows = np.concatenate(
                [
                    known[:0],
                    *(rng.choice(known[codes == c], (codes == c).sum()) for c in set(codes)),
                ]
            )
            weights = None if self.sample_weight is None else self.sample_weight[rows]
            fitted = fit_on_labeled(
                self.clf, take_rows(self.X, rows), labels[rows], weights, self.missing_label
            )
            yield proba_of(fitted, X)


def _check(answer: ArrayLike, n_candidates: int) -> NDArray[np.float64]:
    samples = np.asarray(answer, dtype=np.float64)
    if samples.ndim != 3 or samples.shape[1] != n_candidates or len(samples) == 0:
        raise ValueError(
            f"committee must return probabilities of shape (n_members, {n_candidates}, "
            f"n_classes), got shape {samples.shape}."
        )
    # A NaN fails both.
    if not ((samples >= 0).all() and (np.abs(samples.sum(axis=2) - 1) < 5e-3).all()):
        raise ValueError("committee must return probabilities that sum to 1 over the last axis.")
    return samples


@parameters
class Bald(CommitteeQueryStrategy):
    """
    Choose the samples that the members of a committee disagree about most.

    The score of a sample x is the mutual information of its label y and the member ω of the
    committee, in nats: how uncertain the committee is as a whole, less how uncertain its members
    are alone [1]_, ::

        I(y; ω | x) = H(E_ω p(y | x, ω)) - E_ω H(p(y | x, ω)).

    The committee is found in the classifier. A list of classifiers is one; so are the members of
    a `RandomForestClassifier`, `ExtraTreesClassifier`, `BaggingClassifier` or `VotingClassifier`,
    and `n_members` passes of a network with its layers of dropout at work [2]_, also at the end
    of a pipeline. Of any other classifier `n_members` copies are fitted to labels drawn with
    replacement, within each class.

    Parameters
    ----------
    committee : callable, default=None
        A function of the fitted classifier and the candidates that returns the probabilities of
        all members, shape (n_members, n_samples, n_classes), from samples of a posterior say.
        It is not called while the labels are of fewer than two classes.
    n_members : int, default=10
        How many copies are fitted, or how often a network is asked; at least 2.
    missing_label, random_state : optional
        As in `QueryStrategy`.

    Notes
    -----
    Utilities are the score, ties broken at random. The picks of a batch do not know of each
    other, so that near-duplicates are chosen together; `BatchBald` does better. Calls of
    ``torch.nn.functional.dropout`` in a network cannot be found; layers can.

    References
    ----------
    .. [1] N. Houlsby, F. Huszár, Z. Ghahramani and M. Lengyel, "Bayesian active learning for
       classification and preference learning", 2011, equation 2.
    .. [2] Y. Gal, R. Islam and Z. Ghahramani, "Deep Bayesian active learning with image data",
       ICML 2017.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_digits
    >>> from labelnext.pool import Bald
    >>> X, y_true = load_digits(return_X_y=True)
    >>> from sklearn.ensemble import RandomForestClassifier
    >>> y = np.where(np.arange(len(X)) < 50, y_true, np.nan)
    >>> forest = RandomForestClassifier(20, min_samples_leaf=3, random_state=0)
    >>> Bald(random_state=0).query(X, y, forest, batch_size=3)
    array([ 332, 1564, 1673])
    """

    paper = "Houlsby et al., 2011; Gal et al., ICML 2017"

    def _choose(self, query: Query) -> Choice:
        return query.largest(mutual_information(query.members()))


def mutual_information(opinions: Iterable[NDArray[Any]]) -> NDArray[np.float64]:
    """Return the mutual information of label and member, from each member's probabilities."""
    total: NDArray[Any] | float = 0.0
    entropies: NDArray[Any] | float = 0.0
    n_members = 0
    for proba in opinions:
        total = total + proba
        entropies = entropies + entr(proba).sum(axis=1)
        n_members += 1
    # Rounding could make it negative.
    return np.asarray(np.maximum(entr(total / n_members).sum(axis=1) - entropies / n_members, 0))


@parameters
class BatchBald(CommitteeQueryStrategy):
    """
    Choose the batch whose labels, together, a committee disagrees about most.

    The score of a batch is the mutual information of all its labels and the member ω of the
    committee [1]_, ::

        I(y_1, ..., y_b; ω) = H(y_1, ..., y_b) - E_ω H(y_1, ..., y_b | ω),

    and the batch grows greedily. By the chain rule a sample adds the expectation of its BALD
    score once the labels of the earlier picks are known, ::

        I(y; ω | y_1, ..., y_t) = E[H(Σ_ω p(ω | y_1, ..., y_t) p(y | ω))] - E_ω H(y | ω),

    the first expectation being over configurations of these labels. All configurations count
    while there are at most `n_configurations`. From then on that many are drawn from their law,
    a member first and then its labels, and each goes on with a label of every further pick, so
    that all candidates are measured by the same ones. A candidate never counts for more than its
    BALD score, which no knowledge of other labels can raise; so most are ruled out unmeasured.

    Parameters
    ----------
    committee, n_members : optional
        As in `Bald`, which says what may be a committee.
    n_configurations : int, default=1000
        How many configurations of labels are looked at.
    missing_label, random_state : optional
        As in `QueryStrategy`.

    Notes
    -----
    Utilities are what each candidate adds, in nats; once configurations are drawn, an estimate.
    All labels together tell at most the logarithm of the number of members: when that is
    reached nothing can be added, and the rest of the batch is drawn by lot. A large batch needs
    many members.

    Memory holds a float for each member, candidate and class. Entropy is concave: what a candidate
    adds at the mean of configurations that are alike is no less than what it adds at these. So a
    few means rule out most candidates, and only the rest is measured. 100 of 100,000 candidates of
    10 classes with 5 members take some 20 seconds on two cores.

    References
    ----------
    .. [1] A. Kirsch, J. van Amersfoort and Y. Gal, "BatchBALD: efficient and diverse batch
       acquisition for deep Bayesian active learning", NeurIPS 2019.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_digits
    >>> from labelnext.pool import BatchBald
    >>> X, y_true = load_digits(return_X_y=True)
    >>> from sklearn.ensemble import RandomForestClassifier
    >>> y = np.where(np.arange(len(X)) < 50, y_true, np.nan)
    >>> forest = RandomForestClassifier(20, min_samples_leaf=3, random_state=0)
    >>> BatchBald(random_state=0).query(X, y, forest, batch_size=2)
    array([332, 317])
    """

    paper = "Kirsch et al., NeurIPS 2019"

    n_configurations: int = checked(check_count, default=1000)

    def _choose(self, query: Query) -> Choice:
        # Sample, class, member, so that a product with the members' weights is one of matrices.
        opinions = np.stack(list(query.members()), axis=2)
        within = entr(opinions).sum(axis=(1, 2)) / opinions.shape[2]
        bound = np.maximum(entr(opinions.mean(axis=2)).sum(axis=1) - within, 0)
        # Ties in random order.
        order = np.lexsort((query.rng.random(query.n_candidates), -bound))
        configurations = Configurations.of_nothing(opinions.shape[2])
        picks: list[int] = []

        gains = np.empty(query.n_candidates)

        def measure(rows: NDArray[np.int64]) -> float:
            """Make the gains of some candidates, and return the largest."""
            found = configurations.mean_entropy(opinions, rows) - within[rows]
            # What rounding leaves of 0 must not decide. No label tells more once others are known,
            # whatever the configurations say.
            gains[rows] = np.where(found < _ZERO, 0, np.minimum(found, bound[rows]))
            return float(gains[rows].max())

        def step(is_free: Mask) -> tuple[int, float, NDArray[np.float64]]:
            nonlocal order, configurations
            order = order[is_free[order]]
            gains[:] = np.nan
            n_first = len(order) if query.return_utilities else _AT_ONCE
            best, rest = measure(order[:n_first]), order[n_first:]
            rest = rest[bound[rest] >= best]
            most = configurations.merged(_MERGED).mean_entropy(opinions, rest) - within[rest]
            # With room for rounding on either side.
            gains[rest[most < _ZERO / 2]] = 0
            most += _ZERO
            by_most = np.argsort(-most)
            for at in np.split(by_most, range(_AT_ONCE, len(rest), _AT_ONCE)):
                if len(at) == 0 or most[at[0]] < max(best, 1.5 * _ZERO):
                    break
                best = max(best, measure(rest[at]))
            pick = int(order[np.nanargmax(gains[order])])
            picks.append(pick)
            configurations = configurations.extend(
                opinions[picks], self.n_configurations, query.rng
            )
            return pick, gains[pick], gains

        return query.one_by_one(step)


@dataclass(frozen=True)
class Configurations:
    """Labels that the picks may turn out to have, and what each tells of the members.

    `mass` is the probability of each, together 1. `members` are those of the members once these
    are the labels, shape (n_members, n_configurations): a column sums to 1. `drawn` is the member
    that each was drawn from, or None if they are all that there are.
    """

    mass: NDArray[np.float64]
    members: NDArray[np.float64]
    drawn: NDArray[np.int64] | None = None

    @classmethod
    def of_nothing(cls, n_members: int) -> Configurations:
        """Return the one configuration of no labels."""
        return cls(np.ones(1), np.full((n_members, 1), 1 / n_members))

    def mean_entropy(
        self, opinions: NDArray[np.float64], rows: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """Return the expected entropy of some samples' labels once those of the picks are known.

        `opinions` have the shape (n_samples, n_classes, n_members).
        """
        out = np.empty(len(rows))
        size = max(1, _NUMBERS // (opinions.shape[1] * len(self.mass)))

        def of_block(number: int) -> None:
            block = slice(number * size, (number + 1) * size)
            some = opinions[rows[block]]
            proba = some.reshape(-1, some.shape[2]) @ self.members
            # As scipy's entr, three times as fast; 0 counts as 0.
            logs = np.log(np.maximum(proba, 1e-300))
            logs *= proba
            out[block] = -(logs @ self.mass).reshape(some.shape[:2]).sum(axis=1)

        for_each(of_block, -(-len(rows) // size), n_threads)
        return out

    def merged(self, n: int) -> Configurations:
        """Return about n configurations, each the mean of some that are alike.

        An entropy is concave, so that the expected ones are no less than those of all.
        """
        groups = [np.arange(len(self.mass))]
        while 2 * len(groups) <= min(n, len(self.mass)):
            # In two halves, by the member about which they differ most.
            groups = [
                half
                for group in groups
                for of_group in [self.members[:, group]]
                for half in np.array_split(
                    group[np.argsort(of_group[np.ptp(of_group, axis=1).argmax()])], 2
                )
            ]
        mass = np.array([self.mass[group].sum() for group in groups])
        members = [self.members[:, group] @ self.mass[group] for group in groups]
        return Configurations(mass, np.stack(members, axis=1) / mass)

    def extend(
        self, picked: NDArray[np.float64], limit: int, rng: np.random.Generator
    ) -> Configurations:
        """Return the configurations that have a label of the last pick too, up to a limit of them.

        `picked` has the probabilities of all picks, of shape (n_picks, n_classes, n_members).
        Configurations are drawn if there would be more.
        """
        last = picked[-1]
        if self.drawn is None and len(self.mass) * len(last) <= limit:
            # Each goes on with each of the classes.
            members = self.members[:, :, None] * last.T[:, None, :]
            members = (self.mass[:, None] * members).reshape(len(self.members), -1)
            mass = members.sum(axis=0)
            possible = mass > 0
            return Configurations(mass[possible], members[:, possible] / mass[possible])
        if self.drawn is None:
            return Configurations.draw(picked, limit, rng)
        labels = _draw(last[:, self.drawn], rng)
        members = self.members * last[labels].T
        return Configurations(self.mass, members / members.sum(axis=0), self.drawn)

    @classmethod
    def draw(
        cls, picked: NDArray[np.float64], n_configurations: int, rng: np.random.Generator
    ) -> Configurations:
        """Draw configurations of labels of the picks, shape (n_picks, n_classes, n_members)."""
        n_members = picked.shape[2]
        # The same number from each member, whatever is left from some.
        drawn = rng.permutation(np.arange(n_configurations) % n_members)
        drawn_from = np.full((n_members, n_configurations), 1 / n_members)
        out = cls(np.full(n_configurations, 1 / n_configurations), drawn_from, drawn)
        for t in range(len(picked)):
            out = out.extend(picked[: t + 1], n_configurations, rng)
        return out


def _draw(law: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw a class from each column."""
    levels = law.cumsum(axis=0)
    drawn = (levels < rng.random(law.shape[1]) * levels[-1]).sum(axis=0)
    # A draw of 0 must not end at a class of probability 0.
    possible = np.take_along_axis(law, drawn[None], 0)[0] > 0
    return np.asarray(np.where(possible, drawn, law.argmax(axis=0)), dtype=np.int64)
