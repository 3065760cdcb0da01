"""``labelnext select``: choose a batch from files."""

import os
import sys
import warnings
from collections.abc import Callable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from labelnext.cli._errors import InputError, one_line
from labelnext.cli._files_pool import FilesPool, lies_in_files, open_pool_files
from labelnext.cli._pool import Pool, find_ids, read_pool
from labelnext.cli._sources import ID_SUFFIXES, parse_pool, parse_source
from labelnext.cli._summary import batch_table, choosing, terminal, working
from labelnext.cli._write import PICTURES, TABLES, check_folder, check_output, write_whole
from labelnext.pools.names import FEATURES, IDS, PROBA
from labelnext.utils.csv import as_csv

if TYPE_CHECKING:
    from labelnext.sampling import Batch

SELECT_HELP = (
    "Choose the samples that people should label next, with BADGE.\n\n"
    "The batch lists rank, row, id, pseudo_label, gradient_norm, d2 and potential (what is left "
    "to cover after this pick), in order: its first 50 are the batch for -k 50.\n\n"
    "A SOURCE is a file (.npy, .npz, .parquet), an array or column in one ([cyan]FILE:NAME[/]) "
    "or, with POOL, the name of one of its columns. A column holds a list for each sample, or "
    "is several columns NAME_0, NAME_1, ...\n\n"
    "[bold]Examples[/]\n\n"
    "[green]labelnext select pool.parquet -k 200 -o batch.csv --plot batch.png[/]\n\n"
    "[green]labelnext select -p probs.npy -f emb.npy --ids ids.txt -k 200 -o batch.csv[/]\n\n"
    "[green]labelnext select pool.parquet -x batch.csv -k 200 -o batch-2.csv[/]\n\n"
    "[green]labelnext select pool/ --memory-limit 1GB -k 200 -o batch.csv[/]"
)
INPUT, CHOICE, OUTPUT = "What to choose from", "What to choose", "Where to put it"
PLACE = "Where to work"


class Engine(StrEnum):
    """Where the work is done."""

    LOCAL = "local"
    RAY = "ray"


