"""Probabilities and features of torch modules and nets of skorch."""

import random

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from skorch import NeuralNet, NeuralNetBinaryClassifier, NeuralNetClassifier
from skorch.dataset import Dataset
from torch import nn

from labelnext.classifier import SklearnClassifier, SkorchClassifier
from labelnext.estimators import ColdStart, fit_on_labeled, proba_and_features, proba_of
from small_nets import Cnn, Headless, Mlp, TokenNet, same, weights

NAN = np.nan
RNG = np.random.default_rng(0)
X = RNG.normal(size=(50, 4)).astype(np.float32)
TRUE = np.arange(50) % 3
Y = np.where(np.arange(50) < 30, TRUE, NAN)


def skorch_net(module=Mlp, kind=NeuralNetClassifier, **parameters):
    options = {"criterion": nn.CrossEntropyLoss, "max_epochs": 2, "verbose": 0}
    return kind(module, **options | {"train_split": None} | parameters)


def by_hand(module, samples=X):
    """The probabilities and the input of the last layer, from forward and a hook."""
    caught = []
    last = module.out if hasattr(module, "out") else module.fc
    handle = last.register_forward_hook(lambda _, args, out: caught.append((args[0], out)))
    mode = module.training
    module.eval()
    with torch.no_grad():
        module(torch.as_tensor(samples))
    module.train(mode)
    handle.remove()
    features, logits = caught[0]
    if logits.shape[1] == 1:
        logits = torch.cat([torch.zeros_like(logits), logits], dim=1)
    return logits.softmax(1).numpy(), features.numpy()


def assert_asked_right(clf, samples, module, module_samples=None):
    """Both functions give what the module gives, and leave it and torch as they were."""
    before, mode = weights(module), [m.training for m in module.modules()]
    states = torch.get_rng_state(), random.getstate()
    proba, features = proba_and_features(clf, samples)
    alone = proba_of(clf, samples)
    assert torch.equal(torch.get_rng_state(), states[0])
    assert random.getstate() == states[1]
    assert same(weights(module), before)
    assert [m.training for m in module.modules()] == mode
    expected = by_hand(module, samples if module_samples is None else module_samples)
    assert_allclose(proba, expected[0], atol=1e-6)
    assert_allclose(features, expected[1], rtol=1e-5, atol=1e-6)
    assert_allclose(alone, proba, atol=1e-6)


MODULES = [
    (Mlp(dropout=0.5, norm=True), X),
    (Mlp(n_outputs=1), X),
    (Mlp(end=nn.Softmax(dim=1)), X),
    (Cnn(), RNG.normal(size=(50, 1, 6, 6)).astype(np.float32)),
    (TokenNet(), RNG.integers(0, 20, (50, 5))),
]
IDS = ["rows", "one logit", "softmax", "images", "tokens"]


@pytest.mark.parametrize(("module", "samples"), MODULES, ids=IDS)
def test_a_module(module, samples):
    assert_asked_right(module, samples, module)
    assert_asked_right(module, torch.from_numpy(samples), module, samples)


@pytest.mark.parametrize(("module", "samples"), MODULES[:2] + MODULES[3:], ids=IDS[:2] + IDS[3:])
def test_a_net_of_skorch(module, samples):
    one = module(torch.as_tensor(samples[:2])).shape[1] == 1
    if one:
        net = skorch_net(module, NeuralNetBinaryClassifier, criterion=nn.BCEWithLogitsLoss)
        net.fit(samples, (TRUE > 0).astype(np.float32))
    else:
        net = skorch_net(module).fit(samples, TRUE)
    assert_asked_right(net, samples, net.module_)


def test_a_net_of_skorch_that_ends_in_a_softmax():
    net = skorch_net(criterion=nn.NLLLoss, module__end=nn.Softmax(dim=1)).fit(X, TRUE)
    assert_asked_right(net, X, net.module_)
    assert_allclose(proba_of(net, X), net.predict_proba(X), atol=1e-6)


