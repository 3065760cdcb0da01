"""Pools of gradient factors: where they live, their distances, and draws from them.

The gradient of the cross-entropy at the pseudo-label with respect to the last linear layer is
the outer product of a residual and a feature row. A pool keeps the two factors, never the
product; everything in `labelnext.sampling` is written against `Gradients` and `D2` alone.
"""

from labelnext.engine._base import D2, Gradients, PassReport
from labelnext.engine._base import MOST_DRAWN as MOST_DRAWN
from labelnext.engine._base import Drawn as Drawn
from labelnext.engine._base import largest_block as largest_block
from labelnext.engine._factors import Factors
from labelnext.engine._open import as_gradients as as_gradients
from labelnext.engine._open import open_gradients
from labelnext.engine._sharded import ShardedGradients
from labelnext.engine.threads import blas_on_one_thread as blas_on_one_thread

__all__ = ["D2", "Factors", "Gradients", "PassReport", "ShardedGradients", "open_gradients"]
