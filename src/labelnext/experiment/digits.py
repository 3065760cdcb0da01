"""The demo: handwritten digits, and how many labels BADGE saves on them."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING, Any

import numpy as np
from sklearn.manifold import TSNE
from sklearn.neural_network import MLPClassifier
from threadpoolctl import threadpool_limits

from labelnext.estimators import proba_and_features
from labelnext.experiment._catalog import find_data
from labelnext.experiment._experiment import compare
from labelnext.experiment._simulate import simulate, split
from labelnext.visualization import Scene, animate_batches

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from numpy.typing import NDArray

    from labelnext.experiment._records import Curves

START = BATCH = 25
BATCHES = 19
LEVELS = (0.90, 0.95)


def describe(n_seeds: int) -> str:
    """Say under which settings the numbers came out."""
    return (
        "scikit-learn's 1,797 handwritten digits, a third of them kept as test set; a network with "
        "one hidden layer of 32 units (L-BFGS stopped after 60 iterations, L2 penalty 0.1), "
        f"trained from scratch after each batch of {BATCH}, from {START} random labels to "
        f"{START + BATCH * BATCHES}. Mean and 95 % interval over {n_seeds} seeds, at each of which "
        "all strategies share pool, start, test set and network."
    )


def make_model() -> Any:
    """Make the network; stopped after 60 iterations, since the demo then takes half the time."""
    return MLPClassifier((32,), solver="lbfgs", alpha=0.1, max_iter=60)


def compare_on_digits(
    seeds: Iterable[int],
    n_batches: int = BATCHES,
    n_jobs: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Curves:
    """Run all strategies at all seeds, the one to look at first and what it is to beat last."""
    return compare(
        {"BADGE": "badge", "margin": "margin", "random": "random"},
        make_model(),
        *find_data("digits")(),
        n_start=START,
        batch_size=BATCH,
        n_batches=n_batches,
        seeds=seeds,
        n_jobs=n_jobs,
        progress=progress,
    )


def animate_digits(file: Path | IO[bytes], n_batches: int = 7, seed: int = 0) -> None:
    """Write the animation of BADGE's first batches at one seed, beside random choice."""
    # A pool of a third, 599 digits: so many can be told apart on a map.
    parts = split(*find_data("digits")(), seed=seed, n_start=START, test_size=2 / 3)
    seen: list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]] = []

    def watch(model: Any, y: NDArray[np.float64], picks: NDArray[np.int64]) -> None:
        residuals, features = proba_and_features(model, parts.X)
        residuals = residuals - np.eye(residuals.shape[1])[residuals.argmax(axis=1)]
        norms = np.linalg.norm(residuals, axis=1) * np.linalg.norm(features, axis=1)
        seen.append((np.flatnonzero(~np.isnan(y)), picks, norms))

    sizes: dict[str, Any] = {"batch_size": BATCH, "n_batches": n_batches}
    with threadpool_limits(1):
        badge = simulate("badge", make_model(), parts, watch=watch, **sizes)
        random = simulate("random", make_model(), parts, **sizes)
        # For the eye only: neither model nor strategy sees this map.
        tsne = TSNE(perplexity=20, max_iter=500, init="pca", random_state=seed, n_jobs=1)
        places = tsne.fit_transform(parts.X)
    scenes = [
        Scene(labelled, picks, norms, accuracy)
        for (labelled, picks, norms), accuracy in zip(seen, badge.accuracy[:-1], strict=True)
    ]
    animate_batches(
        parts.X.reshape(-1, 8, 8),
        places,
        scenes,
        file,
        curves={"random": random.accuracy[:-1]},
        title="BADGE chooses digits",
    )
