"""Simulated active learning: how good is a model, after how many labels, by which strategy."""

from labelnext.experiment._experiment import Experiment, compare
from labelnext.experiment._records import (
    Budget,
    Curves,
    Failure,
    Needed,
    PairedTest,
    Penalties,
    Round,
    Setting,
)
from labelnext.experiment._report import Results
from labelnext.experiment._simulate import Run, Split, simulate, split
from labelnext.experiment._stopping import StoppingAdvice
from labelnext.experiment._stopping import fallen_at as fallen_at
from labelnext.experiment._stopping import stable_at as stable_at
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
