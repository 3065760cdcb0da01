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
from labelnext.samples.samples import IN_FILES, SAID, Samples
from labelnext.utils.text import counted, counted_of

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping, Sequence

# Files that are compared when they have moved, and bytes of each.
COMPARED, BEGINNING = 1_000, 1 << 16


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


def moved_to(db: sqlite3.Connection, folder: Path, root: Path) -> str:
    """Say where files are now, if they are those of the loop."""
    kind = _schema.about(db, "kind")
    if kind not in IN_FILES:
        raise ValueError(
            f"The samples of this loop are {SAID[kind]}, which are in the loop: there are no files."
        )
    if not root.is_dir():
        raise ValueError(f"There is no folder {root}; name the one that the files are in now.")
    rows = db.execute("SELECT content, sha256 FROM samples ORDER BY key").fetchall()
    gone = [path for path, _ in rows if not (root / path).is_file()]
    if 2 * len(gone) > len(rows):
        whole = os.path.isabs(gone[0])
        raise ValueError(
            f"{counted_of(len(gone), len(rows), 'file')} not in {root}, the first {gone[0]}; "
            + (
                "they are named by whole paths: put a link to where they are in the old place, as "
                "with ln -s NEW OLD."
                if whole
                else "name the folder in which they have the names that they had."
            )
        )
    there = {path for path, _ in rows}.difference(gone)
    compared = [(path, said) for path, said in rows if said is not None and path in there]
    other = [path for path, said in compared if _digest(root / path) not in (None, said)]
    if other:
        raise ValueError(
            f"{counted_of(len(other), len(compared), 'compared file')} not as when the "
            f"loop was made, the first {other[0]}; name the folder that they are in now. If it "
            f"was you who changed them, put a link to {root} in the old place, as with ln -s."
        )
    return _said_from(folder, root)


def _digests(samples: Samples) -> list[str | None]:
    """Return by what the contents of samples are known again: of a thousand files that is enough.

    All of them might take hours to read.
    """
    if samples.kind not in IN_FILES:
        return [hashlib.sha256(content.encode()).hexdigest() for content in samples.contents]
    n, root = len(samples), samples.root or Path()
    some_of = {*np.linspace(0, n - 1, min(COMPARED, n)).astype(np.int64).tolist()}
    return [
        _digest(root / path) if row in some_of else None
        for row, path in enumerate(samples.contents)
    ]


def _digest(path: Path) -> str | None:
    """Return a digest of the size of a file and its beginning; None if it cannot be read."""
    if not path.is_file():  # a pipe would be waited for
        return None
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            return hashlib.sha256(f"{size}\0".encode() + file.read(BEGINNING)).hexdigest()
    except OSError:
        return None


def _check(samples: Samples) -> None:
    n = len(samples.ids)
    if not n:
        raise ValueError("There are no samples; a loop needs one at least.")
    for name in ("contents", "groups", "table"):
        values = getattr(samples, name)
        if values is not None and len(values) != n:
            raise ValueError(
                f"{name} of the samples has {counted(len(values), 'entry', 'entries')} and ids has "
                f"{n:,}; there must be one for each sample, in the same order."
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
            f"{counted(len(twice), 'id is', 'ids are')} there more than once: {some(twice)}; every "
            "sample needs an "
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
            f"A test set of {counted(test, 'sample')} takes all {len(members):,} groups, which are "
            "never cut; ask for a smaller one, or give no groups."
        )
    return rng.permutation(testing).tolist()  # type: ignore[no-any-return]


def _add_samples(db: sqlite3.Connection, samples: Samples, testing: set[int]) -> None:
    n = len(samples.ids)
    extra: Sequence[Any] = [None] * n if samples.table is None else samples.table.to_pylist()
    groups: Sequence[str | None] = samples.groups or [None] * n
    digests = _digests(samples)
    rows = zip(samples.ids, samples.contents, digests, groups, extra, strict=True)
    db.executemany(
        "INSERT INTO samples VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            (
                *(key, name, samples.kind, content),
                digest,
                *(group, "test" if key in testing else "pool"),
                None if more is None else _as_json(more),
            )
            for key, (name, content, digest, group, more) in enumerate(rows)
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
