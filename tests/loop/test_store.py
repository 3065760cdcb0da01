"""The store of a loop, by examples: what is asked, in which order, and what labels come of it."""

import inspect
import pickle
import re
import threading
import traceback
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse

import labelnext
from labelnext.loop import Loop, LoopError, _rounds, _schema, open_loop
from labelnext.loop.model import measure_pool
from labelnext.samples import Samples

TEXTS = [f"text {row}" for row in range(20)]
ANN = {"annotator": "ann"}


def new_loop(folder, **options):
    options = {"classes": ["good", "bad"], "random_state": 0} | options
    return Loop.create(folder / "loop", TEXTS, **options)


@pytest.fixture
def loop(tmp_path):
    """A loop with a test set of four."""
    return new_loop(tmp_path, test=4)


@pytest.fixture
def clock(monkeypatch):
    """A list with the time."""
    times = [1e9]
    monkeypatch.setattr(_schema, "now", lambda: times[0])
    return times


def pool_of(loop, rows=slice(None)):
    rng = np.random.default_rng(0)
    ids = np.array(loop.samples().ids, object)[rows]
    proba, features = rng.dirichlet(np.ones(2), len(ids)), rng.normal(size=(len(ids), 3))
    return labelnext.Pool(proba, features, ids=ids, classes=loop.classes)


def ids_of(items):
    return [item.id for item in items]


def label(loop, annotator, value="good"):
    (item,) = loop.take(annotator)
    loop.record(item, "label", value, annotator=annotator)
    return item.id


def test_a_round_from_selection_to_training(loop):
    test = [label(loop, "ann") for _ in range(4)]
    assert loop.take("ann") == []
    batch = loop.next(pool_of(loop), 10, random=0.2, random_state=0)
    assert not set(batch.ids) & set(test)
    assert [label(loop, "ann", "bad") for _ in range(10)] == batch.ids.tolist()
    assert [pick["kind"] for pick in loop.picks(1)].count("random") == 2
    assert loop.close({"accuracy": 0.75}) == 1
    assert [each["state"] for each in loop.rounds()] == ["closed", "trained"]
    told = {"round": 1, "split": "test", "name": "accuracy", "value": 0.75}
    assert loop.metrics() == [told | {"labels": 10, "tested": 4, "model": "unnamed"}]
    labels = loop.labels()
    assert labels.ids[labels.labeled].tolist() == sorted(batch.ids, key=int)
    assert set(loop.labels(split="test").y) == {None, "good"}
    assert len(loop.next(pool_of(loop), 100)) == 6
    with pytest.raises(ValueError, match="Nothing is left"):
        loop.next(pool_of(loop))


def test_a_score_is_kept_whatever_is_open(loop):
    """It is of the newest round whose labels the model has seen, with their number."""

    def kept():
        return [(m["round"], m["labels"], m["tested"], m["value"]) for m in loop.metrics()]

    assert loop.score({"accuracy": 0.1}) == 0  # of a model that has seen none
    for _ in range(2):
        label(loop, "ann")
    first, second = (loop.next(pool_of(loop), 4, random_state=0).ids for _ in range(2))
    before = loop.labels()
    for name in first[:2]:
        loop.record(name, "label", "good", **ANN)
    assert loop.score({"accuracy": 0.2}) == 1
    assert loop.score({"accuracy": 0.3}, before) == 0  # trained before these labels were known
    loop.record(second[0], "label", "bad", **ANN)
    assert loop.score({"accuracy": 0.4}) == 2
    loop.record(first[2], "label", "bad", **ANN)
    loop.record(loop.take("ann")[0], "label", "bad", **ANN)
    assert loop.score({"random": {"accuracy": 0.5}}) == 2
    assert {each["state"] for each in loop.rounds()} == {"open"}
    assert loop.close({"accuracy": 0.6}, round=1) == 1  # of its labels alone
    assert kept() == [
        *((1, 2, 2, 0.2), (0, 0, 2, 0.3), (2, 3, 2, 0.4)),
        *((2, 4, None, 0.5), (1, 3, 3, 0.6)),
    ]
    assert [each["state"] for each in loop.rounds()] == ["open", "trained", "open"]
    loop.close(round=2)
    loop.score({"accuracy": 0.7})
    assert loop.rounds()[2]["state"] == "trained"


def test_scores_of_one_model_take_no_others_place(loop):
    """A model was measured again on the labels of before, and another's score was gone."""
    for model, value in (("mine", 1.0), ("default", 0.2), ("mine", 0.9), ("default", 0.3)):
        loop.score({"accuracy": value}, model=model)
    assert [(m["model"], m["value"]) for m in loop.metrics()] == [("mine", 0.9), ("default", 0.3)]
    loop.close({"accuracy": 0.5}, round=0, model="mine")
    assert [(m["model"], m["value"]) for m in loop.metrics()] == [("default", 0.3), ("mine", 0.5)]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_metric_that_is_no_finite_number_is_refused(loop, value):
    for call in (loop.score, loop.close):
        with pytest.raises(ValueError, match=r"The metric 'loss' must be finite.*leave it out\."):
            call({"accuracy": 0.5, "loss": value})
    assert loop.metrics() == []
    assert loop.rounds()[0]["closed_at"] is None


