"""What the last layer's outputs stand for: which shapes and values are right, and why."""

from labelnext.pools.check import (
    TOLERANCE,
    TOLERANCES,
    TOO_LARGE,
    check_shapes,
    refuse_features,
    refuse_proba,
)
from labelnext.utils.tasks import Task, check_task

__all__ = [
    "TOLERANCE",
    "TOLERANCES",
    "TOO_LARGE",
    "Task",
    "check_shapes",
    "check_task",
    "refuse_features",
    "refuse_proba",
]
