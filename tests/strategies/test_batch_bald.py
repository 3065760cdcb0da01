"""BatchBALD against its equation: the joint entropy over all configurations of labels."""

from itertools import product

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.naive_bayes import GaussianNB

from labelnext.pool import Bald, BatchBald
from labelnext.strategies._bald import Configurations

N, CLASSES, MEMBERS = 9, 3, 4
X = np.random.default_rng(0).normal(size=(N + 2, 2))
Y = np.array([0.0, 1.0] + [np.nan] * N)


def opinions(seed):
    logits = 2 * np.random.default_rng(seed).normal(size=(MEMBERS, N, CLASSES))
    return np.exp(logits) / np.exp(logits).sum(axis=2, keepdims=True)


def naive(p, batch):
    """I(y_1, ..., y_b; member) of a batch, from every configuration of its labels."""
    joint = 0.0
    for labels in product(range(p.shape[2]), repeat=len(batch)):
        given = [
            np.prod([member[x, y] for x, y in zip(batch, labels, strict=True)]) for member in p
        ]
        joint -= np.mean(given) * np.log(np.mean(given))
    within = -np.mean([np.sum(member[batch] * np.log(member[batch])) for member in p])
    return joint - within


def ask(p, batch_size=4, **parameters):
    parameters = {"random_state": 0} | parameters
    picks, utilities = BatchBald(committee=lambda clf, X: p, **parameters).query(
        X, Y, GaussianNB(), batch_size=batch_size, return_utilities=True
    )
    without = BatchBald(committee=lambda clf, X: p, **parameters).query(
        X, Y, GaussianNB(), batch_size=batch_size
    )
    assert_array_equal(without, picks)
    return (picks - 2).tolist(), utilities[:, 2:]


@pytest.mark.parametrize("seed", range(4))
def test_the_equation(seed):
    p = opinions(seed)
    picks, utilities = ask(p)
    for t, pick in enumerate(picks):
        before = picks[:t]
        told = naive(p, before) if before else 0.0
        for x in set(range(N)) - set(before):
            assert_allclose(utilities[t, x], naive(p, [*before, x]) - told, atol=1e-12)
        assert pick == np.nanargmax(utilities[t])


def test_drawn_configurations_give_an_estimate():
    p = opinions(1)
    by_sample = p.transpose(1, 2, 0)
    picks, utilities = ask(p, 4)
    configurations = Configurations.draw(by_sample[picks[:3]], 100_000, np.random.default_rng(0))
    assert_allclose(configurations.mass, 1e-5)
    assert_allclose(configurations.members.sum(axis=0), 1)
    within = -(by_sample * np.log(by_sample)).sum(axis=(1, 2)) / MEMBERS
    estimate = configurations.mean_entropy(by_sample, np.arange(len(by_sample))) - within
    assert np.nanmax(np.abs(estimate - utilities[3])) < 2e-3


@pytest.mark.parametrize("n_configurations", [1, 5, 50])
def test_from_all_configurations_to_drawn_ones(n_configurations):
    p = opinions(2)
    picks, utilities = ask(p, N, n_configurations=n_configurations)
    assert sorted(picks) == list(range(N))
    alone = Bald(committee=lambda clf, X: p).query(X, Y, GaussianNB(), return_utilities=True)[1][
        0, 2:
    ]
    assert (utilities <= alone + 1e-12)[~np.isnan(utilities)].all()
    for k in range(1, N):
        fewer, their_utilities = ask(p, k, n_configurations=n_configurations)
        assert fewer == picks[:k]
        assert_array_equal(their_utilities, utilities[:k])


def test_no_more_is_told_than_there_are_members():
    # Each of these tells the members apart, so that one of them is enough.
    p = np.zeros((3, N, 3))
    p[:, :, :] = np.eye(3)[:, None, :]
    picks, utilities = ask(p, 3)
    assert_allclose(utilities[0], np.log(3))
    assert np.nanmax(utilities[1:]) == 0
    assert {tuple(ask(p, 2, random_state=seed)[0]) for seed in range(20)} > {tuple(picks[:2])}


