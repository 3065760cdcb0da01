"""A torch module as a classifier: labels, seeds, losses, types."""

import pickle
import random
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from skorch.callbacks import Callback, EpochScoring
from skorch.dataset import Dataset, ValidSplit
from torch import nn

from labelnext.classifier import SkorchClassifier
from labelnext.estimators._train import hold_out
from small_nets import Cnn, Headless, LazyMlp, Mlp, TokenNet, same, weights

NAN = float("nan")
RNG = np.random.default_rng(0)
CENTRES = 3 * np.eye(3, 4)
TRUE = np.arange(60) % 3
X = CENTRES[TRUE] + RNG.normal(scale=0.7, size=(60, 4))
Y = np.where(np.arange(60) < 30, TRUE, NAN)


def make(module=Mlp, criterion=None, **parameters):
    return SkorchClassifier(
        module, criterion, **{"max_epochs": 20, "lr": 0.02, "random_state": 0} | parameters
    )


def trained(clf):
    return weights(clf.net_.module_)


# Labels.


def test_samples_without_a_label_are_left_out_of_training():
    partly, labelled = make().fit(X, Y), make().fit(X[:30], TRUE[:30])
    assert same(trained(partly), trained(labelled))
    assert partly.score(X[30:], TRUE[30:]) > 0.9


@pytest.mark.parametrize(
    ("names", "missing"),
    [
        (["eel", "cat", "dog"], ""),
        (["eel", "cat", "dog"], None),
        ([7, 3, 5], -1),
        ([7, 3, 5], None),
        ([9.0, 2.0, 5.0], NAN),
    ],
)
def test_labels_of_any_type(names, missing):
    labels = [names[c] if i < 30 else missing for i, c in enumerate(TRUE)]
    clf = make(missing_label=missing).fit(X, labels)
    assert clf.classes_.tolist() == sorted(names)
    predicted = clf.predict(X)
    assert predicted.dtype == clf.classes_.dtype
    assert np.mean([p == names[c] for p, c in zip(predicted, TRUE, strict=True)]) > 0.9


def test_classes_that_nobody_has_labelled_yet_have_a_probability():
    clf = make(Mlp(n_outputs=5), classes=["e", "d", "c", "b", "a"], missing_label="")
    names = np.array(["b", "c", "e"])[TRUE]
    proba = clf.fit(X, names).predict_proba(X)
    assert clf.classes_.tolist() == list("abcde")
    assert proba.shape == (60, 5)
    assert proba.dtype == np.float32
    assert_allclose(proba.sum(axis=1), 1, rtol=1e-5)
    assert (proba[:, [0, 3]] > 0).all()
    assert (clf.predict(X) == names).mean() > 0.9


def test_without_a_label_all_classes_are_equally_likely_and_features_are_the_networks():
    net = Mlp()
    clf = make(net, classes=[0, 1, 2]).fit(X, np.full(60, NAN))
    proba, features = clf.predict_proba(X, return_embeddings=True)
    assert_array_equal(proba, np.full((60, 3), np.float32(1 / 3)))
    assert_array_equal(proba, clf.predict_proba(X))
    with torch.no_grad():
        expected = net.hidden(torch.from_numpy(X).float()).relu()
    assert_allclose(features, expected, rtol=1e-6)
    assert len(np.unique(clf.predict(X))) == 3


def test_without_any_class_it_says_so():
    with pytest.raises(ValueError, match="no class is known"):
        make().fit(X, np.full(60, NAN))


def test_while_there_is_one_class_it_is_predicted():
    clf = make().fit(X, np.where(np.arange(60) < 4, 5, NAN))
    assert_array_equal(clf.predict_proba(X), np.ones((60, 1)))
    assert_array_equal(clf.predict(X), np.full(60, 5.0))


def test_labels_of_one_of_several_classes_are_trained_on():
    clf = make(classes=[0, 1, 2]).fit(X, np.where(np.arange(60) < 4, 1, NAN))
    assert (clf.predict(X) == 1).all()
    assert len(clf.net_.history) == 20


