"""Plots over feature space, of batches and of experiments."""

from labelnext.visualization._animation import Scene, animate_batches
from labelnext.visualization._batch import plot_batch
from labelnext.visualization._boundary import plot_decision_boundary
from labelnext.visualization._curves import (
    plot_error_distribution,
    plot_learning_curves,
    plot_penalties,
    plot_seconds,
    plot_stability,
)
from labelnext.visualization._feature_space import plot_contour_for_samples, plot_utilities

__all__ = [
    "Scene",
    "animate_batches",
    "plot_batch",
    "plot_contour_for_samples",
    "plot_decision_boundary",
    "plot_error_distribution",
    "plot_learning_curves",
    "plot_penalties",
    "plot_seconds",
    "plot_stability",
    "plot_utilities",
]
