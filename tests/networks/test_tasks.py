"""What a network is trained for, as it says itself or its caller does."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

import labelnext
import nets
from labelnext.engine import open_gradients
from labelnext.networks import extract, find_head, proba_and_features

X = nets.rows()


def transformer(**config):
    """A small one, whose configuration is as users make them."""
    from transformers import BertConfig, BertForSequenceClassification

    torch.manual_seed(0)
    small = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    return BertForSequenceClassification(
        BertConfig(vocab_size=30, intermediate_size=12, **small, **config)
    )


def configured(n_outputs=4, **config):
    model = nets.Mlp(n_outputs)
    model.config = SimpleNamespace(**config)
    return model


@pytest.mark.parametrize("in_files", [False, True], ids=["", "files"])
@pytest.mark.parametrize(
    ("config", "task"),
    [
        ({"num_labels": 4}, "multiclass"),
        ({"num_labels": 2}, "multiclass"),
        ({"num_labels": 4, "problem_type": "single_label_classification"}, "multiclass"),
        ({"num_labels": 4, "problem_type": "multi_label_classification"}, "multilabel"),
        ({"num_labels": 1, "problem_type": "multi_label_classification"}, "multilabel"),
        ({"num_labels": 1}, "regression"),
        ({"num_labels": 1, "problem_type": "regression"}, "regression"),
        ({"num_labels": 3, "problem_type": "regression"}, "regression"),
    ],
)
def test_the_configuration_says_the_task(tmp_path, config, task, in_files):
    model, data = transformer(**config), nets.tokens()
    pool = extract(model, data, out=tmp_path / "pool" if in_files else None)
    assert pool.task == task
    logits = model.eval()(**{k: v for k, v in data.items() if k != "labels"}).logits.detach()
    if task == "regression":
        assert pool.proba is None
        assert pool.n_features == 8
    else:
        expected = logits.softmax(1) if task == "multiclass" else logits.sigmoid()
        np.testing.assert_allclose(pool.proba[:], expected, atol=1e-6)
    # Said once more it is no contradiction.
    assert extract(model, data, task=task).task == task


def test_what_the_caller_says_wins_where_the_configuration_says_nothing():
    model, data = transformer(num_labels=1), nets.tokens()
    assert extract(model, data, task="binary").task == "binary"
    assert extract(transformer(num_labels=4), data, task="multilabel").task == "multilabel"
    one = transformer(num_labels=1, problem_type="multi_label_classification")
    assert extract(one, data, task="binary").task == "binary"


@pytest.mark.parametrize(
    ("problem", "task"),
    [
        ("single_label_classification", "multilabel"),
        ("multi_label_classification", "multiclass"),
        ("regression", "multiclass"),
        ("single_label_classification", "regression"),
    ],
)
def test_contradictions_are_refused(tmp_path, problem, task):
    model, data = transformer(num_labels=3, problem_type=problem), nets.tokens()
    for call in (
        lambda: extract(model, data, task=task),
        lambda: extract(model, data, task=task, out=tmp_path / "pool"),
        lambda: extract([model, model], data, task=task),
        lambda: proba_and_features(model, data, task=task),
        lambda: find_head(model, data, task=task),
    ):
        with pytest.raises(ValueError, match=f"task='{task}' contradicts.*'{problem}'.*Leave"):
            call()
    assert not (tmp_path / "pool").exists()


def test_configurations_of_other_kinds_say_nothing():
    assert extract(configured(problem_type="a hard one"), X).task == "multiclass"
    assert extract(configured(1, other=3), X).task == "binary"
    assert extract(configured(problem_type=None, num_labels=1), X).task == "multiclass"
    assert extract(configured(1, problem_type=None, num_labels=2), X).task == "binary"


# Regression


def test_the_gradient_of_a_regression_is_that_of_its_output():
    model = nets.Ends(lambda z, h: z.squeeze(-1), n_outputs=1)
    pool = extract(model, X, task="regression", bias=True, batch_size=4)
    assert (pool.task, pool.proba, pool.bias) == ("regression", None, True)
    features = np.pad(pool.features, ((0, 0), (0, 1)), constant_values=1.0)
    model.eval()
    for x, ours in zip(X, features, strict=True):
        model.zero_grad()
        model(x[None]).backward()
        expected = torch.cat([model.fc.weight.grad[0], model.fc.bias.grad])
        np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=1e-6)
    norms = open_gradients(pool).gather(np.arange(nets.N))
    assert len(norms) == nets.N
    assert len(labelnext.select(pool, 3, random_state=0)) == 3


def test_a_regression_to_several_numbers_in_files(tmp_path):
    model = nets.Mlp(3)
    pool = extract(model, X, task="regression", out=tmp_path / "pool", ids=[*"abcdefghijk"])
    memory = extract(model, X, task="regression", ids=[*"abcdefghijk"])
    np.testing.assert_array_equal(pool.features[:], memory.features)
    again = labelnext.open_pool(tmp_path / "pool")
    assert (again.task, again.proba) == ("regression", None)
    batches = [labelnext.select(p, 4, random_state=1).ids for p in (pool, memory, again)]
    assert batches[0].tolist() == batches[1].tolist() == batches[2].tolist()


def test_what_no_regression_is():
    for end in (lambda z, h: z.sigmoid(), lambda z, h: z.softmax(1)):
        with pytest.raises(ValueError, match=r"ends with .*, as a classifier does"):
            extract(nets.Ends(end), X, task="regression")
    for bad in (float("nan"), float("inf")):
        data = X.clone()
        data[7] = bad
        with pytest.raises(ValueError, match="outputs of sample 7 are NaN or infinite"):
            extract(nn.Sequential(nn.Identity(), nn.Linear(6, 1)), data, task="regression")
    with pytest.raises(ValueError, match=r"regression has no probabilities.*committee"):
        extract([nets.Mlp(), nets.Mlp()], X, task="regression")
    with pytest.raises(ValueError, match="no classes"):
        extract(nets.Mlp(), X, task="regression", classes=[*"abcd"])


# Names of classes


@pytest.mark.parametrize("in_files", [False, True], ids=["", "files"])
def test_names_of_classes_come_from_the_configuration(tmp_path, in_files):
    data = nets.tokens()
    names = ["cat", "dog", "cow"]
    for number, (config, expected) in enumerate(
        [
            ({"id2label": dict(enumerate(names))}, names),
            ({"id2label": {str(i): names[i] for i in (2, 0, 1)}}, names),
            ({"id2label": dict(enumerate(names)), "problem_type": "regression"}, None),
            ({"num_labels": 3}, None),
        ]
    ):
        out = tmp_path / str(number) if in_files else None
        pool = extract(transformer(**config), data, out=out)
        assert (None if pool.classes is None else pool.classes.tolist()) == expected
        if in_files:
            classes = labelnext.open_pool(out).classes
            assert (None if classes is None else classes.tolist()) == expected
    model = transformer(id2label=dict(enumerate(names)))
    out = tmp_path / "own" if in_files else None
    assert extract(model, data, classes=["x", "y", "z"], out=out).classes.tolist() == [*"xyz"]


def test_names_that_are_of_another_head_or_twice_say_nothing():
    assert extract(configured(id2label={0: "a", 1: "b"}), X).classes is None
    assert extract(configured(id2label={0: "a", 1: "b", 2: "c", 3: "a"}), X).classes is None
    binary = extract(configured(1, id2label={0: "no", 1: "yes"}), X)
    assert binary.classes.tolist() == ["no", "yes"]
