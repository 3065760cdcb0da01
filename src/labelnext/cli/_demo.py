"""``labelnext demo``: how many labels BADGE saves on handwritten digits."""

import io
import os
import threading
import time
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from labelnext.cli._errors import InputError, input_errors, make_folder
from labelnext.cli._terminal import answer, counting, tell, terminal
from labelnext.utils.text import as_csv

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from labelnext.experiment import Curves

DEMO_HELP = (
    "See on handwritten digits how many labels BADGE saves.\n\n"
    "Runs BADGE, margin and random sampling over the same seeds and prints how many labels each "
    "needed for 90 % and 95 % accuracy. Writes learning-curves.png, results.csv and batches.gif, "
    "in place of those of an earlier demo only. Takes about a minute on two cores."
)
CURVES, TABLE, FILM = "learning-curves.png", "results.csv", "batches.gif"


def demo(
    out: Annotated[
        Path, typer.Option("--out", metavar="FOLDER", help="Where to put the three files.")
    ] = Path("labelnext-demo"),
    seeds: Annotated[
        int, typer.Option("--seeds", metavar="N", help="How many seeds to average over.")
    ] = 20,
    jobs: Annotated[
        int | None,
        typer.Option("--jobs", metavar="N", help="How many processes; all cores by default."),
    ] = None,
) -> None:
    """See on handwritten digits how many labels BADGE saves."""
    if seeds < 2:
        raise InputError(f"--seeds {seeds}: an interval needs at least two seeds")
    if jobs is not None and jobs < 1:
        raise InputError(f"--jobs {jobs}: there must be at least one process")
    from joblib import cpu_count

    from labelnext.experiment.outputs import Outputs

    outputs = Outputs(out, "demo")
    with input_errors():
        outputs.check((CURVES, TABLE, FILM))
    make_folder(out)
    start = time.perf_counter()
    with input_errors():
        results, film = _run(seeds, jobs or cpu_count(), terminal())
    files = {CURVES: _picture(results), TABLE: as_csv(results.to_dict()), FILM: film}
    with input_errors():
        outputs.write(files)
    _print(results, out, time.perf_counter() - start)


def _run(seeds: int, jobs: int, console: "Console") -> tuple["Curves", bytes]:
    """Compare, and draw the film while other processes do the runs, if there are any."""
    from labelnext.experiment.digits import compare_on_digits

    film: Future[bytes] = Future()
    thread = threading.Thread(target=_draw, args=(film,), daemon=True)
    if jobs > 1:
        thread.start()
    with counting(console, "Labelling digits") as progress:
        results = compare_on_digits(range(seeds), n_jobs=jobs, progress=progress)
        if jobs == 1:
            thread.start()
        return results, film.result()


def _draw(film: "Future[bytes]") -> None:
    from labelnext.experiment.digits import animate_digits

    try:
        file = io.BytesIO()
        animate_digits(file)
        film.set_result(file.getvalue())
    except BaseException as error:
        film.set_exception(error)


def _picture(results: "Curves") -> bytes:
    """Draw the learning curves, as the bytes of a file."""
    import textwrap

    from matplotlib.figure import Figure

    from labelnext.experiment.digits import BATCH, LEVELS, describe
    from labelnext.visualization import plot_learning_curves
    from labelnext.visualization.figures import picture

    figure = Figure(figsize=(9, 6.2), layout="constrained")
    axes = figure.add_subplot()
    plot_learning_curves(results.labels, results.accuracy, levels=LEVELS, axes=axes)
    axes.set_title(
        "Handwritten digits: how many labels for how much accuracy", loc="left", weight="bold"
    )
    axes.set_ylim(bottom=max(axes.get_ylim()[0], 0.7))
    caption = textwrap.fill(
        f"{describe(len(results.seeds))} Arrows: from the labels that BADGE needed for the first "
        f"accuracy at or above a level, in steps of {BATCH}, to those that random choice needed, "
        "means over the seeds.",
        125,
    )
    figure.supxlabel(caption, fontsize=8, color="#6b7280", x=0.02, ha="left")
    return picture(figure)


def _table(results: "Curves") -> "Table":
    from labelnext.experiment.digits import BATCH, LEVELS, describe

    caption = (
        f"{describe(len(results.seeds))} Labels are counted at the first accuracy at or above the "
        f"level, in steps of {BATCH}."
    )
    needed = {f"{100 * level:.0f} %": results.labels_needed(level).values() for level in LEVELS}
    columns = {"strategy": results.accuracy, **needed}
    return answer("Labels needed for an accuracy of", caption, columns)


def _print(results: "Curves", out: Path, seconds: float) -> None:
    """Print the answer on standard output."""
    from rich.console import Console

    console = Console()
    console.print(_table(results))
    for name in (CURVES, TABLE, FILM):
        tell(console, f"Written: {os.fspath(out / name)}")
    tell(console, f"{seconds:.0f} seconds.")
