"""Labels that picks may turn out to have, and what they tell of the members of a committee."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Configurations:
    """Labels that the picks may turn out to have, and what each tells of the members.

    Parameters
    ----------
    mass : ndarray of shape (n_configurations,)
        The probability of each; together 1.
    members : ndarray of shape (n_members, n_configurations)
        The probability of each member once these are the labels; a column sums to 1.
    drawn : ndarray of shape (n_configurations,), int64, or None
        The member that each was drawn from, or None if they are all that there are.
    """

    mass: NDArray[np.float64]
    members: NDArray[np.float64]
    drawn: NDArray[np.int64] | None = None

    @classmethod
    def of_nothing(cls, n_members: int) -> Configurations:
        """Return the one configuration of no labels."""
        return cls(np.ones(1), np.full((n_members, 1), 1 / n_members))

    def mean_entropy(self, opinions: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the expected entropy of each sample's label once those of the picks are known."""
        total = np.zeros(len(opinions))
        for c in range(opinions.shape[1]):
            proba = opinions[:, c] @ self.members
            # As scipy's entr, three times as fast; 0 counts as 0.
            total -= (proba * np.log(np.maximum(proba, 1e-300))) @ self.mass
        return total

    def extend(
        self, picked: NDArray[np.float64], limit: int, rng: np.random.Generator
    ) -> Configurations:
        """Return the configurations that have a label of the last pick too.

        Parameters
        ----------
        picked : ndarray of shape (n_picks, n_classes, n_members)
            The probabilities of all picks.
        limit : int
            How many configurations there may be.
        rng : numpy.random.Generator
            Where configurations are drawn from, if there would be more.
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
