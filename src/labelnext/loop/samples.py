"""What people give to be labelled, as one table of samples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, eq=False, repr=False)
class Samples:
    """
    Samples to be labelled, in the order given.

    Parameters
    ----------
    ids : list of str
        An id for each, all different.
    kind : {"text", "image", "audio", "row", "html"}
        What they are.
    contents : list of str
        The text or HTML; the path of a picture or sound; the values of a row as JSON.
    groups : list of str, default=None
        What each belongs to.
    root : Path, default=None
        The folder that the paths are in.
    table : pyarrow.Table, default=None
        The other columns.

    Examples
    --------
    >>> from labelnext.loop.samples import Samples
    >>> len(Samples(["a", "b"], "text", ["Well made", "Broke at once"]).ids)
    2
    """

    ids: list[str]
    kind: str
    contents: list[str]
    groups: list[str] | None = None
    root: Path | None = None
    table: Any = None


def read(source: Any) -> Samples:
    """
    Read samples from a list of texts, or of dicts with "text" and perhaps "id".

    Parameters
    ----------
    source : sequence of str or dict
        The samples.

    Returns
    -------
    Samples
        The samples.
    """
    records = [{"text": item} if isinstance(item, str) else dict(item) for item in source]
    ids = [str(record.get("id", row)) for row, record in enumerate(records)]
    return Samples(ids, "text", [record["text"] for record in records])