@pytest.mark.parametrize(
    ("name", "value", "hint"),
    [("accuracy", 7.0, True), ("macro_f1", 2, True), ("recall", -0.1, False), ("f1", 101, False)],
)
def test_a_share_is_no_percentage(loop, name, value, hint):
    with pytest.raises(ValueError, match=f"'{name}' must be a share from 0 to 1, got") as error:
        loop.score({"loss": 7.0, name: value})
    assert ("percentage" in str(error.value)) == hint
    assert loop.metrics() == []


def test_a_test_set_that_was_closed_is_asked_for_again(loop):
    with pytest.raises(ValueError, match="is not closed"):
        loop.reopen_test()
    label(loop, "ann")
    loop.close(round=0)
    assert loop.take("ann") == []
    assert loop.reopen_test() == 3
    assert loop.progress()["missing_in_all"] == 3
    assert len(loop.take("ann", 10)) == 3
    assert loop.rounds()[0]["state"] == "open"


def test_without_a_test_set_none_is_asked_for_again(tmp_path):
    with pytest.raises(ValueError, match="has no test set"):
        new_loop(tmp_path).reopen_test()


def test_people_are_those_of_whom_something_stands(loop):
    """Undos and what was taken back were counted, and people of whom nothing is left."""

    def people():
        return {one["annotator"]: one["decisions"] for one in loop.progress()["people"]}

    for _ in range(4):
        label(loop, "ann")
    loop.undo("ann")
    loop.undo("ann")
    loop.record(loop.take("ann")[0], "skip", **ANN)
    loop.record("3", "flag", **ANN)
    label(loop, "bo")
    loop.undo("bo")
    for value in ("good", "bad"):
        loop.record("5", "adjudicate", value, annotator="eve")
    assert people() == {"ann": 3, "eve": 1}


def test_a_score_without_a_round_is_refused(tmp_path):
    loop = new_loop(tmp_path)
    with pytest.raises(ValueError, match=r"no round that metrics may be of.*loop\.next"):
        loop.score({"accuracy": 0.5})
    loop.next(pool_of(loop), 2)
    assert loop.score({"accuracy": 0.5}) == 1


def test_what_a_model_of_ours_reaches_is_kept_when_it_chooses(tmp_path):
    texts = [f"{mood} film {row}" for row in range(10) for mood in ("fine", "poor")]
    loop = Loop.create(tmp_path / "l", texts, classes=["good", "bad"], test=6, random_state=0)

    def answer(n):
        for item in loop.take("ann", n):
            value = "good" if "fine" in item.content else "bad"
            loop.record(item, "label", value, **ANN)

    answer(3)  # half of the test set
    loop.next(k=6, strategy="random", random_state=0)
    for name in [pick["id"] for pick in loop.picks(1)][:4]:
        loop.record(name, "label", ["good", "bad"][int(name) % 2], **ANN)
    loop.next(k=2, random_state=0)
    accuracy = [m for m in loop.metrics() if m["name"] == "accuracy"]
    assert [(m["round"], m["labels"], m["tested"]) for m in accuracy] == [(1, 4, 3)]


def test_items_say_why_they_were_picked(loop):
    batch = loop.next(pool_of(loop), 16, random=0.0, random_state=0)
    label_of = dict(zip(batch.ids, batch.to_lists()["pseudo_label"], strict=True))
    items = loop.take("ann", 20)[4:]
    assert ids_of(items) == batch.ids.tolist()
    assert [item.pseudo_label for item in items] == [label_of[item.id] for item in items]
    assert [item.d2 for item in items] == batch.d2.tolist()
    assert items[0].nearest is None
    features = dict(zip(loop.samples().ids, pool_of(loop).features, strict=True))
    proba = dict(zip(loop.samples().ids, pool_of(loop).proba, strict=True))

    def gradient(name):
        residual = proba[name] - np.eye(2)[proba[name].argmax()]
        return np.outer(residual, features[name])

    for place, item in enumerate(items[1:], 1):
        d2 = [((gradient(item.id) - gradient(one.id)) ** 2).sum() for one in items[:place]]
        assert item.nearest == items[int(np.argmin(d2))].id