def test_costs_decide():
    costs = np.array([[0, 1, 1], [1, 0, 1], [50, 50, 0]])
    clf = make(max_epochs=3, classes=[0, 1, 2], cost_matrix=costs).fit(X, Y)
    expected = (clf.predict_proba(X) @ costs).argmin(axis=1)
    assert_array_equal(clf.predict(X), expected)
    assert (expected != clf.predict_proba(X).argmax(axis=1)).any()


def test_a_label_that_is_no_class_is_refused():
    with pytest.raises(ValueError, match="not among the classes"):
        make(classes=[0, 1]).fit(X, Y)


def test_as_many_labels_as_samples():
    with pytest.raises(ValueError, match="X has 60 samples, but y has 59 labels"):
        make().fit(X, Y[:-1])


# Seeds, and what stays as it was.


@pytest.mark.parametrize("module", [Mlp, Mlp(dropout=0.5), lambda: Mlp(dropout=0.5)])
def test_two_fits_with_one_seed_give_the_same_weights(module):
    clf = make(module, batch_size=7)
    first = trained(clf.fit(X, Y))
    torch.rand(3)
    assert same(first, trained(clf.fit(X, Y)))
    assert same(first, trained(make(module, batch_size=7).fit(X, Y)))
    assert not same(first, trained(make(module, batch_size=7, random_state=1).fit(X, Y)))


def test_generators_stay_where_they_were():
    def states():
        _, keys, place, *_ = np.random.get_state()  # noqa: NPY002
        return [torch.get_rng_state().tolist(), random.getstate(), keys.tolist(), place]

    class Noisy(Dataset):
        def transform(self, X, y):
            noise = np.random.normal() + random.random()  # noqa: NPY002
            return super().transform(X + np.float32(noise), y)

    before = states()
    clf = make(
        Mlp, module__dropout=0.5, dataset=Noisy, early_stopping=True, validation_fraction=0.3
    )
    first = trained(clf.fit(X, Y))
    clf.predict_proba(X, return_embeddings=True)
    clf.predict(X)
    assert states() == before
    random.random()
    np.random.rand()  # noqa: NPY002
    assert same(first, trained(clf.fit(X, Y)))


def test_the_seed_of_numpy_rules_without_a_random_state():
    np.random.seed(3)  # noqa: NPY002
    first = trained(make(random_state=None).fit(X, Y))
    other = trained(make(random_state=None).fit(X, Y))
    np.random.seed(3)  # noqa: NPY002
    assert same(first, trained(make(random_state=None).fit(X, Y)))
    assert not same(first, other)


def test_the_callers_module_loss_and_samples_are_not_changed():
    net, loss, samples, labels = Mlp(norm=True), nn.CrossEntropyLoss(), X.copy(), Y.copy()
    net.norm.eval()
    before = weights(net)
    samples.flags.writeable = labels.flags.writeable = False
    weight = np.linspace(1, 2, 60)
    clf = make(net, loss).fit(samples, labels, sample_weight=weight)
    clf.predict_proba(samples, return_embeddings=True)
    assert same(weights(net), before)
    assert net.training
    assert not net.norm.training
    assert loss.reduction == "mean"
    assert_array_equal(weight, np.linspace(1, 2, 60))


def test_an_instance_starts_from_its_own_weights():
    net = Mlp()
    assert same(trained(make(net, lr=0.0).fit(X, Y)), weights(net))


# Going on.


def test_a_warm_start_goes_on_where_the_last_fit_ended():
    clf = make(warm_start=True).fit(X, Y)
    first = trained(clf)
    clf.set_params(lr=0.0, max_epochs=5).fit(X, Y)
    assert same(trained(clf), first)
    assert len(clf.net_.history) == 25
    assert not same(trained(clf.set_params(lr=0.02).fit(X, Y)), first)
    clf.net_.module_.load_state_dict(first)
    clf.set_params(warm_start=False).fit(X, Y)
    assert not same(trained(clf), first)
    assert len(clf.net_.history) == 5


def test_a_warm_start_takes_more_labels_but_no_more_classes():
    clf = make(Mlp(n_outputs=2), warm_start=True, classes=[0, 1])
    clf.fit(X, np.where(Y < 2, Y, NAN)).fit(X, np.where(TRUE < 2, TRUE, NAN))
    with pytest.raises(ValueError, match="not among the classes: 2"):
        clf.fit(X, Y)
    with pytest.raises(ValueError, match="not among the classes: 2"):
        clf.set_params(classes=[0, 1, 2]).fit(X, np.where(Y < 2, Y, NAN))


