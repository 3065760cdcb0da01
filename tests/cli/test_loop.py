"""``labelnext loop``: what a user types, from samples to labels."""

import json
import re
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import labelnext
from labelnext.cli import _loop
from labelnext.loop.receive import Pulled, Pushed
from labelnext.report.read import Read
from labelnext.report.told import newest

TOPICS = {"good": "well made and fine", "bad": "broke at once and poor"}
MINE = """
import numpy as np, labelnext
from sklearn.linear_model import LogisticRegression

def train(loop):
    print("epoch 1")
    proba = np.array([(0.9, 0.1) if "fine" in t else (0.2, 0.8) for t in loop.samples().contents])
    return labelnext.Pool(proba, ids=loop.labels().ids, classes=loop.classes)

def percent(loop):
    return train(loop), {"accuracy": 93.5}

def log(loop, number, metrics):
    with open("log", "a") as file:
        file.write(f"{number} {len(loop.labels().labeled)} {metrics}\\n")

def fails(loop, *more):
    raise RuntimeError("out of memory")

def features(texts):
    return np.array([["fine" in text, len(text)] for text in texts], float)

class Model(LogisticRegression):
    pass

MINE = 3

class Wrong(LogisticRegression):
    def fit(self, X, y):
        raise KeyError("gone")
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delitem(sys.modules, "own_code", raising=False)
    rows = [{"body": f"{TOPICS[k]} {i % 5}", "truth": k} for i, k in enumerate([*TOPICS] * 15)]
    pd.DataFrame(rows).to_csv("reviews.csv", index=False)
    (tmp_path / "own_code.py").write_text(MINE)
    return tmp_path


@pytest.fixture
def made(here, run):
    result = run(
        "loop", "init", "reviews.csv", "--text", "body", "--labels", "good,bad", "--test", 6
    )
    assert result.exit_code == 0, result.output
    return here


def test_it_is_said_which_columns_were_taken(here, run):
    said = ran(run, "init", "reviews.csv", "--labels", "good,bad")
    assert "\nText from 'body' and id from the number of the row; to take others remove " in said
    said = ran(
        run,
        "init",
        "reviews.csv",
        "--labels",
        "a,b",
        "--text",
        "body",
        "--id",
        "row",
        "--loop",
        "2",
    )
    assert "to take others" not in said


def answer(folder="loop", most=1000):
    """Label what is asked for, as the samples' other column says."""
    loop = labelnext.open_loop(folder)
    items = loop.take("ann", most)
    for item in items:
        loop.record(item, "label", item.extra["truth"], annotator="ann")
    return len(items)


def ran(run, *arguments):
    result = run("loop", *arguments)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_from_a_table_to_labels(here, run):
    said = ran(run, "init", "reviews.csv", "--text", "body", "--labels", "good,bad", "--test", 6)
    assert "30 samples: texts" in said
    assert (
        "Id from the number of the row; to take others remove loop/loop.sqlite, and say --id.\n"
        in said
    )
    assert "Test set: 6" in said
    assert "Next: labelnext loop label\n" in said
    assert "6 answers missing: labelnext loop label" in ran(run, "status")
    assert answer() == 6
    said = ran(run, "next", "-k", 5, "--seed", 0)
    assert "words by TF-IDF" in said
    assert "too few labels" in said
    assert "Round 1: 5 samples chosen by max-herding." in said
    assert answer() == 5
    said = ran(run, "next", "-k", 5, "--seed", 0)
    assert "Test set: accuracy 1, macro_f1 1." in said
    assert "Round 2: 5 samples chosen by uncertainty-herding." in said
    said = ran(run, "status")
    assert "24 samples, 5 labelled; test set 6, 6 labelled." in said
    assert "max-herding" in said
    assert "ann: 11 decisions" in said
    found = json.loads(ran(run, "status", "--json"))
    assert [each["state"] for each in found["rounds"]] == ["closed", "trained", "selected"]
    assert found["metrics"][0]["value"] == 1
    assert "Round 2 is closed, without 5 answers. Next:" in ran(run, "close")
    assert "Written: labels.csv (11 samples)" in ran(run, "export", "labels.csv", "--no-content")
    assert pd.read_csv("labels.csv").label.value_counts().sum() == 11


def test_advice_names_the_loop_it_is_about(here, run):
    loop = ("--loop", "my loop")
    said = ran(run, "init", "reviews.csv", "--text", "body", "--labels", "good,bad", *loop)
    assert "Next: labelnext loop label --loop 'my loop'" in said
    assert "labelnext loop next --loop 'my loop'" in ran(run, "status", *loop)
    result = run("loop", "next", "-k", 2, "--strategy", "badge", *loop)
    assert result.exit_code == 2
    assert "label some samples first, or give what your model says with --pool" in result.output
    ran(run, "next", "-k", 2, *loop)
    assert "labelnext loop label --loop 'my loop'" in ran(run, "status", *loop)
    said = ran(run, "push", "batch.csv", *loop)
    assert "labelnext loop pull batch.csv --loop 'my loop'" in said
    assert "Next: labelnext loop next --loop 'my loop'" in ran(run, "close", *loop)


def test_an_encoder_of_the_users_that_fails(made, run):
    result = run("loop", "next", "--encoder", "own_code:fails")
    assert result.exit_code == 2
    assert "--encoder own_code:fails failed: RuntimeError: out of memory" in result.output


