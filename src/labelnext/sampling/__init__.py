"""Choosing k rows of a pool of gradients. Knows `Gradients`, never where they live."""

from labelnext.sampling._batch import Batch, Pick
from labelnext.sampling._d2 import d2_sample
from labelnext.sampling._farthest import farthest_first
from labelnext.sampling._groups import Groups
from labelnext.sampling._select import select
from labelnext.sampling.utilities import d2_utilities

__all__ = ["Batch", "Groups", "Pick", "d2_sample", "d2_utilities", "farthest_first", "select"]
