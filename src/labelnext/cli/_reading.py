"""What reading files of any format shares: finding a name in them, and errors of one line."""

import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from labelnext.cli._errors import InputError, one_line, some
from labelnext.cli._sources import Source
from labelnext.utils.names import did_you_mean


def pick_name(source: Source, names: Iterable[str], what: str) -> str:
    """Find the array or column that a source means among those the file has."""
    names = list(names)
    if source.name is not None:
        if source.name in names:
            return source.name
        wanted = f"no {what} '{source.name}'"
        hint = did_you_mean(source.name, names)
    else:
        for name in source.usual:
            if name in names:
                return name
        if len(names) == 1:
            return names[0]
        wanted = f"no {what} '{source.usual[0]}'"
        hint = did_you_mean(source.usual[0], names) or (
            f"; name one with {source.option} {source.path}:NAME"
        )
    raise InputError(
        f"{source.option}: {source.path} has {wanted}; it has {some(names, 12) or 'none'}{hint}"
    )


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn what the libraries raise at unreadable and broken files into one line."""
    try:
        yield
    except PermissionError:
        raise InputError(f"cannot read {path}: permission denied; check who may read it") from None
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(
            f"cannot read {path}: {one_line(error) or 'the file is broken'}; "
            "the file may be cut short or of another format: write or copy it again"
        ) from None
