"""Query strategies with networks: BADGE as its paper has it."""

import subprocess
import sys
import textwrap

import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal
from skactiveml.pool import Badge as TheirBadge
from sklearn.naive_bayes import GaussianNB
from skorch import NeuralNetClassifier
from torch import nn

import labelnext.engine
import labelnext.sampling
from labelnext.classifier import SkorchClassifier
from labelnext.experiment import compare, simulate, split
from labelnext.pool import Badge, RandomSampling, UncertaintySampling
from oracle import gradients
from small_nets import Cnn, Mlp, TokenNet, same, weights

NAN = np.nan
RNG = np.random.default_rng(0)
N = 80
TRUE = np.arange(N) % 3
Y = np.where(np.arange(N) % 4 == 0, TRUE, NAN)
UNLABELLED = np.flatnonzero(np.isnan(Y))
IMAGES = (3 * np.eye(3)[TRUE][:, None, :, None] + RNG.normal(size=(N, 1, 3, 4))).astype(np.float32)
ROWS = IMAGES.reshape(N, 12)[:, ::3].copy()
TOKENS = TRUE[:, None] * 6 + RNG.integers(0, 6, (N, 5))


@pytest.fixture(params=[Badge, RandomSampling, UncertaintySampling])
def strategy(request):
    return request.param(random_state=0)


def ask(strategy, X, clf, **arguments):
    if not isinstance(strategy, RandomSampling):
        arguments = {"clf": clf} | arguments
    return strategy.query(X, arguments.pop("y", Y), **arguments)


def skorch_classifier(module, **parameters):
    return SkorchClassifier(
        module,
        **{"max_epochs": 5, "lr": 0.02, "random_state": 0, "classes": [0, 1, 2]} | parameters,
    )


POOLS = [(ROWS, Mlp), (IMAGES, Cnn), (TOKENS, TokenNet)]
IDS = ["rows", "images", "tokens"]


@pytest.mark.parametrize(("X", "module"), POOLS, ids=IDS)
def test_a_batch_of_samples_of_any_shape(strategy, X, module):
    clf = skorch_classifier(module)
    picks, utilities = ask(strategy, X, clf, batch_size=7, return_utilities=True)
    assert len(set(picks)) == 7
    assert np.isin(picks, UNLABELLED).all()
    assert utilities.shape == (7, N)
    assert_array_equal(ask(strategy, X, clf, batch_size=7), picks)
    assert_array_equal(ask(strategy, X, clf, batch_size=3), picks[:3])
    assert_array_equal(ask(strategy, torch.from_numpy(X), clf, batch_size=7), picks)
    if not isinstance(strategy, RandomSampling):
        assert not hasattr(clf, "net_")
    samples = ask(strategy, X, clf, candidates=X[UNLABELLED], batch_size=7)
    assert_array_equal(UNLABELLED[samples], picks)
    samples = ask(strategy, X, clf, candidates=torch.from_numpy(X[UNLABELLED]), batch_size=7)
    assert_array_equal(UNLABELLED[samples], picks)


@pytest.mark.parametrize(("X", "module"), POOLS, ids=IDS)
def test_badge_is_the_selection_from_what_the_network_says(X, module):
    clf = skorch_classifier(module).fit(X, Y)
    proba, features = clf.predict_proba(X[UNLABELLED], return_embeddings=True)
    longest = np.argmax(np.linalg.norm(gradients(proba, features), axis=1))
    for of in (clf, clf.net_.module_):
        picks, utilities = Badge(random_state=0).query(
            X, Y, of, fit_clf=False, batch_size=5, return_utilities=True
        )
        assert picks[0] == UNLABELLED[longest]
        expected = labelnext.sampling.d2_utilities(
            labelnext.engine.as_gradients(proba, features), np.searchsorted(UNLABELLED, picks)
        )
        np.testing.assert_allclose(utilities[:, UNLABELLED], expected, rtol=1e-5)


@pytest.mark.parametrize(("X", "module"), POOLS, ids=IDS)
def test_a_trained_module_is_used_as_it_is(strategy, X, module):
    net = module()
    before, state = weights(net), torch.get_rng_state()
    arguments = {} if isinstance(strategy, RandomSampling) else {"fit_clf": False}
    picks = ask(strategy, X, net, batch_size=6, **arguments)
    assert len(set(picks)) == 6
    assert same(weights(net), before)
    assert net.training
    assert torch.equal(torch.get_rng_state(), state)
    assert_array_equal(ask(strategy, X, net, batch_size=6, **arguments), picks)


@pytest.mark.parametrize(("X", "module"), POOLS, ids=IDS)
def test_a_plain_net_of_skorch_is_cloned_and_fitted(strategy, X, module):
    net = NeuralNetClassifier(
        module(), criterion=nn.CrossEntropyLoss, max_epochs=2, train_split=None, verbose=0
    )
    before, state = weights(net.module), torch.get_rng_state()
    picks = ask(strategy, X, net, batch_size=6)
    assert len(set(picks)) == 6
    assert same(weights(net.module), before)
    assert not net.initialized_
    assert torch.equal(torch.get_rng_state(), state)