def test_a_warm_start_begins_when_there_are_labels():
    clf = make(warm_start=True, classes=[0, 1, 2]).fit(X, np.full(60, NAN))
    assert same(trained(clf.fit(X, Y)), trained(make(classes=[0, 1, 2]).fit(X, Y)))
    proba = clf.predict_proba(X)
    assert_array_equal(clf.fit(X, np.full(60, NAN)).predict_proba(X), proba)


def test_going_on_does_not_repeat_the_order_of_samples_nor_dropout():
    clf = make(warm_start=True, optimizer=torch.optim.SGD, lr=0.0, max_epochs=1)
    clf.set_params(module__dropout=0.5, batch_size=3)
    for _ in range(2):
        clf.fit(X, Y)
    losses = [sorted(epoch) for epoch in clf.net_.history[:, "batches", :, "train_loss"]]
    assert losses[0] != losses[1]


def test_partial_fit_goes_on():
    clf = make(max_epochs=10)
    clf.partial_fit(X[:20], np.where(TRUE < 2, TRUE, NAN)[:20], classes=[2, 1, 0])
    for _ in range(2):
        clf.partial_fit(X[:20], TRUE[:20], classes=[2, 1, 0])
    assert len(clf.net_.history) == 30
    losses = clf.net_.history[:, "train_loss"]
    assert losses[-1] < losses[10]
    with pytest.raises(ValueError, match="not among the classes: 3"):
        clf.partial_fit(X[:20], TRUE[:20], classes=[1, 2, 3])
    with pytest.raises(ValueError, match="not among the classes: 9"):
        clf.partial_fit(X[:2], [9, 1])


# Early stopping.


def test_early_stopping_ends_at_the_best_weights():
    noisy = np.where(RNG.random(60) < 0.4, RNG.integers(0, 3, 60), TRUE)
    clf = make(
        Mlp(hidden=64), early_stopping=True, validation_fraction=0.4, max_epochs=200, lr=0.05
    )
    clf.fit(X, noisy)
    losses = clf.net_.history[:, "valid_loss"]
    assert len(losses) < 200
    best = int(np.argmin(losses))
    assert len(losses) - best > 10  # the weights of the end are worse
    # The rows are drawn after torch's seed.
    draw = np.random.RandomState(0)
    draw.randint(2**32, dtype=np.uint32)
    held_out = hold_out(noisy, 0.4, draw)
    proba = clf.predict_proba(X[held_out])[np.arange(len(held_out)), noisy[held_out]]
    assert_allclose(-np.log(proba).mean(), losses[best], rtol=1e-4)


def test_too_few_labels_for_early_stopping_are_all_trained_on():
    clf = make(early_stopping=True)
    with pytest.warns(UserWarning, match="of 3 labels.*no early stopping") as warned:
        clf.fit(X[:3], TRUE[:3])
    assert warned[0].filename == __file__
    assert same(trained(clf), trained(make().fit(X[:3], TRUE[:3])))
    assert len(clf.net_.history) == 20


def test_what_is_for_one_fit_does_not_last():
    clf = make(Mlp(norm=True), early_stopping=True, warm_start=True, batch_size=26)
    clf.fit(X, Y)  # 27 labels to train on: the last batch would be of one
    with pytest.warns(UserWarning, match="no early stopping"):
        clf.fit(X[:6], TRUE[:6])
    assert "valid_loss" not in clf.net_.history[-1]
    assert clf.net_.train_split is None
    assert not clf.net_.iterator_train__drop_last


def test_early_stopping_and_weights_go_together():
    clf = make(early_stopping=True, validation_fraction=0.3)
    clf.fit(X, Y, sample_weight=np.linspace(0.5, 2, 60))
    assert clf.score(X, TRUE) > 0.9


@pytest.mark.parametrize("fraction", [0, 1, -0.5, NAN])
def test_the_fraction_is_between_none_and_all(fraction):
    with pytest.raises(ValueError, match="validation_fraction must be between 0 and 1"):
        make(early_stopping=True, validation_fraction=fraction).fit(X, Y)


