"""Simulated active learning: how good is a model, after how many labels, by which strategy."""

from labelnext.experiment._compare import compare
from labelnext.experiment._curves import Curves, Needed
from labelnext.experiment._experiment import Budget, Experiment, Setting
from labelnext.experiment._pairwise import PairedTest, Penalties
from labelnext.experiment._results import Failure, Results
from labelnext.experiment._rounds import Round
from labelnext.experiment._simulate import Run, simulate
from labelnext.experiment._split import Split, split
from labelnext.experiment._stopping import StoppingAdvice
from labelnext.experiment._store import ResultsFileError
from labelnext.experiment.toml import read_experiment

__all__ = [
    "Budget",
    "Curves",
    "Experiment",
    "Failure",
    "Needed",
    "PairedTest",
    "Penalties",
    "Results",
    "ResultsFileError",
    "Round",
    "Run",
    "Setting",
    "Split",
    "StoppingAdvice",
    "compare",
    "read_experiment",
    "simulate",
    "split",
]
