"""scikit-learn's own checks of a classifier."""

from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.utils.estimator_checks import parametrize_with_checks

from labelnext.classifier import ParzenWindowClassifier, SklearnClassifier

WEIGHT_CHECKS = [
    "check_sample_weight_equivalence_on_dense_data",
    "check_sample_weight_equivalence_on_sparse_data",
]


def expected_failures(estimator):
    if getattr(estimator, "n_neighbors", None) is not None:
        reason = "a sample that is repeated takes several places among the nearest, not one"
        return dict.fromkeys(WEIGHT_CHECKS, reason)
    if isinstance(getattr(estimator, "estimator", None), SGDClassifier):
        reason = "SGDClassifier takes the samples in an order that depends on how many there are"
        return dict.fromkeys(WEIGHT_CHECKS, reason)
    return {}


@parametrize_with_checks(
    [
        ParzenWindowClassifier(),
        ParzenWindowClassifier(metric="laplacian", class_prior=0.1),
        ParzenWindowClassifier(n_neighbors=3, metric_dict={"gamma": "mean"}),
        SklearnClassifier(LogisticRegression()),
        SklearnClassifier(GaussianNB()),
        SklearnClassifier(SGDClassifier(loss="log_loss", random_state=0)),
    ],
    expected_failed_checks=expected_failures,
)
def test_it_is_a_scikit_learn_classifier(estimator, check):
    check(estimator)
