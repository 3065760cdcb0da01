"""What every loader hands back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """A data set in memory, and where it came from.

    Parameters
    ----------
    X : ndarray
        The samples, one a row: numbers of shape (n_samples, n_features), or texts of shape
        (n_samples,) and dtype object.
    y : ndarray of shape (n_samples,), int64
        The class of each sample, as a place in `target_names`.
    name : str
        What the set is called.
    source : str
        The file or the service that it was read from.
    target_names : tuple of str
        The names of the classes.

    Examples
    --------
    >>> import numpy as np
    >>> from labelnext.datasets import Dataset
    >>> Dataset(np.zeros((3, 2)), np.array([0, 1, 1]), "Toy", "memory", ("no", "yes"))
    Dataset 'Toy': 3 samples of 2 features, 2 classes, from memory
    """

    X: NDArray[Any]
    y: NDArray[np.int64]
    name: str
    source: str
    target_names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.y)

    def __repr__(self) -> str:
        kind = f"{self.X.shape[1]} features" if self.X.ndim == 2 else "text"
        return (
            f"Dataset {self.name!r}: {len(self)} samples of {kind}, "
            f"{len(self.target_names)} classes, from {self.source}"
        )
