"""Simulated active learning: how good is a model, after how many labels, by which strategy."""

from labelnext.experiment._compare import compare
from labelnext.experiment._curves import Curves, Needed
from labelnext.experiment._rounds import Round
from labelnext.experiment._simulate import Run, simulate
from labelnext.experiment._split import Split, split

__all__ = ["Curves", "Needed", "Round", "Run", "Split", "compare", "simulate", "split"]
