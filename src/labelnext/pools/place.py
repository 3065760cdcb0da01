"""Paths as they are given: a folder or file of this machine, or a URI of an object store."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from urllib.request import url2pathname

from labelnext.pools._files import LocalFiles

if TYPE_CHECKING:
    from labelnext.pools._files import Files


def scheme_of(path: str | os.PathLike[str]) -> str | None:
    """Return the scheme of a URI, such as s3; None of a path."""
    # One letter before the colon is a drive.
    match = re.match(r"([A-Za-z][A-Za-z0-9+.-]+)://", os.fspath(path))
    return match[1].lower() if match else None


def find_place(path: str) -> tuple[Files, str]:
    """Return the files that a path is among, and its place there."""
    scheme = scheme_of(path)
    if scheme is not None and scheme != "file":
        from labelnext.pools._remote import find_remote  # which brings pyarrow

        return find_remote(path, scheme)
    if scheme == "file":
        path = url2pathname(urlsplit(path).path)
    return LocalFiles(), os.path.abspath(os.path.expanduser(path))


def local_folder(path: str | os.PathLike[str]) -> Path:
    """Return where a pool is to be written, which must be on this machine's file systems."""
    if (scheme := scheme_of(path)) not in (None, "file"):
        raise ValueError(
            f"Pools are written to folders of this machine, not to {scheme}://; write {path} to a "
            "folder and copy it there: pools are read from object stores as they are."
        )
    return Path(find_place(os.fspath(path))[1])
