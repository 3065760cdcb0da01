"""``labelnext select``: choose a batch from files."""

import json
import os
import sys
import warnings
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from labelnext.cli._errors import (
    PICTURES,
    InputError,
    check_file,
    check_output,
    input_errors,
    keep_apart,
    write,
)
from labelnext.cli._pool import (
    FILES,
    INPUT,
    POOL,
    Option,
    excluded_rows,
    open_files,
    with_options,
)
from labelnext.cli._terminal import (
    batch_table,
    choosing,
    say,
    say_written,
    terminal,
    to_stdout,
    working,
)
from labelnext.utils.text import counted, one_line

if TYPE_CHECKING:
    from labelnext import Batch, Pool

SELECT_HELP = (
    "Choose the samples that people should label next.\n\n"
    "POOL is a .parquet or .npz file, a folder (of [bold]labelnext convert[/], of Parquet or .npy "
    "files, a Zarr group), or one .npy file with features. Its columns or arrays are found under "
    "the names proba, embedding and id. A SOURCE is another name there, another file, or "
    "[cyan]FILE:NAME[/]; a column holds a list for each sample, or is several, NAME_0, NAME_1, "
    "...\n\n"
    "The batch is in the order of the picks; by BADGE its first 50 are the batch for -k 50.\n\n"
    "[bold]Examples[/]\n\n"
    "[green]labelnext select pool.parquet -k 200 -o batch.csv --plot batch.png[/]\n\n"
    "[green]labelnext select -p probs.npy -f emb.npy --ids ids.txt -k 200 -o batch.csv[/]\n\n"
    "[green]labelnext select pool.parquet -x batch.csv -k 200 -o batch-2.csv[/]\n\n"
    "[green]labelnext select emb.npy -k 50 --strategy typi-clust[/]   (without a model)"
)


def _strategy_names() -> list[str]:
    from labelnext.strategies import names

    return names()


class Engine(StrEnum):
    """Where the work is done."""

    LOCAL = "local"
    RAY = "ray"


OPTIONS: dict[str, tuple[Option, ...]] = {
    INPUT: (
        *POOL,
        (
            *("--exclude -x", "SOURCE", list[str]),
            "Ids not to choose, as an earlier batch has them, or rows from 0 on as FILE:row. "
            "Repeat it for several.",
        ),
    ),
    "What to choose": (
        ("-k", "N", int, "How many samples to choose.", {"default": ...}),
        (
            *("--strategy", "NAME", str, "How: one of [bold]labelnext strategies[/]."),
            {"default": "badge", "autocompletion": _strategy_names},
        ),
        ("--seed", "N", int, "The same seed chooses the same batch.", {"default": 0}),
        ("--max-per-group", "N", int, "How many picks a group may have."),
        (
            *("--condition-on-labeled", "", bool, "Keep away from labelled samples (BADGE)."),
            {"default": False},
        ),
    ),
    "Where to work": (
        (
            *("--engine", None, Engine, "In this process, or on a Ray cluster (BADGE)."),
            {"default": Engine.LOCAL},
        ),
        (
            *("--address", "HOST:PORT", str),
            "The head of the Ray cluster; [bold]auto[/], that of this machine; [bold]local[/], a "
            "new one. Without, one that runs, else a new one.",
        ),
        ("--num-shards", "N", int, "How many shards, else as many as there is room for."),
        ("--num-cpus", "N", float, "Cores for each shard, else 1."),
        ("--num-gpus", "N", float, "GPUs for each shard, else none."),
        ("--timeout", "SECONDS", float, "When a shard that does not answer is lost, else 600."),
        (
            *("--memory-limit", "SIZE", str),
            "Memory for what is read of files, of a shard on a cluster: 1GB, 500MiB, ... Without, "
            "half of what is free.",
        ),
        (
            *("--checkpoint", "FILE", Path),
            "Kept up to date, so that the same command goes on where it was cut off (BADGE).",
        ),
    ),
    "Where to put it": (
        (
            *("--output -o", "FILE", Path),
            "The batch, as .csv, .json, .jsonl or .parquet. Without, CSV to standard output.",
        ),
        ("--plot", "FILE", Path, "A picture of it, as .png, .pdf or .svg."),
        (
            *("--report", "FILE", Path),
            "A page to look at it, .html: the map of the pool, what each pick looks like, the "
            "table. It needs no network.",
        ),
        (
            *("--samples", "SOURCE", str),
            "What the report shows of each pick: a .csv, .tsv, .parquet or .jsonl with a column "
            "id or a row for each sample in the order of the pool (texts, paths of pictures), a "
            ".txt with a text on each line, or a folder with pictures named by ids.",
        ),
        ("--force", "", bool, "Replace files that exist.", {"default": False}),
    ),
}
STRATEGIES_HELP = (
    "List the strategies that --strategy takes, what each needs of a pool, and its paper."
)
CLUSTER = ("address", "num_shards", "num_cpus", "num_gpus", "timeout")