def test_features_that_fail_leave_a_loop_to_go_on_with(here, run):
    options = ("--labels", "good,bad", "--encoder", "own_code:fails", "--loop", "l")
    result = run("loop", "init", "reviews.csv", *options)
    assert result.exit_code == 2
    assert "The loop is made, without features: correct it, or choose another" in result.stderr
    assert "and go on with `labelnext loop next --loop l`" in result.stderr
    ran(run, "next", "-k", 3, "--loop", "l", "--encoder", "tfidf")


def test_status_says_where_people_disagree(made, run):
    answer()
    assert "disagree" not in ran(run, "status")
    loop = labelnext.open_loop("loop")
    sample = loop.picks(0)[0]["id"]
    other = {"good": "bad", "bad": "good"}[loop.labels(split="test").y[int(sample)]]
    loop.record(sample, "label", other, annotator="bo")
    assert "People disagree on 1 sample, without a label where it is a tie" in ran(run, "status")


@pytest.mark.parametrize("columns", ["80", "120"])
def test_the_rounds_fit_into_80_columns(made, run, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", columns)
    loop = labelnext.open_loop("loop")
    for _ in range(2):
        answer()
        ran(run, "next", "-k", 8)
    lines = ran(run, "status").splitlines()
    (heads,) = (line for line in lines if "chosen by" in line)
    names = ["round", "chosen by", "state", "picks", "labelled", "missing", "accuracy"]
    assert re.findall("chosen by|[a-z]+", heads) == names
    rows = [line.split() for line in lines if "-herding" in line]
    assert rows[0][:6] == ["1", "max-herding", "trained", "8", "8", "0"]
    assert rows[1] == ["2", "uncertainty-herding", "not", "begun", "8", "0", "8"]
    answer()
    loop.close({"a_metric_of_a_very_long_name_that_nobody_reads [b]": 0.5}, round=2)
    assert max(map(len, ran(run, "status").splitlines()[-6:-1])) <= int(columns)


def test_fewer_are_left_than_were_asked_for(made, run):
    said = ran(run, "next", "-k", 50, "--strategy", "random")
    assert "24 samples chosen by random, all that are left (-k 50 asked for more)." in said


def test_from_a_folder_of_pictures(here, run):
    (here / "photos").mkdir()
    for i in range(8):
        Image.new("RGB", (8, 8), (250, 0, 0) if i % 2 else (0, 0, 250)).save(f"photos/{i}.png")
    (here / "photos" / "9.png").symlink_to("gone.png")
    said = ran(run, "init", "photos", "--labels", "red,blue", "--encoder", "plain")
    assert "9 samples: pictures" in said
    assert "Left out" not in said
    assert "1 file is not there, the first is 9.png" in said
    assert "a plain descriptor" in said
    assert (
        "1 of 9 samples could not be read, and have the features of an average one: 9.png" in said
    )
    loop = labelnext.open_loop("loop")
    loop.add_labels(["0.png", "1.png"], ["blue", "red"], annotator="ann", source="x")
    assert "uncertainty-herding" in ran(run, "next", "-k", 2)


def test_what_is_left_out_of_a_folder_is_said(here, run):
    (here / "photos").mkdir()
    for name in (*"abcdefgh", "i.txt", "j.txt", "k.mov", "l.heic", "m.x", "n.y", "o.z", "p.q"):
        (here / "photos" / name).write_text("")
        (here / "photos" / f"{name}.png").write_text("")
    said = ran(run, "init", "photos", "--labels", "red,blue")
    assert (
        "Left out as no pictures: 16 files (8 without an ending, 2 .txt, 1 .heic, 1 .mov, "
        "1 .q and 3 more endings).\n"
    ) in said
    for name in (here / "photos").glob("*.x*"):
        name.unlink()
    (here / "photos" / "z.TXT").write_text("")


def test_what_people_see_may_change_and_where_the_files_are(here, run, complaint):
    (here / "photos").mkdir()
    for i in range(4):
        Image.new("RGB", (8, 8), (60 * i, 0, 0)).save(f"photos/{i}.png")
    ran(run, "init", "photos", "--labels", "red,blue")
    (here / "photos").rename("pictures")
    words = "put them back there, or say where they are now: `labelnext loop change --files FOLDER`"
    assert words in complaint("loop", "next", "--encoder", "plain")
    ran(run, "next", "-k", 1, "--strategy", "random")
    words = "or say where the files are now: `labelnext loop change --files FOLDER`"
    assert words in complaint("loop", "push", "batch.json")
    (here / "pictures" / "3.png").unlink()
    (here / "rules.md").write_text("# Rules")
    said = ran(run, "change", "--files", "pictures", "--labels", "red,blue,green")
    assert "Files: 4 in pictures." in said
    assert "1 file is not there, the first is 3.png" in said
    assert "Classes: red, blue, green (new: green)." in said
    assert "Guidelines: rules.md." in ran(run, "change", "--guidelines", "rules.md")
    loop = labelnext.open_loop("loop")
    assert (loop.guidelines, loop.classes) == ("# Rules", ["red", "blue", "green"])
    assert "Round 2: 2 samples" in ran(run, "next", "-k", 2, "--encoder", "plain")
    assert "give --files, --labels or --guidelines" in complaint("loop", "change")
    assert "gone; name the one that" in complaint("loop", "change", "--files", "gone")
    assert "files are not in" in complaint("loop", "change", "--files", ".")


def test_it_is_said_which_classes_are_new_and_which_are_gone(made, run, complaint):
    answer()
    labels = labelnext.open_loop("loop").labels(split="test").y.tolist()
    said = ran(run, "change", "--labels", "bad,good,unsure,other")
    assert said == "Classes: bad, good, unsure, other (new: unsure, other).\n"
    said = ran(run, "change", "--labels", "bad,unsure,good,poor")
    assert said == "Classes: bad, unsure, good, poor (new: poor; gone: other).\n"
    said = ran(run, "change", "--labels", "good,bad,unsure,poor")
    assert said == "Classes: good, bad, unsure, poor (none new, none gone).\n"
    n = labels.count("bad")
    assert f"--labels leaves out what people have used: 'bad' ({n} label" in complaint(
        "loop", "change", "--labels", "good,unsure"
    )
    loop = labelnext.open_loop("loop")
    assert loop.classes == ["good", "bad", "unsure", "poor"]
    assert loop.labels(split="test").y.tolist() == labels


def test_the_loop_of_the_current_folder_and_one_that_is_named(made, run, monkeypatch):
    expected = ran(run, "status")
    named = ran(run, "status", "--loop", made / "loop")
    assert named.replace(f" --loop {made / 'loop'}", "") == expected
    monkeypatch.chdir(made / "loop")
    assert ran(run, "status") == expected


def test_a_model_a_pool_and_features_of_the_users(made, run):
    answer()
    ran(run, "next", "-k", 6, "--encoder", "own_code:features")
    answer()
    said = ran(run, "next", "-k", 2, "--model", "own_code:Model")
    assert "Features: own_code:features." in said
    assert "Test set: accuracy 1" in said
    pool = labelnext.Pool([[0.5, 0.5]] * 30, ids=[*map(str, range(30))], classes=["good", "bad"])
    labelnext.write_pool("pool", pool)
    assert "by uncertainty." in ran(run, "next", "-k", 2, "--pool", "pool")
    result = run("loop", "next", "-k", 2, "--strategy", "random")
    assert "by random." in result.stdout
    assert "answers of earlier rounds still missing, and asked for first" in result.stderr


def test_scores_of_different_models_are_kept_apart(made, run):
    """The advice of a report had the default model overwrite what the user's had reached."""
    answer()
    truth = labelnext.open_loop("loop").samples().table["truth"].to_pylist()
    proba = [[0.9, 0.1] if each == "good" else [0.1, 0.9] for each in truth]
    pool = labelnext.Pool(proba, ids=[*map(str, range(30))], classes=["good", "bad"])
    labelnext.write_pool("pool3", pool)
    for _ in range(2):
        ran(run, "next", "-k", 6, "--pool", "pool3/")
        answer()
    said = ran(run, "report")
    assert "labelnext loop report --features --force computes them, and chooses nothing" in said
    rounds = len(labelnext.open_loop("loop").rounds())
    assert "It takes the loop's features" not in ran(run, "report", "--features", "--force")
    loop = labelnext.open_loop("loop")
    assert len(loop.rounds()) == rounds
    before = loop.metrics()
    ran(run, "next", "-k", 5)
    ran(run, "next", "-k", 1, "--model", "own_code:Model")
    assert loop.metrics()[: len(before)] == before
    found = {each["model"] for each in loop.metrics()}
    assert found == {"--pool", "default", "--model own_code:Model"}
    said = ran(run, "status")
    assert "Newest score, of --model own_code:Model: accuracy" in said
    ran(run, "next", "-k", 1, "--pool", "pool3/", "--model-name", "resnet")
    assert "Newest score, of resnet: accuracy" in ran(run, "status")
    assert "--model-name must not be empty" in run("loop", "next", "--model-name", " ").stderr
    assert "There are scores of the default model, of --pool, too" in said
    assert [each["parameters"].get("model") for each in loop.rounds()] == [
        *(None, "--pool", "--pool", "default", "--model own_code:Model", "resnet"),
    ]


def test_a_test_set_that_is_given_up_is_said_and_asked_for_again(made, run, complaint):
    answer(most=2)
    assert "The test set is not closed" in complaint("loop", "reopen")
    said = ran(run, "close")
    assert said.startswith("The test set is closed, without 4 answers. Only what is labelled of it")
    assert "to ask for the rest again: labelnext loop reopen. Next: labelnext loop next\n" in said
    assert ran(run, "reopen") == "Test set: 4 answers missing. Next: labelnext loop label\n"
    assert "4 answers missing: labelnext loop label" in ran(run, "status")
    answer()
    assert ran(run, "close") == "The test set is closed. Next: labelnext loop next\n"


def test_metrics_of_a_training_that_cannot_be_are_refused(made, run):
    answer()
    ran(run, "next", "-k", 4)
    answer()
    result = run("loop", "next", "-k", 4, "--train", "own_code:percent")
    assert result.exit_code == 2
    assert (
        "must be a share from 0 to 1, got 93.5; of a percentage give a hundredth" in result.stderr
    )
    next((made / "loop" / "training").glob("*/metrics.json")).unlink()
    ran(run, "next", "-k", 4, "--train", "own_code:percent")


def test_a_pool_that_does_not_name_its_classes(made, run):
    answer()
    proba = np.random.default_rng(0).dirichlet([1, 1], 30)
    np.savez("pool.npz", proba=proba, ids=np.array([*map(str, range(30))]))
    result = run("loop", "next", "-k", 2, "--pool", "pool.npz")
    assert result.exit_code == 2
    assert "does not name its 2 classes" in result.stderr
    assert "Give --classes, in the order of the columns" in result.stderr
    assert [each["state"] for each in labelnext.open_loop("loop").rounds()] == ["open"]
    assert "Test set: accuracy" in ran(
        run, "next", "-k", 2, "--pool", "pool.npz", "--classes", "bad,good"
    )
    result = run("loop", "next", "--pool", "pool.npz", "--classes", "bad,god")
    assert "has classes that the loop does not know: 'god'" in result.stderr
    pool = labelnext.Pool([[0.5, 0.5]] * 30, ids=[*map(str, range(30))], classes=["good", "bad"])
    labelnext.write_pool("named", pool)
    for names in ("bad,good", "bad,poor"):
        result = run("loop", "next", "--pool", "named", "--classes", names)
        assert result.exit_code == 2
        assert "The pool names its classes, 'good', 'bad', in the order" in result.stderr
        assert "leave --classes out" in result.stderr
    result = run("loop", "next", "--pool", "named", "--classes", "good")
    assert "named: --classes has 1 name and there must be 2, one for each" in result.stderr
    ran(run, "next", "-k", 2, "--pool", "named", "--classes", "good,bad")
    ran(run, "change", "--labels", "good,bad,unsure")
    other = labelnext.Pool.of(pool, classes=["fine", "poor"])
    labelnext.write_pool("other", other)
    result = run("loop", "next", "--pool", "other")
    assert "the pool's: `labelnext loop change --labels NAMES`" in result.stderr
    result = run("loop", "next", "--classes", "bad,good")
    assert "--classes names the columns of --pool; leave it out, or give --pool" in result.stderr


def test_training_of_the_users(made, run):
    answer()
    result = run("loop", "next", "-k", 4, "--train", "own_code:train")
    assert "max-herding" in result.stdout
    assert "no labels yet, so --train own_code:train waits for the next round" in result.stderr
    answer()
    result = run("loop", "next", "-k", 4, "--train", "own_code:train")
    assert "epoch 1" in result.stderr
    assert "Trained by own_code:train." in result.stdout
    assert "Test set: accuracy 1" in result.stdout


@pytest.mark.parametrize("what", ["no_such_code:train", "no-such-command --fast", "'"])
def test_training_that_there_is_not_is_refused_before_there_are_labels(made, run, what):
    answer()
    result = run("loop", "next", "-k", 4, "--train", what)
    assert result.exit_code == 2
    assert "there is no" in result.stderr
    assert len(labelnext.open_loop("loop").rounds()) == 1


@pytest.mark.parametrize("command", ["next", "run", "label"])
def test_a_training_that_is_not_there_is_refused_while_answers_are_missing(made, run, command):
    rest = ["--no-page"] if command == "run" else []
    result = run("loop", command, "--train", "nothing:train", *rest)
    assert result.exit_code == 2
    assert "there is no module nothing here" in result.stderr


def test_random_choice_is_measured_too(made, run):
    answer()
    ran(run, "next", "-k", 8)
    answer()
    said = ran(run, "next", "-k", 2, "--strategy", "random")
    assert "Test set: accuracy" in said


def test_a_curve_has_no_hole_while_older_rounds_are_open(made, run):
    answer(most=3)  # half of the test set
    ran(run, "next", "-k", 4, "--strategy", "random", "--seed", 0)
    loop = labelnext.open_loop("loop")
    truth = loop.samples().table["truth"].to_pylist()
    for number, n in ((1, 4), (2, 3), (2, 2), (3, 2)):  # the last of round 2 is never answered
        picks = [pick["id"] for pick in loop.picks(number) if pick["need"]]
        for name in picks[:n]:
            loop.record(name, "label", truth[int(name)], annotator="bo")
        ran(run, "next", "-k", 6, "--seed", 0, "--callback", "own_code:log")
    curve = newest(Read(loop))["accuracy"]
    assert [(p.round, p.labels, p.n) for p in curve] == [
        (1, 4, 3),
        (2, 7, 3),
        (2, 9, 3),
        (3, 11, 3),
    ]
    assert all(p.low < p.value <= p.high for p in curve)
    assert [each["state"] for each in loop.rounds()][:3] == ["open", "trained", "open"]
    answer()
    assert "with 11 labels" in ran(run, "status")
    ran(run, "report")
    ran(run, "next", "-k", 2, "--callback", "own_code:log")
    ran(run, "next", "-k", 2, "--callback", "own_code:log")  # the same labels: no new score
    said = [line.split(" ", 2)[:2] for line in (made / "log").read_text().splitlines()]
    assert said[:4] == [["1", "4"], ["2", "7"], ["2", "9"], ["3", "11"]]
    assert len(said) == 5


def test_run_goes_round_until_all_is_labelled(made, run, monkeypatch):
    monkeypatch.setattr(_loop, "PAUSE", 0.01)
    done = threading.Event()

    def people():
        while not done.wait(0.01):
            answer(most=3)

    thread = threading.Thread(target=people)
    thread.start()
    try:
        said = ran(run, "run", "-k", 10, "--no-page", "--rounds", 1)
        assert said.count("samples chosen by") == 1
        assert "Test set: accuracy" in said  # the last labels are trained on
        said = ran(run, "run", "-k", 10, "--no-page", "--seed", 0)
    finally:
        done.set()
        thread.join()
    assert "Nothing is left to be picked" in said
    loop = labelnext.open_loop("loop")
    assert loop.progress()["labeled"] == 24
    assert [each["state"] for each in loop.rounds()] == ["closed", *["trained"] * 3]


def test_run_goes_on_with_the_round_that_another_process_has_chosen(made, run, monkeypatch):
    answer()
    monkeypatch.setattr(time, "sleep", lambda _: answer())
    choose, others = labelnext.loop.Loop.next, []

    def beside(loop, *arguments, **options):
        if not others:
            others.append(choose(loop, *arguments, **options))
            raise labelnext.loop.LoopError("Another process has chosen a round meanwhile.")
        return choose(loop, *arguments, **options)

    monkeypatch.setattr(labelnext.loop.Loop, "next", beside)
    result = run("loop", "run", "-k", 12, "--no-page", "--strategy", "random")
    assert result.exit_code == 0, result.output
    assert "another process has chosen a round; going on with it" in result.stderr
    assert [each["picks"] for each in labelnext.open_loop("loop").rounds()] == [6, 12, 12]


def test_a_callback_is_called_after_each_training(made, run):
    answer()
    ran(run, "next", "-k", 6, "--callback", "own_code:log")
    answer()
    ran(run, "next", "-k", 6, "--callback", "own_code:log")
    answer()
    result = run("loop", "next", "-k", 6, "--callback", "own_code:fails")
    assert result.exit_code == 0
    assert "warning: --callback own_code:fails: RuntimeError: out of memory" in result.stderr
    first, second = (made / "log").read_text().splitlines()
    assert first == "0 0 {}"
    assert second.startswith("1 6 {'accuracy': 1.0")


def test_columns_that_were_guessed_keep_their_case(here, run):
    Path("t.csv").write_text("ID,Size,Colour\na,1,red\nb,2,blue\n")
    said = ran(run, "init", "t.csv", "--labels", "x,y")
    assert "Columns from 'ID', 'Size', 'Colour' and id from the number" in said


def test_what_is_empty_is_said(here, run):
    Path("t.txt").write_text("one\n\ntwo\n\n\n")
    said = ran(run, "init", "t.txt", "--labels", "x,y")
    assert said.startswith("2 samples: texts, in the loop loop.\nLeft out 3 empty lines.\n")
    Path("t.csv").write_text('text\none\n""\n')
    said = ran(run, "init", "t.csv", "--labels", "x,y", "--loop", "l")
    assert "1 text is empty, the first is 1; skip what lacks." in said


def test_labels_in_a_table_are_not_shown_to_people(here, run, complaint):
    Path("t.csv").write_text("id,size,kind\na,1,x\nb,2,y\n")
    said = ran(run, "init", "t.csv", "--labels", "x,y", "--id", "id")
    assert (
        "'kind' has only names of classes, so people are not shown it; else remove "
        "loop/loop.sqlite, and name it in --columns.\n"
    ) in said
    assert labelnext.open_loop("loop").samples().contents[0] == '{"size": "1"}'
    said = ran(run, "init", "reviews.csv", "--labels", "good,bad", "--loop", "l", "--test", 2)
    assert "'truth' has only names of classes, so people are not shown it.\n" in said
    ran(run, "push", "batch.csv", "--loop", "l")
    assert "truth" not in Path("batch.csv").read_text()
    ran(run, "push", "batch.csv", "--loop", "l", "--force", "--columns", "truth")
    assert "truth" in Path("batch.csv").read_text()
    assert "--columns 'trut' is not in the table of the samples; beside what is" in complaint(
        "loop", "push", "b.csv", "--loop", "l", "--columns", "trut"
    )


def test_a_table_without_names_of_columns(here, run, complaint):
    Path("t.csv").write_text("Well made,good\nBroke,bad\nFine,good\n")
    hint = (
        "'good' looks like a sample and not like the name of a column; if the first line of t.csv "
        "does not name the columns, put a line before it that does, such as text,label"
    )
    assert hint in complaint("loop", "init", "t.csv", "--text", "body", "--labels", "good,bad")
    said = ran(run, "init", "t.csv", "--text", "Well made", "--labels", "good,bad")
    assert f"{hint}, remove loop/loop.sqlite, and init again." in said


def test_run_stops_and_goes_on(made, run, monkeypatch):
    def stop(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", stop)
    result = run("loop", "run", "--no-page")
    assert result.exit_code == 130
    assert "waiting for 6 answers: labelnext loop label, or labelnext loop pull" in result.stderr
    assert "the same command goes on from here" in result.stderr


def test_the_page_has_a_process_of_its_own(made, run, monkeypatch):
    started = []

    class Page(SimpleNamespace):
        def poll(self):
            return 1

        def terminate(self):
            started.append("ended")

        def wait(self):
            pass

    monkeypatch.setattr(subprocess, "Popen", lambda command, env: started.append(command) or Page())
    result = run("loop", "run", "--people", "ann,bo", "--no-browser")
    assert result.exit_code == 2
    assert "the page has ended" in result.stderr
    command, ended = started
    assert ended == "ended"
    assert command[1:5] == ["-m", "labelnext", "loop", "label"]
    assert "--people=ann,bo" in command
    assert "--no-browser" in command


def test_label_chooses_first_if_nothing_is_asked_for(made, run, monkeypatch):
    import starlette  # noqa: F401

    served = []
    monkeypatch.setattr("labelnext.page.serve", lambda loop, **options: served.append(options))
    assert "chosen" not in ran(run, "label", "--no-browser")
    answer()
    options = ("--strategy", "typi-clust", "--model-name", "first")
    said = ran(run, "label", "-k", 3, *options, "--people", "ann, bo")
    assert "Round 1: 3 samples chosen by typi-clust." in said
    assert served[0]["people"] is None
    assert not served[0]["open_browser"]
    assert served[1]["people"] == ["ann", "bo"]
    assert served[1]["train"][-6:] == ["-k", "3", *options]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["init", "gone.csv"], "gone.csv); give the path of a table or of a folder\n"),
        (["init", "reviews.csv", "--task", "many"], "'--task': 'many' is not one of 'multiclass'"),
        (["init", "reviews.csv", "--text", "bodi"], "no column 'bodi' (--text)"),
        (["init", "reviews.csv", "--text", "body", "--html", "body"], "--text and --html both say"),
        (["init", "reviews.csv", "--text", "body"], "give --labels good,bad"),
        (["init", "reviews.csv", "--labels", "a"], "2 classes at least, got one, 'a'. For what is"),
        (
            ["init", "reviews.csv", "--labels", "a,,b"],
            "--labels has an empty name, in place 2 of 3: 'a', '', 'b'; leave it out",
        ),
        (["init", "reviews.csv", "--text", "body", "--labels", "a,b"], "exists already: go on"),
        (
            ["init", "reviews.csv", "--labels", "a,b", "--id", "truth"],
            "say --id row for the number",
        ),
        (["init", "own_code.py", "--labels", "a,b"], "expected a file that ends in .csv"),
        (["init", "reviews.csv", "--labels", "a,b", "--overlap", 2], "--overlap must be a share"),
        (
            ["init", "reviews.csv", "--labels", "a,b", "--loop", "l", "--test", 30],
            "--test must be below the number of samples, 30",
        ),
        (
            ["init", "reviews.csv", "--labels", "a,b", "--loop", "l", "--encoder", "plein"],
            "--encoder plein is not known for texts",
        ),
        (["init", "reviews.csv", "--labels", "a,b", "--guidelines", "no.md"], "no.md"),
        (
            ["init", "reviews.csv", "--labels", "a,b", "--guidelines", "odd.md", "--loop", "l"],
            "odd.md: it is no text in UTF-8",
        ),
        (["init", "", "--labels", "a,b", "--loop", "l"], "The path of the samples is empty"),
        (["init", "empty.txt", "--labels", "a,b", "--loop", "l"], "all its lines are empty"),
        (
            ["init", "reviews.csv", "--labels", "a,b", "--columns", "body,body", "--loop", "l"],
            "--columns must differ, got 'body', 'body'",
        ),
        (["next", "-k", 0], "-k 0: choose at least one"),
        (["next", "--strategy", "bagde"], "did you mean 'badge'"),
        (["next", "--random", 1.5], "--random 1.5: a share is from 0 to 1"),
        (["next", "--seed", -1], "--seed -1: a seed is 0 or more"),
        (["next", "--pool", "p", "--model", "m:M"], "--pool and --model: give one of them"),
        (["next", "--pool", "p", "--encoder", "e"], "--encoder makes no features with --pool"),
        (["next", "--pool", "gone.npz"], "--pool gone.npz: There is no "),
        (["next", "--pool", "gone/"], "--pool gone/: There is no "),
        (["next", "--pool", "two.npy:x"], "--pool two.npy:x: a pool is a whole file: give two"),
        (["next", "--pool", "pool.npz", "--strategy", "core-set"], "; give a pool that has them"),
        (["next", "--pool", "pool.npz", "--strategy", "bald"], "; give a pool of theirs with --p"),
        (["next", "--pool", "reviews.csv"], "make a pool folder of it with `labelnext convert`"),
        (["next", "--encoder", "plein"], "--encoder plein is not known for texts"),
        (["next", "--encoder", "own_code:gone"], "--encoder 'own_code:gone' cannot be imported"),
        (["close", "--round", 7], "--round must be one of 0, got 7"),
        (
            ["status", "--loop", "gone"],
            "`labelnext loop init SAMPLES`, or name another folder with",
        ),
        (["export", "labels.txt"], "expected a name that ends in .csv, .jsonl or .parquet"),
        (["export", "reviews.csv"], "exists already; add --force"),
        (["export", "no/labels.csv"], "there is no folder no; create it first"),
        (["export", "l.jsonl", "--safe-formulas"], "--safe-formulas is for .csv files alone"),
        (["run", "--rounds", 0], "--rounds 0: there must be at least one"),
        (["push", "reviews.csv"], "exists already"),
        (["push", "batch.xls"], "a file's format is one of csv, jsonl"),
        (["push", "doccano", "batch.csv"], "tools are label-studio, csv"),
        (["push", "cvat", "batch.zip"], "CVAT has classes for pictures"),
        (["push", "prodigy", "http://localhost"], "only Label Studio has an address"),
        (["push", "http://localhost"], "give it as --token or in the environment"),
        (["push", "batch.csv", "--token", "t"], "--token is for Label Studio's address"),
        (["push", "loop/loop.sqlite"], "a file's format is one of"),
        (["push", "batch.csv", "--round", 9], "--round must be one of"),
        (["pull", "gone.csv"], "gone.csv cannot be read"),
        (["pull", "csv", "empty.txt"], "empty.txt has no row, task or record in it"),
        (["pull", "csv", "old.csv", "--annotator", ""], "--annotator must not be empty"),
        (["pull", "reviews.csv"], "reviews.csv cannot be read as csv: there is no column"),
        (["label", "--host", "0.0.0.0"], "so --people must name who labels"),
    ],
)
def test_mistakes_are_told_in_one_line(made, complaint, arguments, words):
    (made / "odd.md").write_bytes(b"\xff")
    (made / "empty.txt").write_text("\n \n")
    (made / "old.csv").write_text("id,label\n3,good\n")
    np.save("two.npy", np.eye(2))
    ids = np.array([*map(str, range(30))])
    np.savez("pool.npz", proba=[[0.5, 0.5]] * 30, ids=ids)
    if "pool.npz" in arguments:
        arguments = [*arguments, "--classes", "good,bad"]
    before = labelnext.open_loop("loop").rounds()
    assert words in complaint("loop", *arguments)
    assert labelnext.open_loop("loop").rounds() == before
    assert not (made / "l").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--model", "own_code:Wrong"], "--model own_code:Wrong could not be fitted: KeyError"),
        (["--model", "own_code:gone"], "--model 'own_code:gone' cannot be imported"),
        (["--model", "own_code"], "--model must be module:name, as in my_code:Name, got"),
        (["--model", "sklearn.svm:LinearSVC"], "--model sklearn.svm:LinearSVC has no predict_pro"),
        (["--model", "own_code:MINE"], "--model own_code:MINE has no fit; name a classifier"),
        (["--model", "sklearn.svm:SVC"], "SVC has no predict_proba once it is fitted; take a"),
        (["--model", "builtins:dict"], "--model builtins:dict has no fit; name a classifier"),
        (["--callback", "own_code:MINE"], "own_code:MINE cannot be called; name a function"),
        (["--seed", str(1 << 64)], "--seed must be at least 0 and below 2**62"),
        (["--encoder", ""], "--encoder is not known for texts"),
        (["--callback", "own_code:gone"], "--callback 'own_code:gone' cannot be imported"),
        (["--train", "own_code:fails"], "own_code:fails ended with 1, see above"),
        (["--train", "own_code:gone"], "own_code:gone ended with 1, see above"),
    ],
)
def test_faults_of_the_users_own_code_are_told_in_one_line(made, run, arguments, words):
    answer()
    loop = labelnext.open_loop("loop")
    ids = [*map(str, range(12))]
    loop.add_labels(ids, [[*TOPICS][int(i) % 2] for i in ids], annotator="bo", source="x")
    result = run("loop", "next", *arguments)
    assert result.exit_code == 2
    *_, last = result.stderr.splitlines()
    assert last.startswith("labelnext: ")
    assert words in last