def test_the_same_client_id_writes_once(loop):
    (item,) = loop.take("ann")
    once = loop.record(item, "label", "good", **ANN, client="c1")
    assert loop.record(item, "label", "good", **ANN, client="c1") == once
    assert loop.undo("ann", client="u1") == loop.undo("ann", client="u1")
    assert len(loop.events()) == 2
    with pytest.raises(ValueError, match="used before, for 'label'"):
        loop.record(item, "skip", **ANN, client="c1")


def test_what_was_undone_comes_first_the_last_before_all(loop):
    first, second, third = loop.take("ann", 3)
    for item in (first, second):
        loop.record(item, "label", "bad", **ANN)
    loop.take("ann", 2)
    assert [loop.undo("ann").sample for _ in range(2)] == [second.id, first.id]
    assert ids_of(loop.take("ann", 3)) == [first.id, second.id, third.id]
    loop.record(second, "skip", **ANN)
    loop.undo("ann")
    assert ids_of(loop.take("ann", 3)) == [second.id, first.id, third.id]
    assert loop.undo("bob") is None


def test_undo_brings_back_what_was_said_before(loop):
    for value in ("good", "bad"):
        loop.record("7", "label", value, **ANN)
    loop.undo("ann")
    assert loop.labels(split="all").y[7] == "good"
    assert [event.undone for event in loop.history("ann")] == [False, True, False]


def test_what_was_skipped_comes_last_in_the_order_of_skipping(loop):
    one, two, three, four = loop.take("ann", 4)
    for item in (two, one):
        loop.record(item, "skip", **ANN)
    assert ids_of(loop.take("ann", 4)) == ids_of([three, four, two, one])
    loop.record(two, "cannot-tell", **ANN)
    assert ids_of(loop.take("ann", 4)) == ids_of([three, four, one])


def test_nobody_is_asked_for_what_another_holds(loop):
    held = ids_of(loop.take("ann", 3))
    assert not set(held) & set(ids_of(loop.take("bob", 4)))
    assert loop.release("ann") == 3
    assert set(held) < set(ids_of(loop.take("bob", 4)))


def test_nobody_is_asked_for_what_was_answered_elsewhere(loop):
    first, *rest = ids_of(loop.take("ann", 4))
    loop.add_labels([first], ["good"], annotator="bob", source="file")
    assert ids_of(loop.take("ann", 4)) == rest


def test_two_people_are_asked_for_an_overlap_and_each_once(tmp_path):
    loop = new_loop(tmp_path, test=10, overlap=0.5)
    said = {who: [] for who in ("ann", "bob", "eve")}
    for _ in range(10):
        for who, names in said.items():
            for item in loop.take(who):
                loop.record(item, "label", "good", annotator=who)
                names.append(item.id)
    assert all(len(names) == len(set(names)) for names in said.values())
    times = [sum(names.count(pick["id"]) for names in said.values()) for pick in loop.picks(0)]
    assert times == [pick["want"] for pick in loop.picks(0)]
    assert times.count(2) == 5
    assert times != sorted(times, reverse=True)  # drawn at random


def test_leases_end_and_are_renewed(loop, clock):
    held = ids_of(loop.take("ann", 4, seconds=100))
    clock[0] += 99
    assert loop.take("bob") == []
    loop.take("ann", 2, seconds=100)
    clock[0] += 99
    assert ids_of(open_loop(loop.folder).take("bob", 4)) == held[2:]
    loop.record(held[3], "label", "good", **ANN)  # late, and all the same a decision
    assert loop.labels(split="test").y[int(held[3])] == "good"


def test_a_clock_that_goes_backwards_frees_what_would_be_held_for_hours(loop, clock):
    loop.take("ann", 4, seconds=100)
    clock[0] -= 50  # not worth speaking of
    assert loop.take("bob") == []
    clock[0] -= 7200
    assert len(loop.take("bob", 4)) == 4
    loop.record("1", "label", "good", annotator="bob")
    loop.record("1", "label", "bad", annotator="bob")
    assert loop.labels(split="all").y[1] == "bad"


def test_an_event_is_of_the_round_that_asks_for_it(loop):
    batch = loop.next(pool_of(loop), 5)
    name = batch.ids[0]
    loop.record(name, "skip", **ANN)
    loop.close()
    again = loop.next(pool_of(loop), 16, random=0.0)
    assert name in again.ids
    assert loop.record(name, "label", "bad", **ANN).round == 2
    assert loop.record(loop.picks(0)[0]["id"], "flag", **ANN).round == 0


