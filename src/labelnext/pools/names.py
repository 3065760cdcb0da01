"""What people call the columns, arrays and files of a pool."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labelnext.utils.names import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Collection

PROBA = ("proba", "probs", "probabilities")
FEATURES = ("embedding", "embeddings", "features")
IDS = ("id", "ids")

# What was asked for as proba, features and ids.
Wanted = tuple[str | None, str | None, str | None]


def pick(wanted: str | None, usual: tuple[str, ...], names: Collection[str], where: str) -> str:
    """Find what is wanted, or the first of the usual names, among those there are.

    Parameters
    ----------
    wanted : str or None
        What was asked for.
    usual : tuple of str
        The names to look for if nothing was.
    names : collection of str
        What there is.
    where : str
        Where that is, for messages.
    """
    for name in usual if wanted is None else (wanted,):
        if name in names:
            return name
    name = usual[0] if wanted is None else wanted
    shown = ", ".join(sorted(names)[:12]) + (f" and {len(names) - 12} more" * (len(names) > 12))
    option = {PROBA: "proba", FEATURES: "features", IDS: "ids"}[usual]
    raise ValueError(
        f"{where} has no '{name}'; it has {shown or 'nothing'}{did_you_mean(name, names)}"
        f"{f'; name it with {option}=...' if wanted is None else ''}."
    )