def test_a_report(made, run):
    answer()
    ran(run, "next", "-k", 5, "--seed", 0)
    answer()
    ran(run, "next", "-k", 5, "--seed", 0)
    *lines, asked, written = ran(run, "report").splitlines()
    assert (asked, written) == ("5 answers missing: labelnext loop label", "Written: loop.html")
    assert lines[1].startswith("Newest score: accuracy ")
    assert set(lines) & set(ran(run, "status").splitlines()) == set(lines[:2])
    page = (made / "loop.html").read_text("utf-8")
    assert "<h2>Learning curve</h2>" in page
    assert "The map, round by round" in page
    said = run("loop", "report")
    assert (said.exit_code, said.stderr) == (
        2,
        "labelnext: FILE loop.html: exists already; add --force to replace it\n",
    )
    ran(run, "report", "loop.html", "--force")
    assert "expected a name that ends in .html" in run("loop", "report", "a.pdf").stderr


def test_to_a_file_and_back(made, run):
    assert "6 samples: batch.csv. Then: labelnext loop pull batch.csv" in ran(
        run, "push", "batch.csv"
    )
    ran(run, "push", "batch.csv", "--force")
    ran(run, "push", "prodigy", "tasks.jsonl", "--round", 0)
    frame = pd.read_csv("batch.csv", dtype=str)
    frame["label"], frame["annotator"] = "good", "bo"
    frame.to_csv("batch.csv", index=False)
    assert ran(run, "pull", "batch.csv") == "6 new answers.\n"
    assert ran(run, "pull", "csv", "batch.csv") == "0 new answers, 6 known already.\n"
    said = run("loop", "push", "batch.csv", "--force").stderr
    assert "Choose a round with `labelnext loop next`" in said