@with_options(OPTIONS)
def select(
    pool: Annotated[
        str | None,
        typer.Argument(
            metavar="POOL", show_default=False, help="A file or a folder, or s3://... and the like."
        ),
    ] = None,
    **options: Any,
) -> None:
    """Choose the samples that people should label next."""
    from labelnext.sampling import FORMATS, file_of

    asked = SimpleNamespace(**options)
    output, plot, report, k = asked.output, asked.plot, asked.report, asked.k
    endings = {"--output": FORMATS, "--plot": PICTURES, "--report": (".html",)}
    outputs = {"--output": output, "--plot": plot, "--report": report}
    for option, path in outputs.items():
        if path is not None:
            check_output(path, option, endings[option], force=asked.force)
    _check_asked(asked)
    if asked.checkpoint is not None:
        check_file(asked.checkpoint, f"--checkpoint {asked.checkpoint}")
    keep_apart(
        {**outputs, "--checkpoint": asked.checkpoint},
        [pool, *(options[name] for name in FILES), *(asked.exclude or []), asked.samples],
    )
    for_badge = {
        "--checkpoint": asked.checkpoint is not None,
        "--engine ray": asked.engine is Engine.RAY,
        "--condition-on-labeled": asked.condition_on_labeled,
        "--bias": asked.bias is True,
    }
    by_badge = _check_strategy(asked.strategy, [name for name, given in for_badge.items() if given])
    cluster = _cluster(asked.engine, **{name: options[name] for name in CLUSTER})
    console = terminal()
    with working(console, "Looking at the pool ..."):
        data = open_files(pool, options)
        _check_fit(data, asked)
        excluded = excluded_rows(data, asked.exclude or [])
        n_left = _count_left(data, excluded, k)
    show = (
        choosing(console, k) if by_badge else working(console, f"Choosing by {asked.strategy} ...")
    )
    with show as progress:
        batch = _choose(
            data,
            k,
            strategy="badge" if by_badge else asked.strategy,
            exclude=excluded,
            random_state=asked.seed,
            progress=progress,
            cluster=cluster,
            **{
                name: options[name]
                for name in ("max_per_group", "condition_on_labeled", "checkpoint", "memory_limit")
            },
        )
    if output is not None:
        with input_errors():
            batch.save(output, overwrite=asked.force)
    else:
        to_stdout(file_of(batch.to_lists(), ".csv"))
    if plot is not None:
        with working(console, "Drawing ..."):
            write(plot, _picture(data, batch, excluded, plot), force=asked.force)
    if report is not None:
        with working(console, "Writing the report ..."):
            _report(data, batch, excluded, report, samples=asked.samples, force=asked.force)
    if console.is_terminal:
        if output is not None or not sys.stdout.isatty():
            console.print(batch_table(batch.to_lists(), n_left))
        for path in filter(None, outputs.values()):
            say_written(console, os.fspath(path))


def _check_asked(asked: SimpleNamespace) -> None:
    """Refuse what cannot be meant."""
    if asked.k < 1:
        raise InputError(f"-k {asked.k}: choose at least one sample")
    if asked.seed < 0:
        raise InputError(f"--seed {asked.seed}: a seed is 0 or more")
    if asked.report is None and asked.samples is not None:
        raise InputError("--samples is for the report; add --report batch.html, or leave it out")


def _check_strategy(name: str, for_badge: list[str]) -> bool:
    """Tell whether a strategy is BADGE; refuse one that there is not, and what it does not take."""
    if name == "badge":  # without importing them
        return True
    from labelnext.strategies import find

    with input_errors():
        if find(name) is find("badge"):
            return True
    if for_badge:
        raise InputError(
            f"{for_badge[0]} is for BADGE alone; leave it out, or leave out --strategy {name}"
        )
    return False


def _cluster(engine: Engine, **options: Any) -> Any:
    """Return the cluster to work on, None for this process."""
    from labelnext import Ray

    given = {name: value for name, value in options.items() if value is not None}
    if engine is Engine.RAY:
        with input_errors():
            return Ray(**given)
    if given:
        name = "--" + next(iter(given)).replace("_", "-")
        raise InputError(f"{name} is for a Ray cluster; add --engine ray, or leave it out")
    return None


