"""Paths as they are given; to go when nobody imports them from here."""

from labelnext.pools.files import local_folder, scheme_of

__all__ = ["local_folder", "scheme_of"]