def test_rules_of_labels(tmp_path):
    loop = new_loop(tmp_path, classes=["a", "b"])
    said = {"0": "aab", "1": "ab", "2": "aa", "3": "b"}
    for name, values in said.items():
        for who, value in enumerate(values):
            loop.record(name, "label", value, annotator=str(who))
    loop.record("4", "cannot-tell", **ANN)
    assert loop.labels().y[:5].tolist() == ["a", None, "a", "b", None]
    assert loop.labels("unanimous").y[:5].tolist() == [None, None, "a", "b", None]
    assert loop.disagreements() == [
        ("0", {"0": "a", "1": "a", "2": "b"}),
        ("1", {"0": "a", "1": "b"}),
    ]
    loop.record("1", "adjudicate", "a", **ANN)
    loop.record("1", "adjudicate", "b", annotator="bob")
    for rule in ("majority", "unanimous", "adjudicated"):
        assert loop.labels(rule).y[1] == "b"
    assert loop.labels("adjudicated").labeled.tolist() == [1]
    assert [name for name, _ in loop.disagreements()] == ["0"]


def test_several_labels_and_numbers(tmp_path):
    tags = new_loop(tmp_path / "tags", task="multilabel", classes=["x", "y", "z"])
    for who, names in {"ann": "zx", "bob": "x", "eve": "xy"}.items():
        tags.record("0", "label", list(names), annotator=who)
    tags.record("1", "label", [], **ANN)
    tags.record("2", "label", ["x"], **ANN)
    tags.record("2", "label", ["y"], annotator="bob")
    assert tags.labels().y[:4].tolist() == [["x"], [], None, None]
    numbers = new_loop(tmp_path / "numbers", task="regression", classes=None)
    for who, value in {"ann": 1, "bob": 2.5, "eve": np.float32(4)}.items():
        numbers.record("0", "label", value, annotator=who)
    labels = numbers.labels()
    assert labels.y[0] == 2.5
    assert labels.labeled.tolist() == [0]
    for loop, value in ((tags, "x"), (tags, ["w"]), (numbers, np.nan), (numbers, True)):
        with pytest.raises((TypeError, ValueError), match=r"The label|none of the classes"):
            loop.record("0", "label", value, **ANN)


def test_labels_from_elsewhere_are_written_once_and_all_or_none(loop):
    loop.next(pool_of(loop), 16)
    put = {"annotator": "eve", "source": "file.csv"}
    assert loop.add_labels(["1", "2", "3"], ["good", None, "bad"], **put) == 2
    assert loop.add_labels(np.array([1, 3]), np.array(["good", "good"]), **put) == 1
    assert loop.labels(split="all").y[[1, 3]].tolist() == ["good", "good"]
    events = loop.events()
    for ids, values, said in (
        (["4", "77"], ["good", "bad"], "1 of 2 ids is not in the loop: '77'"),
        (["4", "5"], ["good", "god"], "1 of 2 labels .*'5': 'god' is none of.*mean 'good'"),
        (["4", "4"], ["good", "bad"], "'4'; nothing was written"),
        (["4"], [], "1 ids and 0 values"),
    ):
        with pytest.raises(ValueError, match=said):
            loop.add_labels(ids, values, **put)
    assert loop.events() == events
    assert loop.undo("eve") is None


def test_the_test_set_takes_whole_groups(tmp_path):
    groups = [f"patient {row % 5}" for row in range(20)]
    samples = Samples(list(map(str, range(20))), "text", TEXTS, groups=groups)
    loop = Loop.create(tmp_path / "loop", samples, classes=["a", "b"], test=5, random_state=0)
    testing = {pick["id"] for pick in loop.picks(0)}
    assert len(testing) == 8
    assert len({groups[int(name)] for name in testing}) == 2
    expected = {"id": "3", "key": 3, "kind": "text", "content": "text 3", "group": "patient 3"}
    assert loop.sample("3").items() >= expected.items()
    with pytest.raises(ValueError, match="takes all 5 groups"):
        Loop.create(tmp_path / "all", samples, classes=["a", "b"], test=18)


def test_next_leaves_out_what_is_open(loop):
    first = loop.next(pool_of(loop), 8, random_state=1)
    loop.record(first.ids[0], "label", "good", **ANN)
    second = loop.next(pool_of(loop), 8, random_state=1)
    assert len(set(first.ids) | set(second.ids)) == 16
    loop.close(round=1)
    third = loop.next(pool_of(loop), 20, random_state=1)
    assert sorted(third.ids) == sorted(first.ids[1:])
    assert [each["seed"] for each in loop.rounds()] == [0, 1, 1, 1]


def test_a_pool_may_hold_a_part_of_the_samples(loop):
    part = np.array([2, 4, 6, 8, 10, 12])
    batch = loop.next(pool_of(loop, part), 100)
    testing = {pick["id"] for pick in loop.picks(0)}
    assert {*batch.ids.tolist()} == {str(row) for row in part} - testing