@pytest.mark.parametrize("more", [{"train_split": ValidSplit(3)}, {"callbacks": "disable"}])
def test_early_stopping_holds_out_by_itself(more):
    with pytest.raises(ValueError, match="early_stopping holds samples out by itself"):
        make(early_stopping=True, **more).fit(X, Y)


@given(
    codes=st.lists(st.integers(0, 4), min_size=1, max_size=80).map(np.array),
    fraction=st.floats(0.01, 0.99),
    seed=st.integers(0, 100),
)
@settings(deadline=None)
def test_what_is_held_out(codes, fraction, seed):
    rows = hold_out(codes, fraction, np.random.RandomState(seed))
    counts = np.bincount(codes)
    most = np.minimum(np.floor(fraction * counts) + 1, np.maximum(counts - 1, 0))
    wanted = min(round(fraction * len(codes)), most.sum())
    if rows is None:
        assert wanted < 2
        return
    assert (np.diff(rows) > 0).all()
    taken = np.bincount(codes[rows], minlength=len(counts))
    assert (taken[counts > 0] < counts[counts > 0]).all()
    assert len(rows) == wanted
    # In proportion: no class is a whole sample away from its share, unless it keeps its last.
    assert (taken <= most).all()
    assert (taken >= np.minimum(np.floor(fraction * counts), counts - 1)).all()


# Weights of samples.


def whole(**parameters):
    return make(Mlp(), batch_size=-1, optimizer=torch.optim.SGD, lr=0.1, **parameters)


@pytest.mark.parametrize("criterion", [None, nn.MultiMarginLoss])
def test_a_weight_of_two_is_a_sample_twice(criterion):
    times = np.arange(60) % 3 + 1
    weighted = whole(criterion=criterion).fit(X, TRUE, sample_weight=times / 7)
    repeated = clone(weighted).fit(np.repeat(X, times, axis=0), np.repeat(TRUE, times))
    plain = clone(weighted).fit(X, TRUE)
    proba = weighted.predict_proba(X)
    assert_allclose(proba, repeated.predict_proba(X), atol=1e-5)
    assert np.abs(proba - plain.predict_proba(X)).max() > 1e-3


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"criterion__weight": torch.tensor([1.0, 5.0, 2.0])},
        {"criterion__label_smoothing": 0.2},
        {"criterion": nn.NLLLoss, "module__end": nn.Softmax(dim=1)},
    ],
)
def test_equal_weights_are_none(more):
    # Adam would not notice a factor.
    clf = make(optimizer=torch.optim.SGD, lr=0.1, **more)
    assert_allclose(
        clf.fit(X, Y, sample_weight=np.full(60, 3.0)).predict_proba(X),
        clone(clf).fit(X, Y).predict_proba(X),
        atol=1e-5,
    )


def test_a_weight_of_zero_is_no_label():
    weight = np.ones(60)
    weight[5:] = 0
    labels = np.where(np.arange(60) < 5, TRUE, NAN)
    assert_allclose(
        make().fit(X, TRUE, sample_weight=weight).predict_proba(X),
        make().fit(X, labels).predict_proba(X),
        atol=1e-5,
    )


def test_weights_need_a_loss_that_takes_a_mean():
    with pytest.raises(ValueError, match=r"needs a criterion with reduction='mean'.*'sum'"):
        make(criterion__reduction="sum").fit(X, Y, sample_weight=np.ones(60))


# Losses and outputs.


def test_all_ways_to_write_a_softmax_train_alike():
    logits = make().fit(X, Y).predict_proba(X)
    for end in (nn.Softmax(dim=1), nn.LogSoftmax(dim=1)):
        clf = make(criterion=nn.NLLLoss, module__end=end).fit(X, Y)
        proba, features = clf.predict_proba(X, return_embeddings=True)
        assert_allclose(proba, logits, atol=1e-4)
        assert_allclose(clf.predict_proba(X), logits, atol=1e-4)
        assert features.shape == (60, 8)


def test_a_softmax_under_a_loss_of_logits_is_refused():
    with pytest.raises(ValueError, match=r"Mlp returns probabilities.*CrossEntropyLoss takes log"):
        make(module__end=nn.Softmax(dim=1)).fit(X, Y)
    with pytest.raises(ValueError, match="Sequential returns probabilities"):
        make(nn.Sequential(Mlp(n_outputs=1), nn.Sigmoid())).fit(X, TRUE > 0)


