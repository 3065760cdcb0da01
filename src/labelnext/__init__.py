"""Which samples should people label next?"""

from labelnext._version import __version__

__all__ = ["__version__"]