def test_pools_of_every_kind(loop):
    rng = np.random.default_rng(0)
    ids, sparse = loop.samples().ids, scipy.sparse.random(20, 9, 0.5, "csr", random_state=0)
    members, proba = rng.dirichlet([1, 1], (3, 20)), rng.dirichlet([1, 1], 20)
    for pool, strategy in (
        (labelnext.Pool(members, ids=ids, classes=loop.classes), "bald"),
        (labelnext.Pool(features=sparse, ids=ids), None),
        (labelnext.Pool(proba, sparse, ids=ids, bias=True, classes=loop.classes), None),
        (labelnext.Pool(proba, ids=np.arange(20), classes=loop.classes), None),
        (labelnext.Pool(proba[:, 0], sparse, ids=ids, task="binary", classes=loop.classes), None),
    ):
        batch = loop.next(pool, 3, strategy=strategy, random=0.4)
        assert len(batch.to_lists()["id"]) == 3
        items = {item.id: item for item in loop.take("ann", 100)}
        assert len({items[str(name)].round for name in batch.ids}) == 1
        guesses = {items[str(name)].pseudo_label for name in batch.ids}
        assert guesses <= ({"good", "bad"} if pool.n_classes else {None})


@pytest.mark.parametrize("classes", [["bad", "good"], ["bad", "poor"], [0, 1]])
def test_names_that_a_pool_has_in_files_are_not_overruled(loop, tmp_path, classes):
    labelnext.write_pool(tmp_path / "pool", pool_of(loop))
    words = r"The pool names its classes, 'good', 'bad', in the .*; leave classes=\.\.\. out\."
    with pytest.raises(ValueError, match=words):
        loop.next(labelnext.open_pool(tmp_path / "pool", classes=classes), 2)
    assert len(loop.rounds()) == 1
    assert len(loop.next(labelnext.open_pool(tmp_path / "pool", classes=["good", "bad"]), 2)) == 2
    loop.change(classes=["yes", "no"])
    with pytest.raises(ValueError, match=r"know: 'good', 'bad'; .*loop\.change\(classes="):
        loop.next(labelnext.open_pool(tmp_path / "pool"), 2)


def test_labels_of_the_pool_are_no_candidates(loop):
    known = labelnext.Pool.of(pool_of(loop), labels=["good"] * 15 + [None] * 5, missing_label=None)
    batch = loop.next(known, 100, random=1.0)
    assert set(batch.ids) <= {"15", "16", "17", "18", "19"}


def test_what_is_labelled_while_a_strategy_chooses_is_not_asked_for(loop, monkeypatch):
    from labelnext.loop import _choice

    def meanwhile(*args, **options):
        batch = labelnext.select(*args, **options)
        loop.record(str(batch.ids[0]), "label", "good", **ANN)
        return batch

    monkeypatch.setattr(_choice, "select", meanwhile)
    loop.next(pool_of(loop), 4, random=0.0)
    assert sorted(pick["need"] for pick in loop.picks(1)) == [0, 1, 1, 1]


def test_the_test_set_is_never_chosen(loop):
    testing = {pick["id"] for pick in loop.picks(0)}
    loop.close()
    assert not testing & set(loop.next(pool_of(loop), 100).ids)


def test_a_round_is_open_once_somebody_is_asked_or_answers(loop):
    states = []
    for act in (
        lambda: loop.next(pool_of(loop), 2),
        lambda: loop.take("ann"),
        lambda: loop.record(loop.picks(1)[0]["id"], "label", "good", **ANN),
    ):
        act()
        states.append([each["state"] for each in loop.rounds()])
    assert states == [["selected", "selected"], ["open", "selected"], ["open", "open"]]
    assert all(each["opened_at"] for each in loop.rounds())


def test_what_is_excluded_is_drawn_by_nothing(loop):
    out = [str(row) for row in range(10)]
    batch = loop.next(pool_of(loop), 100, random=0.5, exclude_ids=out, max_per_group=None)
    assert not set(batch.ids) & set(out)
    with pytest.raises(TypeError, match="a part of the pool"):
        loop.next(pool_of(loop), exclude=[1])


def test_a_pool_of_other_samples_is_refused(loop):
    pool = pool_of(loop)
    with pytest.raises(ValueError, match="no ids"):
        loop.next(labelnext.Pool(pool.proba, pool.features))
    ids = [f"s{row}" for row in range(20)]
    with pytest.raises(ValueError, match=re.escape("Of the pool 20 of 20 ids are not in the loop")):
        loop.next(labelnext.Pool.of(pool, ids=ids))
    with pytest.raises(ValueError, match="does not know: 'ugly'"):
        loop.next(labelnext.Pool.of(pool, classes=["good", "ugly"]))
    assert len(loop.rounds()) == 1