def test_a_module_is_not_fitted():
    with pytest.raises(TypeError, match="pass fit_clf=False"):
        Badge().query(ROWS, Y, Mlp())
    with pytest.raises(TypeError, match="got the class Mlp; call it first"):
        Badge().query(ROWS, Y, Mlp, fit_clf=False)


def test_one_logit_is_two_classes(strategy):
    y = np.where(Y > 0, 1, Y)
    clf = skorch_classifier(Mlp(n_outputs=1), classes=[0, 1])
    picks = ask(strategy, ROWS, clf, y=y, batch_size=6)
    assert len(set(picks)) == 6
    net = clf.fit(ROWS, y).net_.module_
    two = ask(strategy, ROWS, net, y=y, batch_size=6, **_unfitted(strategy))
    assert_array_equal(two, picks)


def _unfitted(strategy):
    return {} if isinstance(strategy, RandomSampling) else {"fit_clf": False}


@pytest.mark.parametrize("n_labelled", [0, 1])
def test_from_no_label_on(strategy, n_labelled):
    y = np.where(np.arange(N) < n_labelled, TRUE, NAN)
    clf = skorch_classifier(Cnn)
    picks = ask(strategy, IMAGES, clf, y=y, batch_size=9)
    assert len(set(picks)) == 9
    net = NeuralNetClassifier(Cnn, criterion=nn.CrossEntropyLoss, verbose=0)
    assert len(set(ask(strategy, IMAGES, net, y=y, batch_size=9))) == 9


def test_scikit_activeml_takes_it_too():
    clf = skorch_classifier(Mlp)
    theirs = TheirBadge(random_state=0, clf_embedding_flag_name="return_embeddings")
    assert np.isin(theirs.query(ROWS, Y, clf=clf, batch_size=3), UNLABELLED).all()


def test_labels_that_are_words():
    words = np.array([None if np.isnan(c) else "abc"[int(c)] for c in Y], dtype=object)
    clf = skorch_classifier(Mlp, classes=["c", "b", "a"], missing_label=None)
    picks = Badge(missing_label=None, random_state=0).query(ROWS, words, clf, batch_size=5)
    assert_array_equal(
        picks, Badge(random_state=0).query(ROWS, Y, skorch_classifier(Mlp), batch_size=5)
    )


def test_samples_that_are_not_finite():
    X = ROWS.copy()
    X[UNLABELLED[2], 1] = NAN
    with pytest.raises(ValueError, match="Input X contains NaN"):
        Badge().query(X, Y, skorch_classifier(Mlp))
    with pytest.raises(ValueError, match="sample 2"):
        Badge().query(X, Y, Mlp(), fit_clf=False)


def test_tensors_are_samples_for_other_classifiers_too(strategy):
    X = torch.from_numpy(ROWS).bfloat16().requires_grad_()
    y = torch.from_numpy(Y).requires_grad_()
    picks = ask(strategy, X, GaussianNB(), y=y, batch_size=4)
    rounded = X.detach().float().numpy()
    assert_array_equal(picks, ask(strategy, rounded, GaussianNB(), batch_size=4))


# Experiments.


def test_a_simulation_with_images():
    parts = split(IMAGES, TRUE, seed=0, n_start=6)
    clf = skorch_classifier(Cnn, max_epochs=30)
    run = simulate(Badge(), clf, parts, batch_size=6, n_batches=3)
    assert_array_equal(
        run.accuracy, simulate(Badge(), clf, parts, batch_size=6, n_batches=3).accuracy
    )
    assert len(set(run.picks)) == 24
    assert run.accuracy[-1] > 0.6


@pytest.mark.slow
def test_a_comparison_with_images_gives_the_same_in_other_processes():
    arguments = {"n_start": 6, "batch_size": 6, "n_batches": 1, "seeds": range(2)}
    strategies = {"badge": Badge(), "entropy": UncertaintySampling("entropy")}
    clf = skorch_classifier(Cnn)
    here = compare(strategies, clf, IMAGES, TRUE, n_jobs=1, **arguments)
    there = compare(strategies, clf, IMAGES, TRUE, n_jobs=2, **arguments)
    for name in strategies:
        assert_array_equal(here.accuracy[name], there.accuracy[name])


# Without torch.


@pytest.mark.slow
def test_nothing_imports_torch_where_nobody_has():
    script = """
        import sys
        import numpy as np
        from sklearn.linear_model import LogisticRegression
        from labelnext.pool import Badge
        X = np.random.default_rng(0).normal(size=(30, 3))
        y = np.where(np.arange(30) < 10, np.arange(30) % 2, np.nan)
        Badge().query(X, y, LogisticRegression(), batch_size=3)
        assert not {"torch", "skorch"} & set(sys.modules)
        """
    subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=True)