def test_logits_under_a_loss_of_probabilities_are_refused():
    with pytest.raises(ValueError, match="must return probabilities or their logarithms"):
        make(criterion=nn.NLLLoss).fit(X, Y)


@pytest.mark.parametrize("flat", [False, True])
def test_one_output_is_the_logit_of_the_second_class(flat):
    end = torch.squeeze if flat else None
    labels = np.where(TRUE > 0, "yes", "no")
    net = Mlp(n_outputs=1, end=end)
    clf = make(net, missing_label="").fit(X, labels)
    other = make(net, nn.BCEWithLogitsLoss, missing_label="").fit(X, labels)
    proba = clf.predict_proba(X)
    assert proba.shape == (60, 2)
    assert_allclose(other.predict_proba(X), proba, atol=1e-4)
    assert clf.score(X, labels) > 0.9
    with torch.no_grad():
        logit = clf.net_.module_(torch.from_numpy(X).float()).reshape(-1)
    assert_allclose(proba[:, 1], logit.sigmoid(), atol=1e-6)


@pytest.mark.parametrize(
    "end",
    [lambda z: (z, "more"), lambda z: {"logits": z, "loss": None}, lambda z: [z]],
)
def test_the_logits_among_several_outputs(end):
    assert_array_equal(
        make(module__end=end).fit(X, Y).predict_proba(X), make().fit(X, Y).predict_proba(X)
    )


@pytest.mark.parametrize("end", [lambda z: None, lambda z: {"scores": z}, lambda z: ()])
def test_outputs_that_are_no_logits(end):
    with pytest.raises(TypeError, match="must return a tensor, a tuple that starts with one"):
        make(module__end=end).fit(X, Y)


@pytest.mark.parametrize(
    ("module", "criterion", "message"),
    [
        (Mlp(n_outputs=2), None, r"each of the 3 classes.*\(30, 2\).*name all classes"),
        (Mlp(n_outputs=4), None, r"each of the 3 classes.*\(30, 4\)"),
        (Mlp(n_outputs=1), None, r"each of the 3 classes.*\(30, 1\)"),
        (Mlp(end=lambda z: z[..., None]), None, r"\(30, 3, 1\)"),
        (Mlp(), nn.BCEWithLogitsLoss, r"must be two classes.*\(30, 3\) and there are 3"),
    ],
)
def test_outputs_of_the_wrong_shape(module, criterion, message):
    with pytest.raises(ValueError, match=message):
        make(module, criterion).fit(X, Y)


def test_outputs_that_are_not_finite():
    clf = make(optimizer=torch.optim.SGD, lr=1e30, max_epochs=3).fit(X, Y)
    with pytest.raises(ValueError, match=r"outputs for sample 0 are not finite.*lower lr"):
        clf.predict_proba(X)


def test_a_module_without_a_linear_layer_has_probabilities_and_no_features():
    images = X[:, None, :, None] * np.ones((1, 1, 1, 4))
    clf = make(Headless).fit(images, Y)
    assert clf.predict_proba(images).shape == (60, 3)
    with pytest.raises(ValueError, match="Linear layer"):
        clf.predict_proba(images, return_embeddings=True)


# Samples.


def test_images():
    images = np.kron(X.reshape(60, 1, 2, 2), np.ones((2, 3)))
    clf = make(Cnn, max_epochs=60).fit(images, Y)
    proba, features = clf.predict_proba(images, return_embeddings=True)
    assert proba.shape == (60, 3)
    assert features.shape == (60, 4)
    assert_array_equal(proba, clf.predict_proba(images))
    pixels = (images * 20).clip(0, 255).astype(np.uint8)
    assert_array_equal(
        make(Cnn).fit(pixels, Y).predict_proba(pixels),
        make(Cnn).fit(pixels.astype(float), Y).predict_proba(pixels.astype(np.float32)),
    )


@pytest.mark.parametrize("dtype", [np.int64, np.int32, np.uint8])
def test_token_numbers_stay_whole(dtype):
    tokens = (TRUE[:, None] * 6 + RNG.integers(0, 6, (60, 5))).astype(dtype)
    clf = make(TokenNet).fit(tokens, Y)
    assert clf.score(tokens, TRUE) > 0.9
    assert clf.predict_proba(tokens, return_embeddings=True)[1].shape == (60, 6)


