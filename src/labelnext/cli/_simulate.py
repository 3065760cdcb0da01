"""``labelnext simulate``: compare query strategies on data whose labels are known."""

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from labelnext.cli._errors import (
    InputError,
    check_output,
    input_errors,
    make_folder,
    write,
)
from labelnext.cli._terminal import answer, counting, tell, terminal
from labelnext.utils.text import counted, one_line, printable

if TYPE_CHECKING:
    from labelnext.experiment import Experiment, Results

SIMULATE_HELP = (
    "Compare query strategies on data whose labels are known.\n\n"
    "Runs the experiment of a TOML file on all cores, and writes report.html, tables (.csv) and "
    "pictures (.png). Every finished round is kept in results.sqlite at once: stopped at any "
    "moment, the same command goes on from there. Changed settings never mix with old results.\n\n"
    "[bold]Examples[/]\n\n"
    "[green]labelnext simulate experiment.toml --example[/]\n\n"
    "[green]labelnext simulate experiment.toml --out results[/]"
)
STORE = "results.sqlite"


def simulate(
    *,
    file: Annotated[
        Path, typer.Argument(metavar="EXPERIMENT", show_default=False, help="The TOML file.")
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="FOLDER", help="Where to put the results.")
    ] = Path("labelnext-results"),
    example: Annotated[
        bool,
        typer.Option("--example", help="Write a TOML file to start from, and run nothing."),
    ] = False,
    jobs: Annotated[
        int | None,
        typer.Option("--jobs", metavar="N", help="How many processes; all cores by default."),
    ] = None,
    allow_imports: Annotated[
        bool,
        typer.Option(
            "--allow-imports",
            help="Let the file name strategies, models and data of your own, as module:name, and "
            "run their code. Look into a file that you were sent before you do.",
        ),
    ] = False,
) -> None:
    """Compare query strategies on data whose labels are known."""
    if example:
        from labelnext.experiment.toml import EXAMPLE

        check_output(file, "EXPERIMENT", (".toml",), force=None)
        write(file, EXAMPLE.format(name=file.name).encode(), force=None)
        typer.echo(printable(f"Written: {os.fspath(file)}"))
        return
    if jobs is not None and jobs < 1:
        raise InputError(f"--jobs {jobs}: there must be at least one process")
    experiment = _read(file, allow_imports=allow_imports)
    make_folder(out)
    _check(out)
    start = time.perf_counter()
    results = _run(experiment, out, jobs)
    with input_errors():
        files = results.write_report(out)
    _print(results, files, time.perf_counter() - start)
    if len(results.failures) == len(results.rounds):
        raise typer.Exit(1)


def _check(out: Path) -> None:
    """Refuse a folder in which something that is not ours has a name of ours, before the work."""
    from labelnext.experiment.outputs import REPORT, Outputs

    if (out / STORE).is_symlink():
        raise InputError(f"--out {out}: {STORE} is a link; name the folder that it leads to")
    with input_errors():
        Outputs(out, "report").check(REPORT)


def _read(file: Path, *, allow_imports: bool) -> "Experiment":
    from labelnext.experiment import read_experiment

    if allow_imports:
        # As from a script there; after all else, so that no name hides an installed package's.
        sys.path.append(os.getcwd())
    try:
        return read_experiment(file, allow_imports=allow_imports)
    except FileNotFoundError:
        raise InputError(
            f"there is no file {file}; add --example to write one to start from"
        ) from None
    except (OSError, ValueError) as error:
        raise InputError(one_line(error).replace("allow_imports=True", "--allow-imports")) from None


def _run(experiment: "Experiment", out: Path, jobs: int | None) -> "Results":
    from labelnext.experiment import ResultsFileError

    try:
        with input_errors(), counting(terminal(), "Simulating") as progress:
            return experiment.run(out / STORE, n_jobs=jobs, progress=progress)
    except KeyboardInterrupt:
        typer.echo("Stopped. The same command goes on from here.", err=True)
        raise
    except ResultsFileError as error:
        raise InputError(one_line(error)) from None


def _print(results: "Results", files: list[Path], seconds: float) -> None:
    """Print the answer on standard output."""
    from rich.console import Console

    console = Console()
    caption = (
        "Accuracy is averaged over the learning curves. A strategy was beaten where a paired "
        f"t-test says so, by each other one in {counted(len(results.budgets), 'setting')} at most. "
        "The report has the intervals and tests."
    )
    # On 80 columns there is no room for all that the report has.
    shown = {
        name: [f"{each:.3g}" if isinstance(each, float) else each for each in column]
        for name, column in results.tables()["summary"].items()
        if name not in ("beat others", "runs", "failed")
    }
    console.print(answer("Over all settings", caption, shown))
    if results.failures:
        first = results.failures[0]
        left = len(results.rounds) - len(results.failures)
        tell(
            console,
            f"{len(results.failures)} of {counted(len(results.rounds), 'run')} failed"
            f"{', and are left out' if left else ''}. "
            f"The first: {first.strategy} in {first.setting}, seed {first.seed}: {first.error}",
        )
    tell(console, f"Written: {os.fspath(files[0])}")
    tell(console, f"{seconds:.0f} seconds.")
