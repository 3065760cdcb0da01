"""``labelnext convert``: make a pool folder of files in any format that is known."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from labelnext.cli._errors import InputError, input_errors
from labelnext.cli._pool import (
    Bias,
    Classes,
    Features,
    Groups,
    Ids,
    Labels,
    Proba,
    TaskOption,
    open_files,
    option,
)
from labelnext.cli._terminal import counting, terminal

if TYPE_CHECKING:
    from labelnext import Pool
    from labelnext.pools import PoolWriter

CONVERT_HELP = (
    "Make a pool folder, the format that is read fastest, of other files.\n\n"
    "SOURCE is what [bold]labelnext select[/] takes, or .npy files with probabilities, features "
    "and, if you like, ids. What is known of the samples goes along. May be larger than memory: "
    "it is written piece by piece. [bold]--resume[/] goes on with what was cut off.\n\n"
    "[bold]Examples[/]\n\n"
    "[green]labelnext convert pool.parquet pool/[/]\n\n"
    "[green]labelnext convert probs.npy emb.npy pool/ --ids ids.txt --groups patients.txt[/]\n\n"
    "[green]labelnext select pool/ -k 200 -o batch.csv[/]"
)
HOW = "How to write it"
# Bytes of a shard: a few seconds of a disk, and nothing beside the memory of any machine.
SHARD = 128 << 20


def convert(
    *,
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE... OUT",
            show_default=False,
            help="What to convert, and the folder to make.",
        ),
    ],
    proba: Proba = None,
    features: Features = None,
    ids: Ids = None,
    groups: Groups = None,
    labels: Labels = None,
    classes: Classes = None,
    task: TaskOption = None,
    bias: Bias = None,
    rows: Annotated[
        int | None,
        option(
            "--rows-per-shard",
            "N",
            HOW,
            "Rows that are written at once; by default some 128 MB.",
        ),
    ] = None,
    resume: Annotated[bool, option("--resume", None, HOW, "Go on where it was cut off.")] = False,
    force: Annotated[
        bool, option("--force", None, HOW, "Delete a pool that is in the folder.")
    ] = False,
) -> None:
    """Make a pool folder of files in any format that is known."""
    if rows is not None and rows < 1:
        raise InputError(f"--rows-per-shard {rows}: there must be at least one")
    if resume and force:
        raise InputError("--resume goes on with a pool and --force deletes it; give one of them")
    *sources, out = paths
    named = [proba, features, ids, groups, labels]
    check_apart([*sources, *filter(None, named)], out)
    if len(sources) > 3 or not (sources or proba or features):
        raise InputError(
            "convert takes what to convert and the folder to make, or two or three .npy files and "
            f"the folder, got {len(paths)} path{'s' * (len(paths) > 1)}: {' '.join(paths)}"
        )
    if len(sources) > 1:
        if proba is not None or features is not None or (ids is not None and len(sources) == 3):
            raise InputError(
                f"{' '.join(sources)}: these are probabilities, features and maybe ids; leave out "
                "--proba, --features and, with three of them, --ids"
            )
        proba, features, ids = [*sources, ids][:3]
    pool = open_files(
        sources[0] if len(sources) == 1 else None,
        proba=proba,
        features=features,
        ids=ids,
        groups=groups,
        labels=labels,
        classes=classes,
        task=task,
        bias=bias,
    )
    rows = rows or max(1, SHARD // pool.source.row_bytes)
    n_shards = -(-len(pool) // rows)
    console = terminal()
    with input_errors():
        writer = _writer(pool, out, rows, resume=resume, force=force)
        try:
            with counting(console, "Converting") as show:
                _copy(pool, writer, rows, show)
            writer.finish(n_shards)
        except KeyboardInterrupt:
            print(
                f"labelnext: interrupted: {len(writer.finished):,} of {n_shards:,} shards are "
                f"written; go on with --resume",
                file=sys.stderr,
            )
            raise typer.Exit(130) from None
        except (TypeError, ValueError):
            if not writer.finished:  # nothing to go on with
                writer.delete()
            raise
    if console.is_terminal:
        text = f"Written: {out} ({len(pool):,} rows in {n_shards:,} shards)"
        console.print(text, highlight=False, soft_wrap=True)


def check_apart(sources: list[str], out: str) -> None:
    """Refuse to write over what is read."""
    if "://" in out:
        return  # which the writer refuses, or knows to be this machine's
    target = Path(out).resolve()
    for source in sources:
        path = Path(source).resolve()
        if path == target or target in path.parents:
            raise InputError(f"OUT {out}: {source} is read from there; choose another folder")


def _writer(pool: "Pool", out: str, rows: int, *, resume: bool, force: bool) -> "PoolWriter":
    from labelnext.pools import PoolWriter

    return PoolWriter(
        out,
        task=pool.task,
        bias=pool.bias,
        classes=pool.classes,
        last_layer=pool.last_layer,
        settings={
            "by": "labelnext convert",
            "source": pool.fingerprint(),
            "rows_per_shard": rows,
        },
        resume=resume,
        overwrite=force,
    )


def _copy(pool: "Pool", writer: "PoolWriter", rows: int, show: Any) -> None:
    """Write the shards that are missing."""
    from labelnext.pools import write_shard

    finished = writer.finished
    for number, lo in enumerate(range(0, len(pool), rows)):
        hi = min(lo + rows, len(pool))
        if number not in finished:
            write_shard(writer, number, pool, lo, hi)
        show(hi, len(pool))
