"""``labelnext demo``: three files, a table, and the same numbers again."""

import csv
import io
import threading

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image
from rich.console import Console

from labelnext.cli import _demo
from labelnext.experiment import Curves
from labelnext.experiment import digits as _digits
from labelnext.experiment.digits import animate_digits, compare_on_digits
from labelnext.visualization import plot_learning_curves

SMALL = 2


@pytest.fixture
def small(monkeypatch):
    """The demo on two batches, so that a test is short; all else is as it is."""
    monkeypatch.setattr(_digits.compare_on_digits, "__defaults__", (SMALL, None, None))
    monkeypatch.setattr(_digits, "animate_digits", lambda file: file.write(b"GIF89a"))


def test_files_table_and_determinism(small, tmp_path, monkeypatch, run):
    monkeypatch.chdir(tmp_path)
    first = run("demo", "--seeds", 2, "--jobs", 1)
    assert first.exit_code == 0, first.output
    assert first.stderr == ""  # no progress bar but on a terminal
    folder = tmp_path / "labelnext-demo"
    assert {path.name for path in folder.iterdir()} == {
        "learning-curves.png",
        "results.csv",
        "batches.gif",
        "labelnext-files.json",
    }
    assert (folder / "learning-curves.png").read_bytes().startswith(b"\x89PNG")
    for words in ("BADGE", "margin", "random", "90 %", "95 %", "2 seeds", "results.csv"):
        assert words in first.stdout
    written = (folder / "results.csv").read_text()
    rows = list(csv.DictReader(io.StringIO(written)))
    assert len(rows) == 3 * 2 * (SMALL + 1)
    assert {row["strategy"] for row in rows} == {"BADGE", "margin", "random"}
    # Again, into the same folder, at a terminal: the same numbers to the last digit.
    monkeypatch.setenv("FORCE_COLOR", "1")
    again = run("demo", "--seeds", 2, "--jobs", 1, "--out", folder)
    assert again.exit_code == 0, again.output
    assert "Labelling digits" in again.stderr
    assert "18/18" in again.stderr
    assert (folder / "results.csv").read_text() == written


@pytest.mark.parametrize("jobs", [1, 2])
def test_the_film_is_drawn_while_other_processes_work_and_its_error_is_told(monkeypatch, jobs):
    drawing = threading.Event()

    def draw(_):
        drawing.set()
        raise ZeroDivisionError("no film")

    monkeypatch.setattr(_digits, "animate_digits", draw)
    seen = []
    # In one process both would share the generators' states and the threads.
    monkeypatch.setattr(
        _digits,
        "compare_on_digits",
        lambda *_, **__: seen.append(drawing.wait(20 if jobs == 2 else 0.05)),
    )
    with pytest.raises(ZeroDivisionError, match="no film"):
        _demo._run(2, jobs, Console())
    assert seen == [jobs == 2]


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


@pytest.mark.slow
def test_film_of_two_batches():
    file = io.BytesIO()
    animate_digits(file, n_batches=2)
    with Image.open(file) as film:
        assert film.n_frames == 14
        assert film.size == (980, 580)


def test_table_and_picture_count_alike():
    rng = np.random.default_rng(0)
    accuracy = {
        name: np.linspace(0.7, final, 9) + rng.uniform(0, 0.02, (7, 9))
        for name, final in (("BADGE", 0.99), ("margin", 0.96), ("random", 0.94))
    }
    accuracy["random"][2, 5:] = np.nan  # a seed that failed
    curves = Curves(np.arange(25, 250, 25), accuracy, tuple(range(7)))
    axes = plot_learning_curves(
        curves.labels, accuracy, levels=_digits.LEVELS, axes=Figure().add_subplot()
    )
    said = [text.get_text() for text in axes.texts if "instead of" in text.get_text()]
    for level in _digits.LEVELS:
        needed = curves.labels_needed(level)
        (one,) = (words for words in said if words.startswith(f"{100 * level:g} %"))
        first, last = str(needed["BADGE"]).split(" ")[0], str(needed["random"])
        over = "over " if last.startswith("over") else ""
        assert one.endswith(f" {first} instead of {over}{needed['random'].mean:.0f} labels")


@pytest.mark.slow
def test_badge_needs_fewer_labels_than_random():
    results = compare_on_digits(range(4), n_batches=6, n_jobs=1)
    final = {name: values[:, -1].mean() for name, values in results.accuracy.items()}
    assert final["BADGE"] > final["random"] + 0.01