def select(
    *,
    pool: Annotated[
        str | None,
        typer.Argument(
            metavar="POOL",
            show_default=False,
            help="One .parquet or .npz file with the columns [bold]proba[/], [bold]embedding[/] "
            "and, if you like, [bold]id[/]. Or a folder: of Parquet files, a Zarr group, or what "
            "[bold]labelnext convert[/] and [bold]labelnext.extract[/] write.",
        ),
    ] = None,
    proba: Annotated[
        str | None,
        typer.Option(
            "--proba",
            "-p",
            metavar="SOURCE",
            rich_help_panel=INPUT,
            help="Predicted probabilities: a row for each sample, a column for each class "
            "(or P(class 1) alone).",
        ),
    ] = None,
    features: Annotated[
        str | None,
        typer.Option(
            "--features",
            "-f",
            metavar="SOURCE",
            rich_help_panel=INPUT,
            help="Features: what the model's last linear layer sees, the embedding.",
        ),
    ] = None,
    ids: Annotated[
        str | None,
        typer.Option(
            "--ids",
            metavar="SOURCE",
            rich_help_panel=INPUT,
            help="The samples' ids; also .txt (one on each line), .csv or .json. "
            "Without, the number of the row is the id.",
        ),
    ] = None,
    exclude: Annotated[
        list[str] | None,
        typer.Option(
            "--exclude",
            "-x",
            metavar="SOURCE",
            rich_help_panel=INPUT,
            help="Ids that are labelled already, as a file like those for --ids: an earlier "
            "batch will do. Repeat it for several.",
        ),
    ] = None,
    memory_limit: Annotated[
        str | None,
        typer.Option(
            "--memory-limit",
            metavar="SIZE",
            show_default=False,
            rich_help_panel=INPUT,
            help="Read the files as they are needed, and take no more memory than this (1GB, "
            "500MiB, ...). Without, half of what is free for folders and what is larger than "
            "that; smaller files are read into memory. The batch is the same.",
        ),
    ] = None,
    k: Annotated[
        int,
        typer.Option("-k", metavar="N", rich_help_panel=CHOICE, help="How many samples to choose."),
    ],
    seed: Annotated[
        int,
        typer.Option(
            "--seed",
            metavar="N",
            rich_help_panel=CHOICE,
            help="The same seed chooses the same batch.",
        ),
    ] = 0,
    bias: Annotated[
        bool,
        typer.Option(
            "--bias",
            rich_help_panel=CHOICE,
            help="Count the gradient of the last layer's bias too.",
        ),
    ] = False,
    engine: Annotated[
        Engine,
        typer.Option(
            "--engine",
            rich_help_panel=PLACE,
            help="In this process, or in shards on a Ray cluster (extra [bold]ray[/]): the same "
            "batch.",
        ),
    ] = Engine.LOCAL,
    address: Annotated[
        str | None,
        typer.Option(
            "--address",
            metavar="HOST:PORT",
            show_default=False,
            rich_help_panel=PLACE,
            help="The head of the Ray cluster; [bold]auto[/], that of this machine; "
            "[bold]local[/], a new one. Without, one that runs, else a new one.",
        ),
    ] = None,
    num_shards: Annotated[
        int | None,
        typer.Option(
            "--num-shards",
            metavar="N",
            show_default=False,
            rich_help_panel=PLACE,
            help="Into how many shards to cut the pool. Without, as many as there is room for.",
        ),
    ] = None,
    num_cpus: Annotated[
        float | None,
        typer.Option(
            "--num-cpus",
            metavar="N",
            show_default=False,
            rich_help_panel=PLACE,
            help="Cores for each shard. Without, 1.",
        ),
    ] = None,
    num_gpus: Annotated[
        float | None,
        typer.Option(
            "--num-gpus",
            metavar="N",
            show_default=False,
            rich_help_panel=PLACE,
            help="GPUs for each shard. Without, none.",
        ),
    ] = None,
    timeout: Annotated[
        float | None,
        typer.Option(
            "--timeout",
            metavar="SECONDS",
            show_default=False,
            rich_help_panel=PLACE,
            help="A shard that has not answered by then counts as lost, and is built again. "
            "Without, 600.",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            rich_help_panel=OUTPUT,
            help="The batch, as .csv, .json or .parquet. Without, CSV to standard output.",
        ),
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(
            "--plot",
            metavar="FILE",
            rich_help_panel=OUTPUT,
            help="A picture of it, as .png, .pdf or .svg: the picks in the pool, and how many "
            "of them are worth it.",
        ),
    ] = None,
    checkpoint: Annotated[
        Path | None,
        typer.Option(
            "--checkpoint",
            metavar="FILE",
            rich_help_panel=OUTPUT,
            help="Keep this file up to date: if the run is cut off, the same command goes on from "
            "there, to the same batch.",
        ),
    ] = None,
    force: Annotated[
        bool,
        typer.Option("--force", rich_help_panel=OUTPUT, help="Replace files that exist."),
    ] = False,
) -> None:
    """Choose the samples that people should label next, with BADGE."""
    for path, option, endings in (
        (output, "--output", tuple(TABLES)),
        (plot, "--plot", PICTURES),
    ):
        if path is not None:
            check_output(path, option, endings, force=force)
    if k < 1:
        raise InputError(f"-k {k}: choose at least one sample")
    if seed < 0:
        raise InputError(f"--seed {seed}: a seed is 0 or more")
    if checkpoint is not None:
        check_folder(checkpoint.parent, f"--checkpoint {checkpoint}")
    console = terminal()
    with working(console, "Reading the pool ..."):
        data = _open(pool, proba, features, ids, exclude or [], memory_limit)
    if k > data.n_left:
        raise InputError(
            f"-k {k}: only {data.n_left:,} samples are left to choose from ({data.n_rows:,} in "
            f"the pool, {len(data.excluded):,} excluded); ask for at most {data.n_left}"
            if data.n_left
            else f"-k {k}: all {data.n_rows:,} samples of the pool are excluded; nothing is left"
        )
    with choosing(console, k) as progress:
        place = {
            "engine": engine.value,
            "address": address,
            "num_shards": num_shards,
            "num_cpus": num_cpus,
            "num_gpus": num_gpus,
            "timeout": timeout,
        }
        batch = _choose(
            data, k, bias=bias, seed=seed, progress=progress, checkpoint=checkpoint, place=place
        )
    columns = _columns(batch.to_dict(), data)
    if output is not None:
        write_whole(output, TABLES[output.suffix.lower()](columns), force=force)
    else:
        sys.stdout.write(as_csv(columns).decode())
        sys.stdout.flush()
    if plot is not None:
        with working(console, "Drawing ..."):
            write_whole(plot, _picture(data, batch, plot.suffix.lower()), force=force)
    if console.is_terminal:
        if output is not None or not sys.stdout.isatty():
            console.print(batch_table(columns, data.n_left))
        for path in filter(None, (output, plot)):
            console.print(f"Written: {os.fspath(path)}", highlight=False, soft_wrap=True)


