"""What `simulate` reads: an experiment with its data, a results file, a folder's manifest."""

import io
import tempfile
from functools import cache
from pathlib import Path

import numpy as np
from sklearn.naive_bayes import GaussianNB
from tests.fuzz import target

from labelnext.experiment import Budget, Experiment, read_experiment
from labelnext.experiment.outputs import MANIFEST, REPORT, Outputs
from labelnext.experiment.toml import EXAMPLE
from labelnext.pool import RandomSampling

X, y = np.arange(24.0).reshape(12, 2), np.arange(12) % 2
OWN = """
data = [{ use = "file", name = "mine", file = "mine.npz", samples = 8 }]
models = { use = "mlp", hidden_layer_sizes = [4] }
strategies = ["badge", { use = "margin", name = "b" }, { use = "max-herding", radius = 0.5 }]
budgets = { start = 2, batch = 1, rounds = 2 }
seeds = [0, 1]
levels = [0.5]
test_size = 0.25
reference = "b"
"""


@cache
def experiments():
    content = io.BytesIO()
    np.savez(content, X=X, y=y)
    return {
        "whole example": {"experiment.toml": EXAMPLE.format(name="e.toml").encode()},
        "whole with data": {"experiment.toml": OWN.encode(), "mine.npz": content.getvalue()},
        "code": {"experiment.toml": OWN.replace('"mlp"', '"os:system"').encode()},
        "deep": {"experiment.toml": b"data = " + b"[" * 5000 + b"]" * 5000},
        "long number": {"experiment.toml": b"seeds = " + b"9" * 5000},
        "no text": {"experiment.toml": b"\xff\xfe"},
    }


@target("experiment", experiments)
def _read(folder):
    experiment = read_experiment(folder / "experiment.toml")
    for name, source in experiment.data.items():
        if name == "mine":
            source()


def small():
    return Experiment(
        data={"toy": (X, y)},
        models={"bayes": GaussianNB()},
        strategies={"random": RandomSampling()},
        budgets=Budget(2, 1, 1),
        seeds=1,
    )


@cache
def results():
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "results.sqlite")
        small().run(path, n_jobs=1)
        return {"whole": {"results.sqlite": path.read_bytes()}, "empty": {"results.sqlite": b""}}


@target("results", results)
def _run(folder):
    small().run(folder / "results.sqlite", n_jobs=1)


@cache
def folders():
    with tempfile.TemporaryDirectory() as folder:
        Outputs(folder, "report").write({"results.csv": b"a,b\n1,2\n"})
        files = {path.name: path.read_bytes() for path in Path(folder).iterdir()}
    return {"whole": files, "a list": files | {MANIFEST: b"[]"}}


@target("manifest of a report", folders)
def _write(folder):
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    try:
        Outputs(folder, "report").write({"results.csv": b"new"}, remove=REPORT)
    except FileExistsError:
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
        raise