def test_a_copy_of_a_pick_tells_less_than_another_sample():
    p = opinions(3)
    first = ask(p, 1)[0][0]
    other = next(x for x in range(N) if x != first)
    p[:, other] = p[:, first]
    assert {first, other} == set(
        Bald(committee=lambda clf, X: p).query(X, Y, GaussianNB(), batch_size=2) - 2
    )
    assert {first, other} != set(ask(p, 2)[0])


def test_candidates_that_are_ruled_out_change_nothing():
    rng = np.random.default_rng(0)
    n = 3000
    logits = rng.normal(size=(5, n, 3)) * rng.exponential(size=(n, 1))
    p = np.exp(logits) / np.exp(logits).sum(axis=2, keepdims=True)
    samples = rng.normal(size=(n, 2))
    strategy = BatchBald(committee=lambda clf, X: p, n_configurations=50, random_state=0)
    arguments = {"candidates": samples, "batch_size": 6}
    picks, utilities = strategy.query(X, Y, GaussianNB(), return_utilities=True, **arguments)
    assert_array_equal(strategy.query(X, Y, GaussianNB(), **arguments), picks)
    assert_array_equal(np.nanargmax(utilities, axis=1), picks)


@pytest.mark.parametrize("n_picks", [0, 2, 5])
def test_merged_configurations_bound_those_of_all(n_picks):
    by_sample = opinions(1).transpose(1, 2, 0)
    configurations = Configurations.of_nothing(MEMBERS)
    rng, rows = np.random.default_rng(0), np.arange(N)
    for t in range(n_picks):
        configurations = configurations.extend(by_sample[: t + 1], 100, rng)
    exact, before = configurations.mean_entropy(by_sample, rows), np.inf
    for n in (1, 4, 32, 1000):
        merged = configurations.merged(n)
        assert len(merged.mass) <= min(n, len(configurations.mass))
        assert_allclose(merged.mass.sum(), 1)
        assert_allclose(merged.members @ merged.mass, configurations.members @ configurations.mass)
        most = merged.mean_entropy(by_sample, rows)
        assert (most >= exact - 1e-12).all()
        assert (most <= before + 1e-12).all()
        before = most


def test_few_are_measured(monkeypatch):
    rng = np.random.default_rng(0)
    n = 3000
    logits = rng.normal(size=(n, 3)) + 0.3 * rng.normal(size=(5, n, 3))
    p = np.exp(logits) / np.exp(logits).sum(axis=2, keepdims=True)
    measured, plain = [], Configurations.mean_entropy

    def mean_entropy(self, opinions, rows):
        measured.append(len(self.mass) > 50 and len(rows))
        return plain(self, opinions, rows)

    monkeypatch.setattr(Configurations, "mean_entropy", mean_entropy)
    arguments = {"candidates": rng.normal(size=(n, 2)), "batch_size": 20}
    strategy = BatchBald(committee=lambda clf, X: p, n_configurations=200, random_state=0)
    picks = strategy.query(X, Y, GaussianNB(), **arguments)
    assert sum(measured) < 20 * n / 3
    picks_of_all, _ = strategy.query(X, Y, GaussianNB(), return_utilities=True, **arguments)
    assert_array_equal(picks, picks_of_all)


@pytest.mark.parametrize(("sure", "less"), [(0.99, 0.97), (0.8, 0.79)])
def test_the_bound_alone_does_not_decide(sure, less):
    # A thousand copies of a question that tells most, and then one that tells something else.
    n = 1200
    p = np.empty((4, n, 2))
    p[:, :, 0] = np.array([sure, sure, 1 - sure, 1 - sure])[:, None]
    p[:, 1100, 0] = [less, 1 - less, less, 1 - less]
    p[:, :, 1] = 1 - p[:, :, 0]
    strategy = BatchBald(committee=lambda clf, X: p, random_state=0)
    samples = np.random.default_rng(0).normal(size=(n, 2))
    assert strategy.query(X, Y, GaussianNB(), candidates=samples, batch_size=2)[1] == 1100


def test_bad_input():
    for wrong, error in ((0, ValueError), (1.5, TypeError)):
        with pytest.raises(error, match="n_configurations must be"):
            ask(opinions(0), n_configurations=wrong)
