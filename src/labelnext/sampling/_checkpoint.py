"""A selection that outlives its process: after each pass, what it takes to go on."""

from __future__ import annotations

import copy
import hashlib
import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from labelnext.pools.disk import check_place, write_whole, writing
from labelnext.sampling._batch import COUNTERS

if TYPE_CHECKING:
    import os
    from contextlib import AbstractContextManager

    from numpy.typing import NDArray

    from labelnext.sampling._picks import Groups, Picks

FORMAT = "labelnext checkpoint 2"
OTHER_WAYS = "another way (in memory, from files, on a cluster)"
# Also of integers, which Python compares whatever their length.
LARGEST = float(np.finfo(np.float64).max)
ADVICE = "name another file, or delete it to start again"


@dataclass
class Saved:
    """What a checkpoint holds of a selection: it goes on from the first `n_full` picks, with
    `stats_full` and the state `random` of the generator; D² is computed again from the picks.
    """

    rows: list[int] = field(default_factory=list)
    d2: list[float] = field(default_factory=list)
    potentials: list[float] = field(default_factory=list)
    stats: dict[str, int] = field(default_factory=dict)
    n_full: int = 0
    stats_full: dict[str, int] = field(default_factory=dict)
    random: dict[str, Any] = field(default_factory=dict)


