"""What a model makes of a loop's samples: the default, or a classifier of the user's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from labelnext.pools import Pool


def pool_of(loop: Any, classifier: Any = None) -> Pool:
    """Return the pool that a classifier, or the default model, makes of the loop's samples."""
    raise NotImplementedError(f"{loop!r}: pass a pool, as in loop.next(pool); got {classifier!r}.")
