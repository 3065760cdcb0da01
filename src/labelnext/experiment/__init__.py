"""Simulated active learning: how good is a model, after how many labels, by which strategy."""

from labelnext.experiment._compare import compare
from labelnext.experiment._curves import Curves, Needed
from labelnext.experiment._experiment import Budget, Experiment, Setting
from labelnext.experiment._results import Failure, Results
from labelnext.experiment._rounds import Round
from labelnext.experiment._simulate import Run, simulate
from labelnext.experiment._split import Split, split
from labelnext.experiment._store import ResultsFileError

__all__ = [
    "Budget",
    "Curves",
    "Experiment",
    "Failure",
    "Needed",
    "Results",
    "ResultsFileError",
    "Round",
    "Run",
    "Setting",
    "Split",
    "compare",
    "simulate",
    "split",
]