@pytest.mark.parametrize(
    "samples",
    [
        X.astype(np.float32),
        torch.from_numpy(X),
        torch.from_numpy(X).requires_grad_(),
        X.tolist(),
        pd.DataFrame(X).to_numpy(),
        np.asfortranarray(X)[:, ::1],
    ],
    ids=["float32", "tensor", "graph", "list", "frame", "fortran"],
)
def test_samples_of_any_kind(samples):
    expected = make().fit(X, Y).predict_proba(X)
    assert_allclose(make().fit(samples, Y).predict_proba(samples), expected, atol=1e-5)


def test_half_precision():
    samples = torch.from_numpy(X).bfloat16()
    clf = make(Mlp().bfloat16()).fit(samples, Y)
    assert clf.score(samples, TRUE) > 0.8
    assert clf.predict_proba(samples).dtype == np.float32


def test_a_module_of_doubles_gets_doubles():
    clf = make(Mlp().double()).fit(X.astype(np.float32), Y)
    assert clf.score(X, TRUE) > 0.9


def test_sample_dtype_decides():
    with pytest.raises(RuntimeError, match="dtype"):
        make(sample_dtype=None).fit(X, Y)
    make(sample_dtype=np.float32).fit(X, Y)
    with pytest.raises(RuntimeError, match="dtype"):
        make(sample_dtype="float64").fit(X, Y)


@pytest.mark.parametrize("bad", [NAN, np.inf])
def test_samples_must_be_finite(bad):
    wrong = X.copy()
    wrong[7, 1] = bad
    with pytest.raises(ValueError, match="Input X contains"):
        make().fit(wrong, Y)
    clf = make().fit(X, Y)
    with pytest.raises(ValueError, match="Input X contains"):
        clf.predict_proba(wrong)


def test_as_many_features_as_in_fit():
    clf = make().fit(X, Y)
    with pytest.raises(ValueError, match=r"3 features.*expecting 4"):
        clf.predict(X[:, :3])


def test_it_is_fitted_first():
    with pytest.raises(NotFittedError):
        make().predict_proba(X)


def test_a_data_set_of_ones_own_makes_several_inputs_of_a_row():
    class Halves(Dataset):
        def transform(self, X, y):
            x, y = super().transform(X, y)
            return {"left": x[:2], "right": x[2:]}, y

    class Two(Mlp):
        def forward(self, left, right):
            return super().forward(torch.cat([left, right], dim=1))

    clf = make(Two(), dataset=Halves).fit(X, Y)
    assert clf.score(X, TRUE) > 0.9
    assert clf.predict_proba(X, return_embeddings=True)[1].shape == (60, 8)


def test_a_batch_of_one_has_no_variance_and_is_left_out():
    clf = make(Mlp(norm=True), batch_size=29).fit(X, Y)  # 30 labels
    assert clf.score(X, TRUE) > 0.8
    assert clf.net_.history[-1, "batches", :, "train_batch_size"] == [29]
    assert clf.set_params(module=Mlp()).fit(X, Y).net_.history[
        -1, "batches", :, "train_batch_size"
    ] == [29, 1]


def test_a_module_that_finds_its_size_out():
    assert make(LazyMlp).fit(X, Y).score(X, TRUE) > 0.9


# Parameters.


def test_parameters_for_skorch():
    clf = make(module__hidden=5, optimizer__weight_decay=0.5)
    assert clf.get_params()["module__hidden"] == 5
    copy = clone(clf).set_params(module__hidden=6, lr=0.5, iterator_train__shuffle=False)
    assert clf.get_params()["module__hidden"] == 5
    assert clf.lr == 0.02
    copy.fit(X, Y)
    assert copy.net_.module_.hidden.out_features == 6
    assert copy.net_.optimizer_.param_groups[0]["weight_decay"] == 0.5
    assert copy.net_.optimizer_.param_groups[0]["lr"] == 0.5
    assert not copy.net_.iterator_train__shuffle


