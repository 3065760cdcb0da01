"""What people label, whatever it is in, and features of it for those who have no model."""

from labelnext.samples.samples import Samples, read

__all__ = ["Samples", "read"]