def test_it_is_said_whose_labels_became_of_a_file_that_names_nobody(made, run):
    Path("old.csv").write_text("id,label\n3,good\n4,bad\n")
    more = "\nIf they are somebody else's: labelnext loop pull csv old.csv --annotator NAME\n"
    said = ran(run, "pull", "csv", "old.csv")
    assert said == f"2 new answers; 2 that name nobody are of 'old.csv'.{more}"
    said = ran(run, "pull", "csv", "old.csv", "--annotator", "ann")
    assert said == "2 new answers; 2 that name nobody are of 'ann', and no longer of 'old.csv'.\n"
    assert {*labelnext.open_loop("loop").votes()["3"]} == {"ann"}


def test_label_studio_is_told_apart_by_its_address(made, run, monkeypatch):
    calls = []

    class Studio:
        def __init__(self, *where, **options):
            calls.append((where, options))

        def push(self, loop, number):
            return Pushed(6, {})

        def pull(self, loop):
            return Pulled(2, 1, {"without an answer": 3})

    monkeypatch.setattr("labelnext.tools.LabelStudio", Studio)
    url = "http://localhost:8080"
    assert "6 samples" in ran(run, "push", "label-studio", url, "--project", 3, "--token", "t")
    said = ran(run, "pull", url)
    assert said == "2 new answers, 1 known already; left out: 3 without an answer.\n"
    assert calls[0][0] == (url, 3)
    assert calls[0][1] == {"token": "t", "media": None, "guesses": False, "label": None}