@pytest.mark.parametrize(
    ("columns", "options", "words"),
    [
        (2, {}, "does not name its 2 classes, so its columns .* the loop's: 'good', 'bad'. Give "),
        (3, {}, "does not name its 3 classes"),
        (1, {"task": "binary"}, "does not name its 2 classes"),
        (2, {"task": "multilabel", "classes": ["good", "bad"]}, "task is 'multilabel', and .*'mul"),
    ],
)
def test_columns_are_never_taken_for_classes_by_their_place(loop, columns, options, words):
    rng = np.random.default_rng(0)
    proba = rng.dirichlet(np.ones(columns), 20) if columns > 1 else rng.random(20)
    pool = labelnext.Pool(proba, rng.random((20, 3)), ids=loop.samples().ids, **options)
    with pytest.raises(ValueError, match=words):
        loop.next(pool, 4)
    with pytest.raises(ValueError, match=words):
        measure_pool(loop, pool)
    assert len(loop.rounds()) == 1


def test_a_pool_of_classes_is_none_of_numbers(tmp_path):
    loop = new_loop(tmp_path, classes=None, task="regression")
    pool = labelnext.Pool([[0.5, 0.5]] * 20, ids=np.arange(20), classes=["1", "2"])
    with pytest.raises(ValueError, match="'multiclass', and the loop's is 'regression'"):
        loop.next(pool, 4)


def test_classes_that_are_numbers_are_those_of_their_texts(tmp_path):
    loop = new_loop(tmp_path, classes=["0", "1", "2"])
    loop.record("3", "label", "1", **ANN)
    proba = np.random.default_rng(0).dirichlet([1, 1], 20)
    pool = labelnext.Pool(proba, np.eye(20), ids=np.arange(20), classes=[0, 1])
    loop.next(pool, 4, random=0)
    assert {pick["pseudo_label"] for pick in loop.picks(1)} <= {"0", "1"}


def test_two_that_choose_at_once_do_not_choose_the_same(loop, monkeypatch):
    from labelnext.loop import _choice

    def meanwhile(*args, **options):
        monkeypatch.undo()
        loop.next(pool_of(loop), 4)
        return labelnext.select(*args, **options)

    monkeypatch.setattr(_choice, "select", meanwhile)
    with pytest.raises(LoopError, match="Another process has chosen"):
        loop.next(pool_of(loop), 4)
    assert len(loop.rounds()) == 2


def test_strategies_see_the_labels(loop):
    seen = []

    class Look(labelnext.pool.RandomSampling):
        def _choose(self, query):
            seen.append(query.pool.ids[query.labeled].tolist())
            return super()._choose(query)

    loop.record("3", "label", "good", **ANN)
    loop.record(loop.picks(0)[0]["id"], "label", "good", **ANN)
    loop.next(pool_of(loop), 4, strategy=Look())
    assert seen == [["3"]]


def test_threads_and_pickles_work_with_one_loop(tmp_path):
    loop = new_loop(tmp_path, test=19)
    taken = []

    def work(name, mine):
        while items := mine.take(name):
            taken.append(items[0].id)
            mine.record(items[0], "label", "good", annotator=name)

    loops = [loop, loop, pickle.loads(pickle.dumps(loop))]
    threads = [threading.Thread(target=work, args=(str(n), one)) for n, one in enumerate(loops)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken) == sorted(pick["id"] for pick in loop.picks(0))


@pytest.mark.parametrize("queue", [_rounds.FREE, _rounds.SKIPPED])
def test_the_queue_is_an_index_and_never_sorted(loop, queue):
    with loop._database.reading() as db:
        plan = [row[3] for row in db.execute(f"EXPLAIN QUERY PLAN {queue}", {"me": "a", "n": 1})]
    scans = [step for step in plan if "SEARCH" not in step and "SUBQUERY" not in step]
    sorts = ["USE TEMP B-TREE FOR ORDER BY"] * (queue is _rounds.SKIPPED)  # what is left, by time
    assert scans == ["SCAN p USING INDEX queue", *sorts]
    assert not any("SEARCH e USING INDEX events_of_annotator" in step for step in plan)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda loop: loop.record("99", "label", "good", **ANN), "No sample has the id '99'"),
        (lambda loop: loop.record(3, "label", "good", **ANN), "by its id, a text.*got 3"),
        (lambda loop: loop.record("3", "label", "god", **ANN), "did you mean 'good'"),
        (lambda loop: loop.record("3", "label", None, **ANN), "None is none of the classes"),
        (lambda loop: loop.record("3", "skip", "good", **ANN), "takes no value"),
        (lambda loop: loop.record("3", "lable", "good", **ANN), "did you mean 'label'"),
        (lambda loop: loop.record("3", "comment", **ANN), "comment must be a text"),
        (lambda loop: loop.record("3", "flag", annotator=" "), "annotator must not be empty"),
        (lambda loop: loop.record("3", "flag", annotator="\udc80"), "whole characters"),
        (lambda loop: loop.record("\udc80", "flag", **ANN), "No sample has the id"),
        (lambda loop: loop.record("3", "flag", **ANN, milliseconds=-1), "at least 0, got -1"),
        (lambda loop: loop.record("3", "flag", **ANN, milliseconds=1 << 70), "milliseconds"),
        (lambda loop: loop.take("ann", 0), "n must be at least 1"),
        (lambda loop: loop.take("ann", seconds=np.inf), "seconds must be finite"),
        (lambda loop: loop.labels("most"), "rule must be 'majority'"),
        (lambda loop: loop.labels(split="train"), "split must be"),
        (lambda loop: loop.close({"accuracy": "high"}), "'accuracy' must be a number"),
        (lambda loop: loop.close([0.5]), "metrics must map"),
        (lambda loop: loop.close(round=7), "round must be one of 0, got 7"),
        (lambda loop: loop.next(pool_of(loop), 0), "k must be at least 1"),
        (lambda loop: loop.next(pool_of(loop), random=2), "share from 0 to 1"),
        (
            lambda loop: loop.next(pool_of(loop), random_state="x"),
            "random_state must be an integer",
        ),
        (lambda loop: loop.next(pool_of(loop), strategy="bagde"), "badge"),
    ],
)
def test_what_cannot_be_meant_is_refused(loop, call, said):
    with pytest.raises((ValueError, TypeError), match=said):
        call(loop)
    assert loop.events() == []
    assert len(loop.rounds()) == 1
    assert loop.rounds()[0]["state"] == "selected"


