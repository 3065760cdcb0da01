"""The learning curves of several strategies over the same seeds, and what they say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from labelnext.utils.interval import mean_interval

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray


class Needed(NamedTuple):
    """How many labels a strategy needed to reach an accuracy.

    Parameters
    ----------
    mean : float
        The mean over the seeds. A seed that never reached it counts with the labels it had in
        the end, so that the mean is then a lower bound; leaving it out would flatter.
    half : float
        Half the width of the 95 % interval of the mean; NaN if `mean` is a lower bound.
    reached : int
        How many seeds reached it.
    n_seeds : int
        Of how many.

    Examples
    --------
    >>> from labelnext.experiment import Needed
    >>> print(Needed(152.5, 8.25, 20, 20))
    152 ± 8
    >>> print(Needed(361.25, float("nan"), 17, 20))
    over 361 (17 of 20 reached it)
    """

    mean: float
    half: float
    reached: int
    n_seeds: int

    def __str__(self) -> str:
        if self.n_seeds == 0:
            return "none came to its end"
        if self.reached < self.n_seeds:
            return f"over {self.mean:.0f} ({self.reached} of {self.n_seeds} reached it)"
        if self.n_seeds == 1:
            return f"{self.mean:.0f}"
        return f"{self.mean:.0f} ± {self.half:.0f}"


@dataclass(frozen=True)
class Curves:
    """Learning curves by strategy and seed.

    Parameters
    ----------
    labels : ndarray of shape (n_points,), int64
        How many labels the model had at each point of the curves.
    accuracy : dict of str to ndarray of shape (n_seeds, n_points), float64
        The accuracies by strategy; NaN from where a run failed. Such a run is left out of what
        is counted.
    seeds : tuple of int
        The seeds, in the order of the rows.

    Examples
    --------
    >>> import numpy as np
    >>> from labelnext.experiment import Curves
    >>> accuracy = np.array([[0.8, 0.9, 0.95], [0.7, 0.8, 0.9]])
    >>> curves = Curves(np.array([10, 20, 30]), {"badge": accuracy}, seeds=(0, 1))
    >>> curves.labels_needed(0.9)["badge"].mean
    25.0
    """

    labels: NDArray[np.int64]
    accuracy: Mapping[str, NDArray[np.float64]]
    seeds: tuple[int, ...]

    def labels_needed(self, level: float) -> dict[str, Needed]:
        """Count the labels at which each strategy first measured at least an accuracy.

        Parameters
        ----------
        level : float
            The accuracy, from 0 to 1.

        Returns
        -------
        dict of str to Needed
            Mean and interval by strategy. Counts are those of measured points, nothing is
            interpolated, so they are multiples of the batch size.
        """
        needed = {}
        for strategy, values in self.accuracy.items():
            accuracy = values[np.isfinite(values).all(axis=1)]
            if not len(accuracy):
                needed[strategy] = Needed(float("nan"), float("nan"), 0, 0)
                continue
            hit = accuracy >= level
            reached = hit.any(axis=1)
            counts = np.where(reached, self.labels[hit.argmax(axis=1)], self.labels[-1])
            mean, half = mean_interval(counts)
            if not reached.all():
                half = np.array(np.nan)
            needed[strategy] = Needed(float(mean), float(half), int(reached.sum()), len(hit))
        return needed

    def to_dict(self) -> dict[str, list[Any]]:
        """Return the points of all curves as columns: strategy, seed, labels, accuracy.

        Returns
        -------
        dict of str to list
            One entry for each point, in the order of strategies, seeds and labels.
        """
        rows = [
            (strategy, seed, int(count), float(value))
            for strategy, accuracy in self.accuracy.items()
            for seed, curve in zip(self.seeds, accuracy, strict=True)
            for count, value in zip(self.labels, curve, strict=True)
        ]
        names = ("strategy", "seed", "labels", "accuracy")
        return {name: [row[i] for row in rows] for i, name in enumerate(names)}