def _check_fit(data: "Pool", asked: SimpleNamespace) -> None:
    """Refuse options that have nothing to work on."""
    if asked.memory_limit is not None and data.source.in_memory:
        raise InputError(
            f"--memory-limit: {data.source.name} is read into memory as a whole; leave it out, or "
            "make a folder of the pool with `labelnext convert`"
        )
    if asked.plot is not None and data.n_features is None:
        raise InputError("--plot draws the pool by its features; give --features, or leave it out")
    if asked.condition_on_labeled and "labels" not in data.known:
        raise InputError("--condition-on-labeled: the pool has no labels; give --labels SOURCE")
    if asked.samples is not None:
        from labelnext.sampling.report import check_samples

        with input_errors():
            check_samples(data, asked.samples)


def _count_left(data: "Pool", excluded: Any, k: int) -> int:
    """Count the candidates, and refuse a k above them."""
    import numpy as np

    with input_errors():  # labels in files are read here
        labelled = np.setdiff1d(data.labeled, excluded)
    left = data.n_rows - len(excluded) - len(labelled)
    taken = f"{len(excluded):,} excluded"
    if len(labelled):
        taken += f", {len(labelled):,} labelled"
    if not left:
        raise InputError(
            f"-k {k}: nothing is left to choose from ({data.n_rows:,} in the pool, {taken})"
        )
    if k > left:
        raise InputError(
            f"-k {k}: only {counted(left, 'sample is', 'samples are')} left to choose from "
            f"({data.n_rows:,} in the pool, {taken}); ask for at most {left}"
        )
    return left


def _choose(data: "Pool", k: int, **options: Any) -> "Batch":
    """Choose a batch, with errors and warnings as one line each."""
    import labelnext

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        with input_errors():
            batch = labelnext.select(data, k, **options)
    for message in dict.fromkeys(one_line(warning.message) for warning in caught):
        say(f"warning: {message}")
    # Where there are no ids, rows are what the next round excludes.
    return replace(batch, ids=batch.indices) if batch.ids is None else batch


def _picture(data: "Pool", batch: "Batch", excluded: Any, path: Path) -> bytes:
    """Draw the batch, which is written by now, as the bytes of a file."""
    import numpy as np
    from matplotlib.figure import Figure

    from labelnext.visualization import plot_batch
    from labelnext.visualization.figures import picture

    figure = Figure(figsize=(13, 6.5), layout="constrained")
    taken = np.union1d(excluded, data.labeled)
    try:
        with input_errors():  # a strategy may not have looked at the features
            plot_batch(data.features, batch, exclude=taken, figure=figure)
            return picture(figure, path.suffix.lower()[1:])
    except InputError as error:
        raise InputError(f"--plot {path}: the batch is written, but not drawn: {error}") from None


def _report(
    data: "Pool", batch: "Batch", excluded: Any, path: Path, *, samples: str | None, force: bool
) -> None:
    """Write the page of the batch, which is written by now."""
    try:
        with input_errors():
            batch.report(path, pool=data, samples=samples, exclude=excluded, overwrite=force)
    except InputError as error:
        raise InputError(f"--report {path}: the batch is written, but no report: {error}") from None


def strategies(
    *,
    as_json: Annotated[bool, typer.Option("--json", metavar="", help="As JSON.")] = False,
) -> None:
    """List the strategies that there are to choose by."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    from labelnext.strategies import about

    if as_json:
        records = [each._asdict() for each in about()]
        typer.echo(json.dumps(records, ensure_ascii=False, indent=1))
        return
    rows = [(a.name, ", ".join(a.needs) or "nothing", a.summary, a.paper) for a in about()]
    console = Console()
    if not console.is_terminal:
        widths = [max(len(row[column]) for row in rows) for column in range(3)]
        for *first, last in rows:
            line = "  ".join(text.ljust(width) for text, width in zip(first, widths, strict=True))
            typer.echo(f"{line}  {last}".rstrip())
        return
    table = Table(box=SIMPLE_HEAD)
    table.add_column("name", no_wrap=True, style="bold")
    table.add_column("needs", max_width=15)
    table.add_column("what it does, and its paper")
    for name, needs, summary, paper in rows:
        table.add_row(name, needs, f"{summary}\n[dim]{paper}[/]" if paper else summary)
    console.print(table)