WRONG = (3, 1.5, True, None, "x", "", "\udc80", b"x", [], [None], {}, {"a": 1}, {3}, object())
WRONG = (*WRONG, float("nan"), np.array([1, 2]), Path)
# What a public method is given, in one way that is right; and what is right in each place of it.
CALLS = {
    "create": {"folder": "new", "samples": ["a", "b"], "classes": ["x", "y"]},
    "change": {"guidelines": "Look."},
    "sample": {"sample": "0"},
    "next": {"pool": None, "k": 1},
    "take": {"annotator": "ann"},
    "release": {"annotator": "ann"},
    "record": {"sample": "0", "action": "label", "value": "good", "annotator": "ann"},
    "undo": {"annotator": "ann"},
    "history": {"annotator": "ann"},
    "labels": {},
    "add_labels": {"ids": ["0"], "values": ["good"], "annotator": "ann", "source": "file"},
    "close": {},
    "score": {"metrics": {"accuracy": 0.5}},
    "picks": {"round": 0},
    "report": {"path": "report.html"},
    "open_loop": {"folder": "loop"},
}
PLACES = [
    (name, place)
    for name in CALLS
    for place in inspect.signature(getattr(Loop, name, open_loop)).parameters
    if place not in ("self", "options")
]


@pytest.mark.parametrize(("name", "place"), PLACES)
def test_a_wrong_type_is_one_line_that_says_what_was_expected(loop, monkeypatch, name, place):
    """Whatever is given, in each place of each public method; what can be meant is taken."""
    monkeypatch.chdir(loop.folder.parent)
    call = getattr(loop, name, open_loop)
    given = CALLS[name] | ({"pool": pool_of(loop)} if name == "next" else {})
    taken = 0
    for wrong in WRONG:
        try:
            call(**given | {place: wrong})
        except (TypeError, ValueError, LoopError, FileExistsError, FileNotFoundError) as error:
            said, where = str(error), traceback.extract_tb(error.__traceback__)[-1]
            assert "labelnext" in where.filename, (wrong, said)
            assert "damaged" not in said, wrong
            assert re.search(
                r"must|expected|[Nn]o |none of|exists|is given|needs|empty|unknown|not in", said
            ), (
                wrong,
                said,
            )
            assert said.endswith("."), (wrong, said)
            assert "\n" not in said, (wrong, said)
        else:
            taken += 1
    assert taken < len(WRONG) / 2


def test_shares_of_classes_are_honest(tmp_path):
    """A tenth is rare, and the strategy takes all of it that it finds."""
    rng = np.random.default_rng(0)
    n, found = 300, []
    for seed in range(25):
        rare = np.zeros(n, bool)
        rare[rng.permutation(n)[:30]] = True
        loop = Loop.create(
            tmp_path / str(seed),
            ["text"] * n,
            classes=["often", "rare"],
            test=30,
            random_state=seed,
        )
        proba = np.where(rare[:, None], [0.5, 0.5], [0.9, 0.1])
        pool = labelnext.Pool(proba, ids=loop.samples().ids, classes=["often", "rare"])
        ids = [pick["id"] for pick in loop.picks(0)]
        for _ in range(2):
            ids += loop.next(pool, 40, random=0.5, random_state=seed).ids.tolist()
            loop.add_labels(
                ids, np.where(rare[list(map(int, ids))], "rare", "often"), annotator="a", source="b"
            )
        found.append(loop.class_counts().rows[1])
    counts = [each["test"] + each["random"] + each["strategy"] for each in found]
    assert np.mean(counts) / 110 > 0.2, "the strategy has found them"
    assert abs(np.mean([each["share"] for each in found]) - 0.1) < 0.015
    assert np.mean([each["low"] <= 0.1 <= each["high"] for each in found]) >= 0.88