def test_outside_of_a_loop(here, complaint):
    assert "there is no loop here; make one with `labelnext loop init" in complaint(
        "loop", "status"
    )


def test_the_people_of_the_last_time_are_served_again(made, run, monkeypatch):
    """The third command that was printed gave one address, for a third person."""
    from labelnext.page._security import Keys

    Keys(made / "loop").remember(people=["ann", "bo"])
    served = []
    monkeypatch.setattr("labelnext.page.serve", lambda loop, **options: served.append(options))
    ran(run, "label", "--no-browser", "--host", "0.0.0.0")
    assert served[0]["people"] is None  # which are those of the last time


@pytest.mark.parametrize("command", ["label", "run"])
def test_what_the_page_would_refuse_is_refused_before_a_round_is_chosen(made, run, command):
    answer()
    for options in (["--people", "ann,ann"], ["--people", ""], ["--host", "0.0.0.0"]):
        result = run("loop", command, *options)
        assert result.exit_code == 2
        assert "--people must" in result.stderr
    assert len(labelnext.open_loop("loop").rounds()) == 1


def test_a_missing_extra_is_named(made, complaint, monkeypatch):
    monkeypatch.setitem(sys.modules, "starlette", None)
    assert 'pip install "labelnext[label]"' in complaint("loop", "label")