def test_a_skorch_classifier():
    clf = SkorchClassifier(Mlp(dropout=0.5), max_epochs=2, random_state=0).fit(X, Y)
    clf.net_.module_.train()
    proba, features = proba_and_features(clf, X)
    expected = by_hand(clf.net_.module_)
    assert_allclose(proba, expected[0], atol=1e-6)
    assert_allclose(features, expected[1], rtol=1e-5, atol=1e-6)
    flagged = proba_and_features(clf, X, "return_embeddings")
    assert_array_equal(flagged[1], features)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda clf: make_pipeline(StandardScaler(), FunctionTransformer(np.float32), clf),
        lambda clf: make_pipeline("passthrough", make_pipeline(StandardScaler(), clf)),
    ],
)
def test_the_end_of_a_pipeline(wrap):
    scaled = StandardScaler().fit_transform(X).astype(np.float32)
    net = skorch_net().fit(scaled, TRUE)
    for last, module in [(net, net.module_), (net.module_, net.module_)]:
        pipeline = wrap(last)
        for step in (pipeline, pipeline[-1]):
            if hasattr(step, "steps"):
                for _, transformer in step.steps[:-1]:
                    if transformer != "passthrough":
                        transformer.fit(X)
        assert_asked_right(pipeline, X, module, scaled)


@pytest.mark.parametrize("inner", [skorch_net(), SkorchClassifier(Mlp, max_epochs=2)])
def test_inside_a_search_or_a_wrapper(inner):
    search = GridSearchCV(inner, {"lr": [0.1, 0.01]}, cv=2).fit(X, TRUE)
    wrapped = SklearnClassifier(inner).fit(X, TRUE)
    for clf, within in [(search, search.best_estimator_), (wrapped, wrapped.estimator_)]:
        net = within.net_ if isinstance(within, SkorchClassifier) else within
        net.module_.train()
        state = torch.get_rng_state()
        proba, features = proba_and_features(clf, X)
        assert torch.equal(torch.get_rng_state(), state)
        assert_allclose(features, by_hand(net.module_)[1], rtol=1e-5, atol=1e-6)
        assert_allclose(proba, by_hand(net.module_)[0], atol=1e-6)


@pytest.mark.parametrize(
    "samples",
    [X.astype(np.float64), X.tolist(), pd.DataFrame(X), torch.from_numpy(X).double()],
    ids=["float64", "list", "frame", "tensor"],
)
def test_samples_get_the_type_of_the_weights(samples):
    module = Mlp()
    assert_asked_right(module, samples, module, X)
    net = skorch_net().fit(X, TRUE)
    assert_asked_right(net, samples, net.module_, X)


def test_bytes_become_floats_and_token_numbers_stay_whole():
    pixels = RNG.integers(0, 256, (50, 1, 6, 6)).astype(np.uint8)
    module = Cnn()
    assert_asked_right(module, pixels, module, pixels.astype(np.float32))
    tokens = RNG.integers(0, 20, (50, 5)).astype(np.uint8)
    module = TokenNet()
    assert_asked_right(module, tokens, module, tokens.astype(np.int64))


def test_half_precision():
    module = Mlp().bfloat16()
    proba, features = proba_and_features(module, X)
    assert proba.dtype == features.dtype == np.float32
    assert_allclose(proba.sum(axis=1), 1, rtol=1e-5)
    assert_allclose(proba, proba_of(module, X), atol=1e-6)


def test_a_data_set_of_the_nets_own_is_used():
    class Doubled(Dataset):
        def transform(self, X, y):
            return super().transform(2 * X, y)

    net = skorch_net(dataset=Doubled).fit(X, TRUE)
    assert_asked_right(net, X, net.module_, 2 * X)