def test_what_is_known_counts_as_it_is(tmp_path):
    loop = new_loop(tmp_path)
    halves = []
    for share, value in ((0.0, "bad"), (1.0, "good")):
        halves.append(loop.next(pool_of(loop), 10, random=share).ids.tolist())
        loop.add_labels(halves[-1], [value] * 10, annotator="a", source="b")
    good, bad = loop.class_counts().rows
    assert (good["random"], bad["strategy"], bad["random"]) == (10, 10, 0)
    assert good["share"] == bad["share"] == 0.5
    assert 0.5 < bad["high"] < 0.75


def test_counts_of_classes_say_why(loop):
    assert loop.class_counts().rows[0] == {
        "class": "good",
        **dict.fromkeys(["test", "random", "strategy", "other"], 0),
        **dict.fromkeys(["share", "low", "high"]),
    }
    batch = loop.next(pool_of(loop), 4, random=0.25)
    for name in batch.ids:
        loop.record(name, "label", "good", **ANN)
    label(loop, "ann", "bad")
    good, bad = loop.class_counts().rows
    assert [good[kind] for kind in ("test", "random", "strategy", "other")] == [0, 1, 3, 0]
    assert (bad["test"], bad["share"]) == (1, 0.5)
    assert "(2 of 5 labels)" in loop.class_counts().warning


def test_without_a_pool_the_default_model_chooses(tmp_path):
    texts = [f"a {'good' if row % 2 else 'bad'} film number {row}" for row in range(30)]
    loop = Loop.create(tmp_path / "loop", texts, classes=["good", "bad"], random_state=0)
    batch = loop.next(k=6)
    assert loop.rounds()[0]["strategy"] == "max-herding"
    for name in batch.ids:
        loop.record(name, "label", "good" if int(name) % 2 else "bad", **ANN)
    again = loop.next(k=6, random=0.0)
    assert loop.rounds()[1]["strategy"] == "uncertainty-herding"
    assert not set(batch.ids) & set(again.ids)
    assert {pick["pseudo_label"] for pick in loop.picks(2)} <= {"good", "bad"}


def test_numbers_are_asked_for_by_their_features(tmp_path):
    loop = new_loop(tmp_path, task="regression", classes=None)
    features = np.random.default_rng(0).normal(size=(20, 3))
    pool = labelnext.Pool(features=features, ids=loop.samples().ids, task="regression")
    loop.next(pool, 5)
    assert loop.rounds()[0]["strategy"] == "badge"


def test_an_import_that_has_not_changed_does_not_undo_what_was_said_later(loop):
    put = {"annotator": "ann", "source": "studio"}
    assert loop.add_labels(["1"], ["good"], **put) == 1
    loop.record("1", "label", "bad", **ANN)
    assert loop.add_labels(["1"], ["good"], **put) == 0
    assert loop.labels(split="all").y[1] == "bad"
    assert [loop.add_labels(["1"], [value], **put) for value in ("bad", "good")] == [0, 0]
    assert loop.add_labels(["1"], ["good"], annotator="ann", source="file") == 1


def test_classes_may_be_added_and_none_that_was_used_is_lost(loop):
    loop.record("1", "label", "good", **ANN)
    loop.change(classes=["odd", "good"], guidelines="Look well.")
    assert open_loop(loop.folder).classes == ["odd", "good"]
    assert loop.guidelines == "Look well."
    loop.record("2", "label", "odd", **ANN)
    with pytest.raises(ValueError, match=r"people have used: 'good' \(1 label\); name it"):
        loop.change(classes=["odd", "bad"], guidelines="Lost")
    with pytest.raises(ValueError, match="more than once"):
        loop.change(classes=["odd", "odd"])
    assert loop.guidelines == "Look well."


def test_other_columns_are_kept_as_json_can(tmp_path):
    import pyarrow as pa

    table = pa.table({"stars": [5.0, np.nan], "shop": ["Köln", None]})
    samples = Samples(["a", "b"], "text", ["x", "y"], table=table)
    loop = Loop.create(tmp_path / "loop", samples, classes=["good", "bad"])
    assert loop.sample("a")["extra"] == {"stars": 5.0, "shop": "Köln"}
    assert loop.sample("b")["extra"] == {"stars": None, "shop": None}
    assert loop.samples().table.column_names == ["stars", "shop"]