def test_a_dict_of_parameters_as_scikit_activeml_has_it():
    clf = SkorchClassifier(
        module=Mlp,
        criterion=nn.CrossEntropyLoss,
        neural_net_param_dict={"lr": 0.02, "max_epochs": 20, "module__hidden": 5},
        classes=[0, 1, 2],
        random_state=0,
    )
    assert same(trained(clf.fit(X, Y)), trained(make(module__hidden=5).fit(X, Y)))
    with pytest.raises(ValueError, match="holds lr, given as arguments too"):
        clf.set_params(lr=0.1).fit(X, Y)
    with pytest.raises(ValueError, match="holds module__hidden, given as arguments too"):
        clf.set_params(lr=1e-3, module__hidden=4).fit(X, Y)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"max_epoch": 3}, "max_epoch can't be passed on to skorch: there is no such argument"),
        ({"modul__hidden": 3}, "modul__hidden can't be passed on"),
        ({"predict_nonlinearity": None}, "decides on this itself"),
        ({"module__n_layers": 3}, "n_layers"),
        ({"module": "Mlp"}, "module must be a torch.nn.Module or a class"),
    ],
)
def test_parameters_that_do_not_exist(wrong, message):
    with pytest.raises(TypeError, match=message):
        make(**wrong).fit(X, Y)


def test_setting_a_parameter_that_does_not_exist():
    with pytest.raises(ValueError, match="Invalid parameter 'max_epoch' for SkorchClassifier"):
        make().set_params(max_epoch=3)


def test_a_sampler_takes_the_place_of_shuffling():
    rare = torch.utils.data.WeightedRandomSampler(np.where(TRUE[:30] == 2, 1.0, 0.0), 30)
    clf = make(iterator_train__sampler=rare).fit(X, Y)
    assert (clf.predict(X) == 2).all()


def test_a_grid_search_over_the_network():
    search = GridSearchCV(
        make(classes=[0, 1, 2], max_epochs=5), {"module__hidden": [2, 8], "lr": [1e-6, 0.1]}, cv=2
    )
    search.fit(X, TRUE)
    assert search.best_params_["lr"] == 0.1
    assert search.score(X, TRUE) > 0.9


def test_it_survives_a_pickle():
    clf = make(warm_start=True, early_stopping=True, validation_fraction=0.3).fit(X, Y)
    copy = pickle.loads(pickle.dumps(clf))
    assert_array_equal(copy.predict_proba(X), clf.predict_proba(X))
    assert same(trained(copy.fit(X, Y)), trained(clf.fit(X, Y)))


def test_a_callback_ends_the_training_and_ctrl_c_the_fit():
    class Enough(Callback):
        def on_epoch_end(self, net, **kwargs):
            if len(net.history) == 3:
                raise KeyboardInterrupt

    clf = make(callbacks=[Enough()]).fit(X, Y)
    assert len(clf.net_.history) == 3

    class Pressed(Mlp):
        def forward(self, x):
            raise KeyboardInterrupt

    state = torch.get_rng_state()
    with pytest.raises(KeyboardInterrupt):
        make(Pressed).fit(X, Y)
    assert torch.equal(torch.get_rng_state(), state)


def test_callbacks_and_splits_of_skorch():
    scores = EpochScoring("accuracy", lower_is_better=False, name="acc")
    clf = make(callbacks=[scores], train_split=ValidSplit(3, stratified=True)).fit(X, Y)
    assert clf.net_.history[-1, "acc"] > 0.8
    assert len(clf.net_.history[:, "valid_loss"]) == 20


def test_it_prints_only_when_asked(capsys):
    make(max_epochs=2).fit(X, Y)
    assert capsys.readouterr().out == ""
    make(max_epochs=2, verbose=1).fit(X, Y)
    assert "train_loss" in capsys.readouterr().out


@pytest.mark.parametrize("missing", ["torch", "skorch"])
def test_without_torch_it_names_the_extra(missing, monkeypatch):
    monkeypatch.setitem(sys.modules, missing, None)  # what Python says of a missing module
    clf = SkorchClassifier(print, max_epochs=3)
    for call in (lambda: clf.fit([[0.0], [1.0]], [0, 1]), lambda: clf.set_params(module__a=1)):
        with pytest.raises(ImportError, match=rf"SkorchClassifier needs {missing}.*next\[torch\]"):
            call()
