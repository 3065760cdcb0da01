"""A new loop: samples that can be kept, the test set drawn, and all of it written at once."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from labelnext.loop import _rounds, _schema
from labelnext.pools.known import is_text, some
from labelnext.samples.samples import IN_FILES, Samples

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping, Sequence


def create(
    folder: Path, samples: Samples, settings: Mapping[str, Any], test: int, seed: int
) -> None:
    """Write the file of a new loop."""
    _check(samples)
    n = len(samples.ids)
    if test >= n:
        raise ValueError(f"test must be below the number of samples, {n:,}, got {test:,}.")
    rng = np.random.default_rng([seed, n])
    root = None if samples.root is None else _said_from(folder, samples.root)
    created = {"kind": samples.kind, "root": root, "created": _schema.now()}

    def fill(db: sqlite3.Connection) -> None:
        for name, value in {**settings, **created}.items():
            text = json.dumps(value, ensure_ascii=False)
            db.execute("INSERT INTO about VALUES (?, ?)", (name, text))
        testing = _test_set(samples, test, rng)
        _add_samples(db, samples, set(testing))
        if testing:
            _add_test_round(db, testing, settings["overlap"], rng, seed)

    _schema.create(folder, fill)


def wanted(n: int, overlap: float, rng: np.random.Generator) -> list[int]:
    """Return how many answers each of n picks wants: two for a share of them, drawn at random."""
    wants = np.ones(n, np.int64)
    wants[rng.permutation(n)[: round(overlap * n)]] = 2
    return wants.tolist()


def samples_of(db: sqlite3.Connection, folder: Path) -> Samples:
    """Return the samples of a loop as they were given."""
    rows = db.execute("SELECT id, content, grp, extra FROM samples ORDER BY key").fetchall()
    ids, contents, groups, extra = map(list, zip(*map(tuple, rows), strict=True))
    table = None
    if extra[0] is not None:
        import pyarrow as pa

        table = pa.Table.from_pylist([json.loads(more) for more in extra])
    return Samples(
        ids,
        _schema.about(db, "kind"),
        contents,
        None if groups[0] is None else groups,
        root_of(db, folder),
        table,
    )


def root_of(db: sqlite3.Connection, folder: Path) -> Path | None:
    """Return the folder that paths of files are in."""
    root = _schema.about(db, "root")
    return None if root is None else Path(os.path.normpath(folder / root))


def _check(samples: Samples) -> None:
    n = len(samples.ids)
    if not n:
        raise ValueError("There are no samples; a loop needs one at least.")
    for name in ("contents", "groups", "table"):
        values = getattr(samples, name)
        if values is not None and len(values) != n:
            raise ValueError(
                f"{name} of the samples has {len(values):,} entries and ids has {n:,}; there must "
                "be one for each sample, in the same order."
            )
    for name in ("ids", "contents", "groups"):
        for row, value in enumerate(getattr(samples, name) or ()):
            if not isinstance(value, str) or not is_text(value):
                raise ValueError(
                    f"{name} of the samples must be texts that UTF-8 can hold, got {value!r:.80} "
                    f"at row {row:,}."
                )
    twice = [name for name, count in Counter(samples.ids).items() if count > 1]
    if twice:
        raise ValueError(
            f"{len(twice):,} ids are there more than once: {some(twice)}; every sample needs an "
            "id of its own."
        )


def _said_from(folder: Path, root: Path) -> str:
    """Say where files are: from the loop's folder if they lie beside it and may move with it."""
    root, folder = Path(os.path.abspath(root)), Path(os.path.abspath(folder))
    return os.path.relpath(root, folder) if root.is_relative_to(folder.parent) else str(root)


def _test_set(samples: Samples, test: int, rng: np.random.Generator) -> list[int]:
    """Draw the test set in the order in which it is labelled: samples, or whole groups."""
    order: list[int] = rng.permutation(len(samples.ids)).tolist()
    if samples.groups is None or not test:
        return order[:test]
    members: dict[str, list[int]] = {}
    for key in order:
        members.setdefault(samples.groups[key], []).append(key)
    testing: list[int] = []
    for name in rng.permutation(sorted(members)).tolist():
        if len(testing) >= test:
            break
        testing += members[name]
    if len(testing) == len(order):
        raise ValueError(
            f"A test set of {test:,} samples takes all {len(members):,} groups, which are never "
            "cut; ask for a smaller one, or give no groups."
        )
    return rng.permutation(testing).tolist()  # type: ignore[no-any-return]


def _add_samples(db: sqlite3.Connection, samples: Samples, testing: set[int]) -> None:
    n = len(samples.ids)
    in_files = samples.kind in IN_FILES
    extra: Sequence[Any] = [None] * n if samples.table is None else samples.table.to_pylist()
    groups: Sequence[str | None] = samples.groups or [None] * n
    rows = zip(samples.ids, samples.contents, groups, extra, strict=True)
    db.executemany(
        "INSERT INTO samples VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            (
                *(key, name, samples.kind, content),
                None if in_files else hashlib.sha256(content.encode()).hexdigest(),
                *(group, "test" if key in testing else "pool"),
                None if more is None else _as_json(more),
            )
            for key, (name, content, group, more) in enumerate(rows)
        ),
    )


def _as_json(more: dict[str, Any]) -> str:
    """Write other columns down; JSON knows no NaN and no infinity, and no dates."""
    finite = {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in more.items()
    }
    return json.dumps(finite, ensure_ascii=False, default=str)


def _add_test_round(
    db: sqlite3.Connection,
    testing: list[int],
    overlap: float,
    rng: np.random.Generator,
    seed: int,
) -> None:
    n = len(testing)
    nothing: list[None] = [None] * n
    picks = _rounds.Picks(testing, ["test"] * n, wanted(n, overlap, rng), *[nothing] * 6)
    parameters = {"k": n, "overlap": overlap}
    _rounds.add(
        db, 0, "test", picks, strategy=None, parameters=parameters, seed=seed, fingerprint=None
    )