def test_a_module_without_a_linear_layer():
    images = RNG.normal(size=(50, 1, 6, 6)).astype(np.float32)
    with pytest.raises(ValueError, match="Linear layer"):
        proba_and_features(Headless(), images)
    net = skorch_net(Headless).fit(images, TRUE)
    assert proba_of(net, images).shape == (50, 3)


def test_samples_that_are_no_numbers():
    with pytest.raises(TypeError, match="must hold numbers"):
        proba_and_features(Mlp(), ["one", "two"])


@pytest.mark.parametrize("clf", [Mlp(), skorch_net().fit(X, TRUE)], ids=["module", "skorch"])
def test_a_plain_network_takes_no_flag(clf):
    with pytest.raises(ValueError, match=r"takes no return_embeddings: the features.*are found"):
        proba_and_features(clf, X, "return_embeddings")


# Fitting.


@pytest.mark.parametrize("clf", [Mlp(), make_pipeline(StandardScaler(), Mlp())])
def test_a_module_does_not_say_how_to_train_it(clf):
    with pytest.raises(TypeError, match=r"fit_clf=False.*SkorchClassifier\(module, classes"):
        fit_on_labeled(clf, X, Y)


def test_a_net_of_skorch_is_fitted_to_the_labelled_rows():
    module = Mlp()
    net = skorch_net(module, batch_size=-1).initialize()
    before, own = weights(module), weights(net.module_)
    state = torch.get_rng_state()
    fitted = fit_on_labeled(net, X.astype(np.float64), Y)
    assert torch.equal(torch.get_rng_state(), state)
    assert same(weights(module), before)
    assert same(weights(net.module_), own)
    assert not same(weights(fitted.module_), before)
    by_itself = clone(net).fit(X[:30], TRUE[:30])
    for name, value in weights(by_itself.module_).items():
        assert_allclose(weights(fitted.module_)[name], value, atol=1e-6)


def test_a_net_of_skorch_draws_as_it_would_by_itself():
    fitted = fit_on_labeled(skorch_net(module__dropout=0.5), X.astype(np.float64), Y)
    by_itself = skorch_net(module__dropout=0.5).fit(X[:30], TRUE[:30])
    assert same(weights(fitted.module_), weights(by_itself.module_))


def test_a_single_logit_is_fitted_to_floats():
    net = skorch_net(Mlp(n_outputs=1), NeuralNetBinaryClassifier, criterion=nn.BCEWithLogitsLoss)
    fitted = fit_on_labeled(net, X, np.where(Y > 0, 1, Y))
    assert proba_of(fitted, X).shape == (50, 2)


@pytest.mark.parametrize("labels", [["a", "b", "a"], [0, 1, -1], [0, 1, 0.5]])
def test_a_net_of_skorch_takes_class_numbers_for_labels(labels):
    y = [*labels, *[None] * 47]
    with pytest.raises(ValueError, match=r"numbers of the module's outputs.*SkorchClassifier"):
        fit_on_labeled(skorch_net(), X, y, missing_label=None)


def test_a_net_of_skorch_takes_no_weights():
    with pytest.raises(ValueError, match="fit takes no sample_weight"):
        fit_on_labeled(skorch_net(), X, Y, sample_weight=np.ones(50))


def test_with_too_few_labels_features_are_those_of_the_untrained_net():
    module = Mlp()
    cold = fit_on_labeled(skorch_net(module), X, np.where(np.arange(50) == 3, 1, NAN))
    assert isinstance(cold, ColdStart)
    state = torch.get_rng_state()
    proba, features = proba_and_features(cold, X.astype(np.float64))
    assert torch.equal(torch.get_rng_state(), state)
    assert_array_equal(proba, np.full((50, 2), 0.5))
    assert_allclose(features, by_hand(module)[1], rtol=1e-5, atol=1e-6)


def test_any_net_of_skorch_will_do():
    net = skorch_net(kind=NeuralNet, criterion=nn.CrossEntropyLoss)
    assert_asked_right(fitted := fit_on_labeled(net, X, Y), X, fitted.module_)
