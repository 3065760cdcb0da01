"""The guide to experiments: what it shows can be typed as it stands."""

import re
import textwrap
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits
from typer.testing import CliRunner

import broken_strategies
from labelnext.cli import app
from labelnext.experiment import _report, read_experiment
from labelnext.visualization.figures import picture

GUIDE = Path(__file__).parents[2] / "docs" / "guide" / "experiments.rst"


def blocks(language):
    found = re.findall(rf"\.\. code-block:: {language}\n\n((?: {{3}}.*\n|\n)+)", GUIDE.read_text())
    return [textwrap.dedent(block) for block in found]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("labelnext.experiment._experiment.cpu_count", lambda: 1)
    X, y = load_digits(return_X_y=True)
    np.savez("mine.npz", X=X[:900], y=y[:900])


def test_commands(monkeypatch):
    monkeypatch.setattr(_report, "picture", lambda figure, **_: picture(figure, dpi=20))
    (lines,) = blocks("shell")
    first, second = lines.strip().split("\n")
    assert CliRunner().invoke(app, first.split()[1:]).exit_code == 0
    path = Path("experiment.toml")
    short = path.read_text().replace("seeds = 5", "seeds = 2").replace("rounds = 8", "rounds = 1")
    path.write_text(short.replace('{ use = "letter", samples = 6000 }', '"digits"', 1))
    # Letter is not on every machine: digits by another name stand for it.
    path.write_text(path.read_text().replace('["digits", "digits"]', '["digits"]'))
    result = CliRunner().invoke(app, second.split()[1:], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    for name in ("report.html", "results.csv", "results.sqlite", "learning-curves.png"):
        assert Path("results", name).is_file()


def test_the_file(monkeypatch):
    (text,) = blocks("toml")
    monkeypatch.setitem(__import__("sys").modules, "my_module", broken_strategies)
    monkeypatch.setattr(broken_strategies, "MyStrategy", broken_strategies.Slow, raising=False)
    Path("experiment.toml").write_text(text)
    experiment = read_experiment("experiment.toml", allow_imports=True)
    assert list(experiment.strategies) == ["badge", "margin", "random", "mine"]
    X, _ = experiment.data["mine"]()
    assert X.shape == (900, 64)


def test_from_python(capsys, monkeypatch):
    monkeypatch.setattr("labelnext.experiment._report._pictures", lambda _: {})
    (code,) = blocks("python")
    exec(code.replace("seeds=10", "seeds=2").replace("rounds=4", "rounds=1"), {})
    assert capsys.readouterr().out.startswith("badge random ")
    assert Path("results", "report.html").is_file()
