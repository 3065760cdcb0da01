"""What labelnext is held against: each is a callable of (proba, features, k, seed)."""

from benchmarks.competitors.factored import sample as factored
from benchmarks.competitors.skactiveml import sample as skactiveml

__all__ = ["factored", "skactiveml"]
