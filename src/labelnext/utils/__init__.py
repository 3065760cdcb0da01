"""Labels that may be missing, and randomness that can be repeated."""

from labelnext.utils.encoding import check_classes, encode_labels, majority_vote
from labelnext.utils.labels import (
    MISSING_LABEL,
    is_labeled,
    is_unlabeled,
    labeled_indices,
    unlabeled_indices,
)
from labelnext.utils.random import check_random_state, rand_argmax

__all__ = [
    "MISSING_LABEL",
    "check_classes",
    "check_random_state",
    "encode_labels",
    "is_labeled",
    "is_unlabeled",
    "labeled_indices",
    "majority_vote",
    "rand_argmax",
    "unlabeled_indices",
]
