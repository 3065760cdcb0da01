"""``labelnext convert``: make a pool folder of files in any format that is known."""

import os
from typing import Annotated, Any

import typer

from labelnext.cli._errors import InputError, input_errors, keep_apart
from labelnext.cli._pool import (
    FILES,
    INPUT,
    POOL,
    Option,
    open_files,
    refuse_values,
    with_options,
)
from labelnext.cli._terminal import counting, say, say_written, terminal
from labelnext.utils.text import counted, counted_of

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
# Bytes of a shard: a few seconds of a disk, and nothing beside the memory of any machine.
SHARD = 128 << 20


OPTIONS: dict[str, tuple[Option, ...]] = {
    INPUT: POOL,
    "How to write it": (
        ("--rows-per-shard", "N", int, "Rows that are written at once; by default some 128 MB."),
        ("--resume", "", bool, "Go on where it was cut off.", {"default": False}),
        (
            *("--force", "", bool, "Replace a pool that is in the folder, when this is whole."),
            {"default": False},
        ),
    ),
}


@with_options(OPTIONS)
def convert(
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE... OUT",
            show_default=False,
            help="What to convert, and the folder to make.",
        ),
    ],
    **options: Any,
) -> None:
    """Make a pool folder of files in any format that is known."""
    from labelnext.pools import write_in_shards

    rows, resume, force = (options[name] for name in ("rows_per_shard", "resume", "force"))
    if rows is not None and rows < 1:
        raise InputError(f"--rows-per-shard {rows}: there must be at least one")
    if resume and force:
        raise InputError("--resume goes on with a pool and --force replaces it; give one of them")
    refuse_values(paths)
    *sources, out = paths
    keep_apart({"OUT": out}, [*sources, *(options[name] for name in FILES)])
    if len(sources) > 3 or not (sources or options["proba"] or options["features"]):
        raise InputError(
            "convert takes what to convert and the folder to make, or two or three .npy files and "
            f"the folder, got {len(paths)} path{'s' * (len(paths) > 1)}: {' '.join(paths)}"
        )
    if len(sources) > 1:
        parts = dict(zip(("proba", "features", "ids"), sources, strict=False))
        if any(options[name] is not None for name in parts):
            raise InputError(
                f"{' '.join(sources)}: these are probabilities, features and maybe ids; leave out "
                "--proba, --features and, with three of them, --ids"
            )
        options |= parts
    alone = sources[0] if len(sources) == 1 else None
    pool = open_files(alone, options, in_order=sources if len(sources) > 1 else ())
    rows = rows or max(1, SHARD // pool.source.row_bytes)
    settings = {
        "by": "labelnext convert",
        "source": pool.fingerprint(),
        "rows_per_shard": rows,
    }
    n_shards = -(-len(pool) // rows)
    done = 0
    console = terminal()
    try:
        with input_errors(), counting(console, "Converting") as show:

            def progress(n_rows: int, total: int) -> None:
                nonlocal done
                done = n_rows
                show(n_rows, total)

            write_in_shards(
                out,
                pool,
                rows,
                settings=settings,
                checked=True,
                keep=True,
                resume=resume,
                overwrite=force,
                progress=progress,
            )
    except KeyboardInterrupt:
        left = (
            "what was there is as it was"
            if force
            else f"{counted_of(done // rows, n_shards, 'shard')} written; go on with --resume"
        )
        say(f"interrupted: {left}")
        raise typer.Exit(130) from None
    say_written(
        console, f"{os.fspath(out)} ({counted(len(pool), 'row')} in {counted(n_shards, 'shard')})"
    )
