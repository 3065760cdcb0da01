"""Simulated active learning: how good is a model, after how many labels, by which strategy."""

from labelnext.experiment._compare import compare
from labelnext.experiment._results import Needed, Results
from labelnext.experiment._simulate import Run, Split, simulate, split

__all__ = ["Needed", "Results", "Run", "Split", "compare", "simulate", "split"]
