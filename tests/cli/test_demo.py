"""``labelnext demo``: three files, a table, and the same numbers again."""

import csv
import io

import numpy as np
import pytest
from PIL import Image

from labelnext.cli import _demo
from labelnext.experiment import Curves
from labelnext.experiment import digits as _digits
from labelnext.experiment.digits import animate_digits, compare_on_digits

SMALL = 2


@pytest.fixture
def small(monkeypatch):
    """The demo on two batches, so that a test is short; all else is as it is."""
    monkeypatch.setattr(_digits.compare_on_digits, "__defaults__", (SMALL, None, None))
    monkeypatch.setattr(_demo, "_film", lambda: b"GIF89a")


class InThisProcess:
    """Stands for the process that draws the film."""

    def __init__(self, *_args, **_kwargs):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *_error):
        pass

    def submit(self, function):
        from concurrent.futures import Future

        future = Future()
        future.set_result(function())
        return future


@pytest.fixture
def one_process(small, monkeypatch):
    monkeypatch.setattr("concurrent.futures.ProcessPoolExecutor", InThisProcess)


def test_files_table_and_determinism(one_process, tmp_path, monkeypatch, run):
    monkeypatch.chdir(tmp_path)
    first = run("demo", "--seeds", 2, "--jobs", 1)
    assert first.exit_code == 0, first.output
    assert first.stderr == ""  # no progress bar but on a terminal
    folder = tmp_path / "labelnext-demo"
    assert {path.name for path in folder.iterdir()} == {
        "learning-curves.png",
        "results.csv",
        "batches.gif",
    }
    assert (folder / "learning-curves.png").read_bytes().startswith(b"\x89PNG")
    for words in ("BADGE", "margin", "random", "90 %", "95 %", "2 seeds", "results.csv"):
        assert words in first.stdout
    written = (folder / "results.csv").read_text()
    rows = list(csv.DictReader(io.StringIO(written)))
    assert len(rows) == 3 * 2 * (SMALL + 1)
    assert {row["strategy"] for row in rows} == {"BADGE", "margin", "random"}
    # Again, into the same folder and over more processes: the same numbers to the last digit.
    again = run("demo", "--seeds", 2, "--jobs", 2, "--out", folder)
    assert again.exit_code == 0, again.output
    assert (folder / "results.csv").read_text() == written


def test_a_terminal_gets_a_progress_bar(one_process, tmp_path, monkeypatch, run):
    monkeypatch.setenv("FORCE_COLOR", "1")
    result = run("demo", "--seeds", 2, "--jobs", 1, "--out", tmp_path / "new" / "demo")
    assert result.exit_code == 0, result.output
    assert "Labelling digits" in result.stderr
    assert "18/18" in result.stderr


def test_the_table_says_what_was_measured():
    accuracy = {
        "BADGE": np.array([[0.5, 0.91, 0.96], [0.5, 0.8, 0.97]]),
        "random": np.array([[0.5, 0.6, 0.91], [0.5, 0.6, 0.92]]),
    }
    table = _demo._table(Curves(np.array([25, 50, 75]), accuracy, (0, 1)))
    cells = [list(column.cells) for column in table.columns]
    assert cells == [
        ["BADGE", "random"],
        ["62 ± 159", "75 ± 0"],
        ["75 ± 0", "over 75 (0 of 2 reached it)"],
    ]


def test_the_process_of_the_film_hands_back_a_gif(monkeypatch):
    monkeypatch.setattr(_digits.animate_digits, "__defaults__", (1, 0))
    assert _demo._film().startswith(b"GIF89a")


def test_film_of_two_batches(tmp_path):
    path = tmp_path / "film.gif"
    animate_digits(path, n_batches=2)
    with Image.open(path) as film:
        assert film.n_frames == 14
        assert film.size == (980, 580)


def test_badge_needs_fewer_labels_than_random():
    results = compare_on_digits(range(4), n_batches=6, n_jobs=2)
    final = {name: values[:, -1].mean() for name, values in results.accuracy.items()}
    assert final["BADGE"] > final["random"] + 0.01
