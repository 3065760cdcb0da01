"""Plots over feature space, of batches and of experiments."""

from labelnext.visualization._animation import Scene, animate_batches
from labelnext.visualization._batch import plot_batch
from labelnext.visualization._curves import plot_learning_curves

__all__ = ["Scene", "animate_batches", "plot_batch", "plot_learning_curves"]
