"""scikit-learn's own checks of a classifier."""

import pytest
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.utils.estimator_checks import parametrize_with_checks

from labelnext.classifier import ParzenWindowClassifier, SklearnClassifier, SkorchClassifier
from labelnext.estimators import _train
from small_nets import LazyMlp

WEIGHT_CHECKS = [
    "check_sample_weight_equivalence_on_dense_data",
    "check_sample_weight_equivalence_on_sparse_data",
]


def expected_failures(estimator):
    if getattr(estimator, "n_neighbors", None) is not None:
        reason = "a sample that is repeated takes several places among the nearest, not one"
        return dict.fromkeys(WEIGHT_CHECKS, reason)
    if isinstance(estimator, SkorchClassifier):
        check = "check_do_not_raise_errors_in_init_or_set_params"
        reason = "a network takes the samples in an order that depends on how many there are"
        return {check: "it takes **net_params for the name of a parameter"} | dict.fromkeys(
            WEIGHT_CHECKS, reason
        )
    if isinstance(getattr(estimator, "estimator", None), SGDClassifier):
        reason = "SGDClassifier takes the samples in an order that depends on how many there are"
        return dict.fromkeys(WEIGHT_CHECKS, reason)
    return {}


@pytest.fixture(autouse=True)
def as_many_outputs_as_classes(monkeypatch):
    """Nobody tells a module how many classes a check is going to have."""
    options = _train._given_once
    monkeypatch.setattr(
        _train,
        "_given_once",
        lambda clf: options(clf) | {"module__n_outputs": len(clf.classes_)},
    )


@pytest.mark.one_of(2)
@parametrize_with_checks(
    [
        ParzenWindowClassifier(),
        ParzenWindowClassifier(metric="laplacian", class_prior=0.1),
        ParzenWindowClassifier(n_neighbors=3, metric_dict={"gamma": "mean"}),
        SklearnClassifier(LogisticRegression()),
        SklearnClassifier(GaussianNB()),
        SklearnClassifier(SGDClassifier(loss="log_loss", random_state=0)),
        SkorchClassifier(LazyMlp, lr=0.02, max_epochs=60, random_state=0),
    ],
    expected_failed_checks=expected_failures,
)
def test_it_is_a_scikit_learn_classifier(estimator, check):
    check(estimator)