class Checkpoint:
    """A file that a selection goes on from; how many it picks may differ, and nothing else.

    ``pool`` is the pool's fingerprint. Unless it is ``seeded``, the randomness is the checkpoint's.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        pool: str,
        n_rows: int,
        exclude: NDArray[np.int64],
        centres: NDArray[np.int64],
        groups: Groups | None,
        rng: np.random.Generator,
        *,
        seeded: bool,
    ) -> None:
        self.path = Path(path)
        # What tells one selection from another, and what to call it if it differs.
        self._identity = {
            "pool": pool,
            "exclude": _digest(exclude),
            "centres": _digest(centres),
            "groups": None if groups is None else [_digest(groups.of_row), groups.limit],
            "random_state": state_of(rng) if seeded else None,
        }
        self.saved = Saved(random=state_of(rng))
        # What cannot be written is found out before the work.
        with self._writing():
            check_place(self.path)
        if self.path.exists():
            self.saved = self._read()
            self._check(self.saved, n_rows, {*exclude.tolist(), *centres.tolist()}, rng)
        else:
            self.write()

    def restore(
        self,
        picks: Picks,
        rng: np.random.Generator,
        centres: NDArray[np.int64],
        at_once: int,
    ) -> None:
        """Take up, in an empty batch, all saved picks that are asked for, or those to go on from,
        in passes of so many centres at once; the counters are as if nothing had happened.
        """
        saved, k = self.saved, picks.k
        done = k <= len(saved.rows)
        n = k if done else saved.n_full
        rng.bit_generator.state = saved.random  # those of NumPy take lists where they give arrays
        report, picks.progress = picks.progress, None
        if len(centres) and not done:
            picks.condition_on(centres, at_once)
        for lo in range(0, n, at_once):
            part = slice(lo, min(lo + at_once, n))
            rows = np.array(saved.rows[part], dtype=np.int64)
            factors = picks.gradients.gather(rows)
            picks.add(factors, saved.rows[part], [float(d2) for d2 in saved.d2[part]])
            picks.forget_waiting()
            if not done:
                picks.d2.min_update(factors, rows)
                for row in rows.tolist():
                    picks.room.admit(row)
        if not done:
            picks.withdraw_filled()
        picks.potentials = saved.potentials[:n]
        if n:
            picks.stats.update(saved.stats if done else saved.stats_full)
        picks.progress = report

    def save(self, picks: Picks, rng: np.random.Generator) -> None:
        """Write down the picks so far, after a pass."""
        saved = self.saved
        saved.rows, saved.d2 = picks.rows, picks.d2_at_pick
        saved.potentials, saved.stats = picks.potentials, picks.stats
        if len(picks) < picks.k:
            saved.n_full, saved.stats_full = len(picks), dict(picks.stats)
            saved.random = state_of(rng)
        self.write()

    def write(self) -> None:
        """Write the file: it appears whole, in place of what was there, or not at all."""
        content = {"format": FORMAT, **self._identity, **asdict(self.saved)}
        content["checksum"] = _checksum(content)
        with self._writing():
            write_whole(self.path, json.dumps(content).encode(), overwrite=True)

    def _writing(self) -> AbstractContextManager[None]:
        return writing(f"the checkpoint {self.path}", "make room, or name another file.")

    def _damaged(self, reason: object) -> ValueError:
        return ValueError(
            f"{self.path} is no checkpoint of a selection, or is damaged ({reason}); {ADVICE}."
        )

    def _read(self) -> Saved:
        try:
            content = json.loads(self.path.read_bytes())
            if content.pop("checksum") != _checksum(content):
                raise ValueError("its checksum is another")
            found = content.pop("format")
            saved = Saved(**{name.name: content.pop(name.name) for name in fields(Saved)})
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
            raise self._damaged(error) from None
        if found != FORMAT:
            raise ValueError(
                f"{self.path} is a {found!r}, and this version of labelnext reads {FORMAT!r}; "
                f"{ADVICE}."
            )
        for name, what in (
            ("pool", f"of another pool, of one that has changed, or was opened in {OTHER_WAYS}"),
            ("exclude", "of a selection with other excluded rows"),
            ("centres", "of a selection with other labelled rows as centres"),
            ("groups", "of a selection with other groups, or another max_per_group"),
            ("random_state", "of a selection with another random_state"),
        ):
            if content.get(name) != self._identity[name]:
                raise ValueError(f"{self.path} is the checkpoint {what}; {ADVICE}.")
        return saved

    def _check(self, saved: Saved, n_rows: int, taken: set[int], rng: np.random.Generator) -> None:
        """Refuse what no selection writes: a file may have been sent by anybody."""
        rows, n = saved.rows, len(saved.rows) if isinstance(saved.rows, list) else -1
        right = {
            "rows": n >= 0
            and all(_is_count(row) and row < n_rows for row in rows)
            and len({*rows}) == n
            and taken.isdisjoint(rows),
            "d2": _are_sizes(saved.d2, n),
            "potentials": _are_sizes(saved.potentials, n),
            "n_full": _is_count(saved.n_full) and saved.n_full <= n,
            "stats": not n or _are_counters(saved.stats),
            "stats_full": not saved.n_full or _are_counters(saved.stats_full),
            "random": _is_state_for(saved.random, rng),
        }
        for name, good in right.items():
            if not good:
                raise self._damaged(f"its {name} is none of a selection from this pool")


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 1 << 63


def _are_counters(stats: Any) -> bool:
    named = isinstance(stats, dict) and stats.keys() == {*COUNTERS}
    return named and all(map(_is_count, stats.values()))


def _are_sizes(values: Any, n: int) -> bool:
    return (
        isinstance(values, list)
        and len(values) == n
        and all(type(value) in (int, float) and 0 <= value <= LARGEST for value in values)
    )


def _is_state_for(state: Any, rng: np.random.Generator) -> bool:
    try:
        copy.deepcopy(rng).bit_generator.state = state
    except (ValueError, LookupError, TypeError, OverflowError, AttributeError):
        return False
    return isinstance(state, dict)


def state_of(rng: np.random.Generator) -> dict[str, Any]:
    """Return the state of a generator in plain Python numbers, lists and dicts."""
    return _plain(rng.bit_generator.state)  # type: ignore[no-any-return]


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value


def _digest(rows: NDArray[np.int64]) -> str:
    return hashlib.sha256(np.ascontiguousarray(rows, dtype=np.int64).tobytes()).hexdigest()


def _checksum(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
