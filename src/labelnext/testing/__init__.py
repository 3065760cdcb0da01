"""Checks to run on query strategies of one's own."""

from labelnext.testing._check import check_query_strategy

__all__ = ["check_query_strategy"]