@pytest.mark.slow
def test_run_is_killed_anywhere_and_goes_on(made):
    command = [sys.executable, "-m", "labelnext", "loop", "run", "-k", "8", "--no-page"]
    command += ["--train", "own_code:train", "--seed", "0"]
    moments = iter(np.random.default_rng(0).uniform(0.2, 4, 8).tolist())
    while True:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        deadline = time.monotonic() + next(moments, 120.0)
        while process.poll() is None and time.monotonic() < deadline:
            answer(most=4)
            time.sleep(0.05)
        if process.poll() is not None:
            break
        process.kill()
        process.communicate()
    said = process.communicate()[0].decode()
    assert process.returncode == 0, said
    loop = labelnext.open_loop("loop")
    rounds = loop.rounds()
    assert [each["number"] for each in rounds] == [*range(len(rounds))]
    assert rounds[-1]["state"] == "trained"
    assert all(each["state"] != "open" for each in rounds)
    asked = [pick["id"] for each in rounds for pick in loop.picks(each["number"])]
    assert sorted(asked, key=int) == [*map(str, range(30))]  # each once
    assert len([e for e in loop.events() if e.action == "label"]) == 30


def test_a_pool_without_ids_says_how_to_give_them(made, run):
    answer()
    np.save("proba.npy", np.random.default_rng(0).dirichlet([1, 1], 30))
    said = run("loop", "next", "--pool", "proba.npy").stderr
    assert "`labelnext convert proba.npy pool/ --ids ids.txt`, and give --pool pool/" in said
    assert "labelnext.Pool" not in said
    Path("ids.txt").write_text("".join(f"{i}\n" for i in range(30)))
    assert run("convert", "proba.npy", "pool/", "--ids", "ids.txt").exit_code == 0
    said = ran(run, "next", "-k", 2, "--pool", "pool/", "--classes", "good,bad")
    assert "Round 1: 2 samples" in said


