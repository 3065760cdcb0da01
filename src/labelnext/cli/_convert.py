"""``labelnext convert``: make a pool folder of files in any format that is known."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from labelnext.cli._errors import InputError
from labelnext.cli._files_pool import as_input_errors, open_files
from labelnext.cli._pool import find_ids, read_pool
from labelnext.cli._sources import parse_source
from labelnext.cli._summary import counting, terminal
from labelnext.pools.names import FEATURES, PROBA
from labelnext.pools.place import scheme_of

if TYPE_CHECKING:
    from labelnext.pools import PoolWriter, Source

CONVERT_HELP = (
    "Make a pool folder, the format that is read fastest, of other files.\n\n"
    "SOURCE is a .parquet or .npz file, a folder of Parquet files, a Zarr group, another pool "
    "folder, or .npy files: probabilities, features and, if you like, ids. May be larger than "
    "memory: it is written piece by piece. [bold]--resume[/] goes on with what was cut off.\n\n"
    "[bold]Examples[/]\n\n"
    "[green]labelnext convert pool.parquet pool/[/]\n\n"
    "[green]labelnext convert probs.npy emb.npy ids.npy pool/[/]\n\n"
    "[green]labelnext select pool/ -k 200 -o batch.csv[/]"
)
WHAT, HOW = "What to convert", "How to write it"
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
    proba: Annotated[
        str | None,
        typer.Option(
            "--proba",
            "-p",
            metavar="NAME",
            rich_help_panel=WHAT,
            help="The column or array with the probabilities; by default one with a usual name.",
        ),
    ] = None,
    features: Annotated[
        str | None,
        typer.Option(
            "--features",
            "-f",
            metavar="NAME",
            rich_help_panel=WHAT,
            help="The column or array with the features.",
        ),
    ] = None,
    ids: Annotated[
        str | None,
        typer.Option(
            "--ids",
            metavar="NAME",
            rich_help_panel=WHAT,
            help="The column or array with the ids, or a file: .txt, .csv, .json, .npy.",
        ),
    ] = None,
    bias: Annotated[
        bool,
        typer.Option(
            "--bias",
            rich_help_panel=HOW,
            help="Note that the gradient of the last layer's bias counts too.",
        ),
    ] = False,
    rows: Annotated[
        int | None,
        typer.Option(
            "--rows-per-shard",
            metavar="N",
            show_default=False,
            rich_help_panel=HOW,
            help="Rows that are written at once; by default some 128 MB.",
        ),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option("--resume", rich_help_panel=HOW, help="Go on where it was cut off."),
    ] = False,
    force: Annotated[
        bool,
        typer.Option("--force", rich_help_panel=HOW, help="Delete a pool that is in the folder."),
    ] = False,
) -> None:
    """Make a pool folder of files in any format that is known."""
    if not 2 <= len(paths) <= 4:
        raise InputError(
            f"convert takes what to convert and the folder to make, or two or three .npy files and "
            f"the folder, got {len(paths)} path{'s' * (len(paths) > 1)}: {' '.join(paths)}"
        )
    if rows is not None and rows < 1:
        raise InputError(f"--rows-per-shard {rows}: there must be at least one")
    if resume and force:
        raise InputError("--resume goes on with a pool and --force deletes it; give one of them")
    *sources, out = paths
    check_apart(sources, out)
    source, names = _open(sources, proba, features, ids)
    rows = rows or max(1, SHARD // source.row_bytes)
    with as_input_errors():
        writer = _writer(source, out, rows, bias=bias, resume=resume, force=force)
        n_shards = -(-source.n_rows // rows)
        try:
            with counting(terminal(), "Converting") as show:
                _copy(source, names, writer, rows, show)
                writer.finish(n_shards)
        except KeyboardInterrupt:
            print(
                f"labelnext: interrupted: {len(writer.finished):,} of {n_shards:,} shards are "
                f"written; go on with --resume",
                file=sys.stderr,
            )
            raise typer.Exit(130) from None
    console = terminal()
    if console.is_terminal:
        text = f"Written: {out} ({source.n_rows:,} rows in {n_shards:,} shards)"
        console.print(text, highlight=False, soft_wrap=True)


def check_apart(sources: list[str], out: str) -> None:
    """Refuse to write over what is read."""
    if scheme_of(out) is not None:
        return
    target = Path(out).resolve()
    for source in sources:
        path = Path(source).resolve()
        if scheme_of(source) is None and (path == target or target in path.parents):
            raise InputError(f"OUT {out}: {source} is read from there; choose another folder")


def _open(
    sources: list[str], proba: str | None, features: str | None, ids: str | None
) -> "tuple[Source, Any]":
    """Open what is converted; ids that come from a file of text are apart."""
    if len(sources) == 1 and Path(sources[0]).suffix.lower() == ".npz":
        return _archive(Path(sources[0]), proba, features, ids), None
    if len(sources) == 1:
        return open_files(sources[0], proba, features, ids)
    if proba is not None or features is not None or (ids is not None and len(sources) == 3):
        raise InputError(
            f"{' '.join(sources)}: single files have no columns; leave out --proba, --features "
            "and, with three of them, --ids"
        )
    return open_files(None, sources[0], sources[1], sources[2] if len(sources) == 3 else ids)


def _archive(path: Path, proba: str | None, features: str | None, ids: str | None) -> "Source":
    """Read an .npz file, which is compressed as a whole."""
    from labelnext.pools import ArraySource

    pool = read_pool(
        parse_source(proba, "--proba", usual=PROBA, pool=path),
        parse_source(features, "--features", usual=FEATURES, pool=path),
        named := find_ids(ids, path),
        [],
    )
    with as_input_errors():
        return ArraySource(
            pool.proba, pool.features, None if named is None else pool.ids, os.fspath(path)
        )


def _writer(
    source: "Source", out: str, rows: int, *, bias: bool, resume: bool, force: bool
) -> "PoolWriter":
    from labelnext.pools import PoolWriter

    return PoolWriter(
        out,
        task=source.task or "multiclass",
        bias=bias or bool(source.bias),
        settings={
            "by": "labelnext convert",
            "source": source.fingerprint(),
            "rows_per_shard": rows,
        },
        resume=resume,
        overwrite=force,
    )


def _copy(source: "Source", names: Any, writer: "PoolWriter", rows: int, show: Any) -> None:
    """Write the shards that are missing."""
    import numpy as np

    finished = writer.finished
    for number, lo in enumerate(range(0, source.n_rows, rows)):
        hi = min(lo + rows, source.n_rows)
        if number not in finished:
            proba = source.read("proba", lo, hi)
            if source.one_dimensional:
                proba = proba[:, 0]
            ids = source.ids(np.arange(lo, hi)) if names is None else names[lo:hi]
            writer.write(number, proba, source.read("features", lo, hi), ids)
        show(hi, source.n_rows)
