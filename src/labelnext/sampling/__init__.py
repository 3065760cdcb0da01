"""Choosing k rows of a pool of gradients. Knows `Gradients`, never where they live."""

from labelnext.sampling._batch import COLUMNS as COLUMNS
from labelnext.sampling._batch import FORMATS as FORMATS
from labelnext.sampling._batch import Batch, Pick
from labelnext.sampling._batch import file_of as file_of
from labelnext.sampling._d2 import choose_by_d2 as choose_by_d2
from labelnext.sampling._d2 import d2_sample
from labelnext.sampling._farthest import farthest_first
from labelnext.sampling._picks import Groups
from labelnext.sampling._picks import Progress as Progress
from labelnext.sampling._picks import Room as Room
from labelnext.sampling.utilities import d2_utilities

__all__ = ["Batch", "Groups", "Pick", "d2_sample", "d2_utilities", "farthest_first"]