def test_a_push_makes_no_folder(made, run):
    result = run("loop", "push", "no/x.csv")
    assert result.exit_code == 2
    assert "/no; create it first\n" in result.stderr
    assert not Path("no").exists()


def test_damaged_features_stop_no_round(made, run):
    answer()
    ran(run, "next", "-k", 2)
    Path("loop/features/pool.json").write_text("{")
    said = ran(run, "next", "-k", 2)
    assert "The features were damaged, and were computed again.\n" in said
    (made / "loop/features").rename(made / "away")
    Path("loop/features").write_text("mine")
    result = run("loop", "next", "-k", 2)
    assert result.exit_code == 2
    assert "loop/features is a file, and features are kept there; move it away" in result.stderr


@pytest.mark.parametrize("command", [("init", "reviews.csv", "--loop", "l"), ("change",)])
def test_a_quote_in_names_of_classes_is_closed(made, run, command):
    result = run("loop", *command, "--labels", '"a,b",c')
    assert result.exit_code == 2
    assert '--labels "a,b",c: "a has a quote that is not closed; give names' in result.stderr
    assert not Path("l").exists()
    Path("classes.txt").write_text("a,b\nc\n")
    if command[0] == "init":
        ran(run, *command, "--labels", "classes.txt")
        assert labelnext.open_loop("l").classes == ["a,b", "c"]


def test_a_picture_that_is_gone_stops_no_push(here, run):
    (here / "photos").mkdir()
    for i in range(3):
        Image.new("RGB", (4, 4)).save(here / "photos" / f"{i}.png")
    ran(run, "init", "photos", "--labels", "a,b", "--test", 2, "--seed", 0)
    (gone, there) = [pick["id"] for pick in labelnext.open_loop("loop").picks(0)]
    (here / "photos" / gone).unlink()
    said = ran(run, "push", "label-studio", "x.json")
    assert said.startswith(f"Left out, as the file cannot be read: {gone} (")
    assert "\n1 sample: x.json. Then:" in said
    assert [task["data"]["id"] for task in json.loads(Path("x.json").read_text())] == [there]
    (here / "photos" / there).unlink()
    result = run("loop", "push", "label-studio", "y.json")
    assert result.exit_code == 2
    assert "nothing was sent" in result.stderr
