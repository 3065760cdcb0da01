"""The work: settings and seeds in turn, by processes that share them out by locks on files."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from benchmarks.quality import data, finished
from benchmarks.quality.finished import Run
from benchmarks.quality.models import MODELS
from labelnext.experiment import Experiment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from benchmarks.quality.settings import Place, Settings

ONE_THREAD = dict.fromkeys(
    (
        "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "MKL_NUM_THREADS",
        "LABELNEXT_NUM_THREADS",
    ),
    "1",
)


def run_in_processes(folder: Path, arguments: list[str], jobs: int) -> int:
    """Start processes of one thread each that work until all is done; return the worst exit."""
    command = [sys.executable, "-m", "benchmarks.quality", "work", *arguments]
    workers = [subprocess.Popen(command, env=os.environ | ONE_THREAD) for _ in range(jobs)]
    try:
        return max(worker.wait() for worker in workers)
    except KeyboardInterrupt:
        # At a terminal they have been told already. Every finished round is on disk.
        for worker in workers:
            worker.terminate()
        for worker in workers:
            worker.wait()
        return 130


def work(
    settings: Settings,
    strategies: Mapping[str, Any],
    folder: Path,
    say: Callable[[str], object] = print,
) -> None:
    """Run what is not finished, one setting and seed after the other, until nothing is left.

    A setting that another process is at is passed over, and tried again when the rest is done.
    """
    waiting = list(settings.units())
    while waiting:
        later = []
        for number, (place, seed) in enumerate(waiting):
            wanted = settings.wanted(place, list(strategies))
            chosen = {name: strategies[name] for name in wanted}
            with claim(folder, place) as mine:
                if not mine:
                    later.append((place, seed))
                elif _run_unit(place, seed, chosen, folder, say):
                    # From the first again: what was passed over may be free by now.
                    later += waiting[number + 1 :]
                    break
        else:
            time.sleep(bool(later))
        waiting = later


@contextmanager
def claim(folder: Path, place: Place) -> Iterator[bool]:
    """Keep other processes from a setting; the system lets go if this one dies."""
    path = folder / "locks" / place.name
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True


def _run_unit(
    place: Place,
    seed: int,
    strategies: Mapping[str, Any],
    folder: Path,
    say: Callable[[str], object],
) -> bool:
    """Run the strategies that have not been run; return whether there were any."""
    path, about = finished.path_of(folder, place, seed), finished.told(place)
    runs = finished.read(path, about)
    missing = {name: item for name, item in strategies.items() if name not in runs}
    if not missing:
        return False
    begin = time.perf_counter()
    experiment = Experiment(
        data={place.data.name: data.load(place.data, folder / "data")},
        models={place.model: MODELS[place.model]()},
        strategies=missing,
        budgets=place.budget,
        seeds=[seed],
    )
    store = folder / "rounds" / f"{place.name}.sqlite"
    store.parent.mkdir(parents=True, exist_ok=True)
    results = experiment.run(store, n_jobs=1)
    errors = {failure.strategy: failure.error for failure in results.failures}
    setting = finished.setting_of(place)
    runs |= {
        name: Run(results.rounds[setting, name, seed], errors.get(name, "")) for name in missing
    }
    finished.write(path, runs, about)
    say(
        f"{place.name}, seed {seed}: {len(missing)} strategies in "
        f"{time.perf_counter() - begin:.0f} s"
        + "".join(f"; {name} failed: {error}" for name, error in errors.items())
    )
    return True
