"""``labelnext simulate``: from a TOML file to a report, and on again."""

import sqlite3
import sys

import numpy as np
import pytest

from labelnext.experiment import Experiment

SMALL = """
data = ["digits", { use = "digits", name = "fewer", samples = 200 }]
models = "naive-bayes"
strategies = ["margin", "random"]
budgets = { start = 20, batch = 10, rounds = 2 }
seeds = 2
"""


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    # What a report shows has its own tests.
    monkeypatch.setattr("labelnext.experiment._report._pictures", lambda _: {})
    path = tmp_path / "experiment.toml"
    path.write_text(SMALL)
    return path


def count(path):
    db = sqlite3.connect(path)
    (rounds,) = db.execute("SELECT count(*) FROM rounds").fetchone()
    db.close()
    return rounds


def test_report_and_table_and_once_more(file, run):
    first = run("simulate", file, "--jobs", 1)
    assert first.exit_code == 0, first.output
    assert first.stderr == ""
    for words in ("margin", "random", "was beaten", "report.html", "seconds"):
        assert words in first.stdout
    folder = file.parent / "labelnext-results"
    assert count(folder / "results.sqlite") == 2 * 2 * 2 * 3
    table = (folder / "results.csv").read_bytes()
    assert (folder / "report.html").is_file()
    again = run("simulate", file)
    assert again.exit_code == 0, again.output
    assert (folder / "results.csv").read_bytes() == table  # nothing was run again


def test_a_terminal_sees_how_far_it_is(file, run, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    result = run("simulate", file, "--jobs", 1, "--out", "elsewhere/results")
    assert result.exit_code == 0, result.output
    assert "Simulating" in result.stderr
    assert "24/24" in result.stderr


def test_failures_are_told(file, run):
    file.write_text(
        SMALL.replace('"random"]', '{ use = "broken_strategies:FailsLater", name = "[red]a[/x]" }]')
    )
    result = run("simulate", file, "--jobs", 1, "--allow-imports")
    assert result.exit_code == 0, result.output
    assert "2 of 8 runs failed, and are left out. The first: [red]a[/x] in digits" in result.stdout
    assert "ZeroDivisionError: no more of this" in result.stdout
    assert "[red]a[/x]" in result.stdout.partition("failed")[0]  # in the table it is no markup


def test_where_all_runs_failed_the_command_fails(file, run):
    fails = '[{ use = "broken_strategies:FailsLater", name = "a$^$b", labels = 0, seed = 0 }]'
    text = SMALL.replace('["margin", "random"]', fails).replace("seeds = 2", "seeds = 1")
    file.write_text(text)
    result = run("simulate", file, "--jobs", 1, "--allow-imports")
    assert result.exit_code == 1
    assert "2 of 2 runs failed. The first: a$^$b in digits" in result.stdout
    assert (file.parent / "labelnext-results" / "report.html").is_file()


def test_one_setting_is_no_settings(file, run):
    file.write_text(SMALL.replace('["digits", { use', "[{ use"))
    result = run("simulate", file, "--jobs", 1)
    assert "in 1 setting at most" in " ".join(result.stdout.split())
    text = (file.parent / "labelnext-results" / "report.html").read_text()
    assert "2 strategies in 1 setting at 2 seeds: 4 runs." in text


def test_measurements_as_labels_are_told_in_a_line(file, complaint):
    np.savez(file.parent / "m.npz", X=np.eye(900), y=np.linspace(0, 1, 900))
    file.write_text(SMALL.replace('"digits"', '{ use = "file", name = "m", file = "m.npz" }', 1))
    message = complaint("simulate", file)
    assert "data set 'm': most classes have one sample alone" in message
    assert "these look like measurements" in message
    assert "897 more" in message
    assert len(message) < 400


def test_a_file_runs_no_code_but_with_leave_and_then_that_of_the_current_folder(
    file, run, complaint
):
    (file.parent / "my_module.py").write_text(
        "open('it_ran', 'w').close()\nfrom labelnext.pool import RandomSampling as MyStrategy"
    )
    file.write_text(SMALL.replace('"random"]', '{ use = "my_module:MyStrategy", name = "mine" }]'))
    message = complaint("simulate", file)
    assert "would import my_module and run its code" in message
    assert "say so with --allow-imports" in message
    assert not (file.parent / "it_ran").exists()
    before = list(sys.path)
    sys.path[:] = [path for path in before if path not in ("", str(file.parent))]
    try:
        result = run("simulate", file, "--allow-imports", "--jobs", 1)
    finally:
        sys.path[:] = before
        sys.modules.pop("my_module", None)
    assert result.exit_code == 0, result.output
    assert "mine" in result.stdout


def test_stopped_by_hand_it_says_how_to_go_on(file, run, monkeypatch):
    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(Experiment, "run", stop)
    result = run("simulate", file)
    assert result.exit_code == 130
    assert result.stderr == "Stopped. The same command goes on from here.\n"


def test_the_example_is_written_once(file, run, complaint):
    result = run("simulate", "new.toml", "--example")
    assert result.exit_code == 0, result.output
    text = (file.parent / "new.toml").read_text()
    assert "labelnext simulate new.toml --out results" in text
    assert "{{" not in text
    assert "new.toml: exists already; choose another name" in complaint(
        "simulate", "new.toml", "--example"
    )
    assert "ends in .toml" in complaint("simulate", "new.txt", "--example")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (('"margin"', '"magrin"'), "unknown strategy 'magrin'; did you mean 'margin'?"),
        (('"digits",', '"digts",'), "unknown data set 'digts'; did you mean 'digits'?"),
        (("batch = 10", "batch = 1000"), "data set 'digits': The pool has 1,198 samples, fewer"),
        (("seeds", "seed"), "unknown key 'seed'; did you mean 'seeds'?"),
        (("[", "", 1), "is not a TOML file"),
    ],
)
def test_mistakes_in_the_file(file, complaint, change, message):
    file.write_text(SMALL.replace(*change))
    assert message in complaint("simulate", file)


def test_mistakes_around_it(file, complaint):
    assert "there is no file none.toml; add --example" in complaint("simulate", "none.toml")
    for odd in (file.parent, "/dev/zero"):
        assert "Cannot read" in complaint("simulate", odd)
    assert "--jobs 0: there must be at least one" in complaint("simulate", file, "--jobs", 0)
    assert "choose another folder" in complaint("simulate", file, "--out", file)
    folder = file.parent / "damaged"
    folder.mkdir()
    (folder / "results.sqlite").write_text("these are no results\n" * 100)
    assert "is damaged or no results file" in complaint("simulate", file, "--out", folder)


def test_strategies_by_the_names_that_select_takes(file, run):
    file.write_text(
        SMALL.replace('["margin", "random"]', '["power-margin", "core-set"]').replace(
            "seeds = 2", "seeds = 1"
        )
    )
    result = run("simulate", file, "--jobs", 1)
    assert result.exit_code == 0, result.output
    assert "failed" not in result.stdout
    for name in ("power-margin", "core-set"):
        assert name in result.stdout
