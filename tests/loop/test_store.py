"""The store of a loop, by examples: what is asked, in which order, and what labels come of it."""

import json

import numpy as np
import pytest

import labelnext
from labelnext.loop import Loop

TEXTS = [f"text {row}" for row in range(20)]


@pytest.fixture
def loop(tmp_path):
    return Loop.create(tmp_path / "loop", TEXTS, classes=["good", "bad"], test=4, random_state=0)


def pool_of(loop, n_classes=2):
    rng = np.random.default_rng(0)
    n = loop.progress()["samples"]
    proba = rng.dirichlet(np.ones(n_classes), n)
    return labelnext.Pool(
        proba, rng.normal(size=(n, 3)), ids=loop.samples().ids, classes=loop.classes
    )


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
    assert loop.metrics() == [
        {"round": 1, "split": "test", "name": "accuracy", "value": 0.75},
    ]
    labels = loop.labels()
    assert labels.ids[labels.labeled].tolist() == sorted(batch.ids, key=int)
    assert set(loop.labels(split="test").y) == {None, "good"}
    assert len(loop.next(pool_of(loop), 100)) == 6
    with pytest.raises(ValueError, match="Nothing is left"):
        loop.next(pool_of(loop))


def test_the_same_client_id_writes_once(loop):
    (item,) = loop.take("ann")
    once = loop.record(item, "label", "good", annotator="ann", client="c1")
    assert loop.record(item, "label", "good", annotator="ann", client="c1") == once
    assert loop.undo("ann", client="u1") == loop.undo("ann", client="u1")
    assert len(loop.events()) == 2
    with pytest.raises(ValueError, match="used before, for 'label'"):
        loop.record(item, "skip", annotator="ann", client="c1")


def test_samples_come_back_as_they_were(loop):
    assert loop.samples().contents == TEXTS
    assert json.dumps(loop.sample("3")["content"]) == '"text 3"'
