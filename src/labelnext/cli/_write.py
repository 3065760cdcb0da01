"""Writing files whole or not at all."""

import io
import json
import os
import secrets
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from labelnext.cli._errors import InputError, one_line
from labelnext.utils.csv import as_csv

Columns = Mapping[str, Sequence[Any]]


def as_json(columns: Columns) -> bytes:
    """Lay columns out as a list of records, one on each line."""
    records = (
        json.dumps(dict(zip(columns, row, strict=True)), ensure_ascii=False)
        for row in zip(*columns.values(), strict=True)
    )
    return ("[\n" + ",\n".join(records) + "\n]\n").encode()


def as_parquet(columns: Columns) -> bytes:
    """Lay columns out as a Parquet file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = io.BytesIO()
    pq.write_table(pa.table({name: list(values) for name, values in columns.items()}), sink)
    return sink.getvalue()


TABLES: dict[str, Callable[[Columns], bytes]] = {
    ".csv": as_csv,
    ".json": as_json,
    ".parquet": as_parquet,
}
PICTURES = (".png", ".pdf", ".svg")


def check_output(path: Path, option: str, endings: Sequence[str], *, force: bool) -> None:
    """Find out before the work what would fail after it."""
    if path.suffix.lower() not in endings:
        raise InputError(
            f"{option} {path}: expected a name that ends in {', '.join(endings[:-1])} "
            f"or {endings[-1]}"
        )
    check_folder(path.parent, f"{option} {path}")
    if path.is_dir():
        raise InputError(f"{option} {path}: this is a folder; name a file in it")
    if path.exists() and not force:
        raise InputError(f"{option} {path}: exists already; add --force to replace it")


def check_folder(folder: Path, what: str) -> None:
    """Refuse a folder that is not there or cannot be written to."""
    if not folder.is_dir():
        raise InputError(f"{what}: there is no folder {folder}; create it first")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise InputError(f"{what}: the folder {folder} may not be written to; choose another")


def write_whole(path: Path, content: bytes, *, force: bool) -> None:
    """Write a file that appears under its name only when it is complete.

    It is written under another name beside its own and then renamed, which happens at once or
    not at all; a process that is killed leaves nothing under the final name.
    """
    final = path.resolve()  # a link is followed, not replaced
    draft = final.with_name(f".{final.name}.{secrets.token_hex(4)}.tmp")
    try:
        try:
            with draft.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            if force:
                draft.replace(final)
            else:
                _publish(draft, final)
        finally:
            draft.unlink(missing_ok=True)
    except FileExistsError:
        raise InputError(f"{path}: exists already; add --force to replace it") from None
    except OSError as error:
        reason = one_line(error.strerror or error).lower()
        raise InputError(f"cannot write {path}: {reason}; choose another place") from None


def _publish(draft: Path, final: Path) -> None:
    """Rename, but never over a file that has come to be there in the meantime."""
    try:
        final.hardlink_to(draft)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        if final.exists():
            raise FileExistsError(final) from None
        draft.replace(final)
