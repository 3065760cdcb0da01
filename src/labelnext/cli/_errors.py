"""What the user did wrong, in one line that says what to do."""

from collections.abc import Iterable


class InputError(Exception):
    """A mistake of the user's: shown as one line, without a traceback, exit code 2."""


def one_line(error: object) -> str:
    """Put the text of an error on one line, without a full stop at the end."""
    return " ".join(str(error).split()).rstrip(".")


def some(items: Iterable[object], limit: int = 5) -> str:
    """Name the first few of ``items``, and say how many more there are.

    >>> some("abcdefgh")
    'a, b, c, d, e and 3 more'
    """
    items = list(items)
    shown = ", ".join(str(item) for item in items[:limit])
    return f"{shown} and {len(items) - limit:,} more" if len(items) > limit else shown