def _open(
    pool: str | None,
    proba: str | None,
    features: str | None,
    ids: str | None,
    exclude: list[str],
    limit: str | None,
) -> Pool | FilesPool:
    """Read the pool, or find out what is in its files."""
    excluded = [parse_source(x, "--exclude", usual=IDS, suffixes=ID_SUFFIXES) for x in exclude]
    if lies_in_files(pool, proba, features, limit):
        return open_pool_files(pool, proba, features, ids, excluded, limit)
    file = parse_pool(pool)
    return read_pool(
        parse_source(proba, "--proba", usual=PROBA, pool=file),
        parse_source(features, "--features", usual=FEATURES, pool=file),
        find_ids(ids, file),
        excluded,
    )


def _choose(
    data: Pool | FilesPool,
    k: int,
    *,
    bias: bool,
    seed: int,
    progress: Callable[[Mapping[str, int]], None],
    checkpoint: Path | None,
    place: Mapping[str, Any],
) -> "Batch":
    """Choose a batch, with errors and warnings as one line each."""
    from labelnext.engine.ray import ShardLostError
    from labelnext.sampling import select as choose

    more = dict(place)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        try:
            pool: Any
            if place["engine"] == "ray" and isinstance(data, FilesPool):
                # Its shards read the files by themselves.
                pool = data.source
                more |= {"bias": bias, "memory_limit": data.limit}
            else:
                pool = data.gradients(bias=bias)
            batch = choose(
                pool,
                k,
                exclude=data.excluded,
                random_state=seed,
                progress=progress,
                checkpoint=checkpoint,
                **more,
            )
        except (ValueError, TypeError, ImportError, OSError, ShardLostError) as error:
            raise InputError(one_line(error)) from None
    for message in dict.fromkeys(one_line(warning.message) for warning in caught):
        print(f"labelnext: warning: {message}", file=sys.stderr)
    return batch


def _columns(batch: dict[str, Any], data: Pool | FilesPool) -> dict[str, list[Any]]:
    """Put the ids beside the rows, and everything in plain Python numbers."""
    columns = {name: values.tolist() for name, values in batch.items()}
    ids = data.names(columns["row"])
    order = ("rank", "row", "id", "pseudo_label", "gradient_norm", "d2", "potential")
    return {name: ids if name == "id" else columns[name] for name in order}


def _picture(data: Pool | FilesPool, batch: "Batch", suffix: str) -> bytes:
    """Draw the batch, as the bytes of a file."""
    import io

    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from labelnext.visualization import plot_batch

    figure = Figure(figsize=(13, 6.5), layout="constrained")
    FigureCanvasAgg(figure)
    plot_batch(data.features, batch, exclude=data.excluded, figure=figure)
    content = io.BytesIO()
    figure.savefig(content, format=suffix[1:], dpi=150)
    return content.getvalue()
