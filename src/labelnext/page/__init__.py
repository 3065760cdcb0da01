"""The page on which people label the samples of a loop, in a browser."""

from labelnext.page.server import serve

__all__ = ["serve"]
