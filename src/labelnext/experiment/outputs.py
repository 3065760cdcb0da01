"""A folder of results: which files in it are ours, and how they are replaced."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from labelnext.pools.disk import write_whole, writing

MANIFEST = "labelnext-files.json"
# All that a report may consist of; whatever of these one has not, is removed from its folder.
TABLES = (
    *("summary", "labels-needed", "paired-tests", "penalties", "stopping", "seconds"),
    *("final-accuracy", "results", "failures"),
)
PICTURES = ("learning-curves", "penalties", "normalized-errors", "seconds", "stability")
REPORT = (
    "report.html",
    *(f"{name}.csv" for name in TABLES),
    *(f"{name}.png" for name in PICTURES),
)
LARGEST = 1 << 20  # bytes: no manifest of ours has more


class Outputs:
    """The files that we write into a folder, which a manifest lists with their checksums.

    Whatever else has one of their names, a link, a folder, a file of the user's or one that was
    edited since, is refused; nothing is replaced or removed but what the manifest lists. `kind`,
    "report" or "demo", says what they are: the one never replaces the other.
    """

    def __init__(self, folder: str | Path, kind: str) -> None:
        self.folder, self.kind = Path(folder), kind

    def check(self, names: Iterable[str]) -> dict[str, list[str]]:
        """Raise FileExistsError if a name is taken by what is not ours; return what is listed."""
        listed = self._listed()
        taken = [MANIFEST] if listed is None else []
        taken += [name for name in names if not self._free(name, listed or {})]
        if taken:
            more = f" and {len(taken) - 3} more" if taken[3:] else ""
            raise FileExistsError(
                f"{self.folder} holds {', '.join(taken[:3])}{more}, which no {self.kind} of ours "
                "has written, or which was changed since; name another folder, or move that away."
            )
        return listed or {}

    def write(self, files: Mapping[str, bytes], *, remove: Iterable[str] = ()) -> list[Path]:
        """Write files, each whole or not at all, and remove those of ours that are out of date."""
        with writing(str(self.folder), "make room, or name another folder"):
            self.folder.mkdir(parents=True, exist_ok=True)
        gone = [name for name in remove if name not in files]
        listed = self.check([*files, *gone])
        sums = {name: [_checksum(content)] for name, content in files.items()}
        # Killed at any moment, what is there is in the list: as it was, or as it was to be.
        self._write_list(
            {name: sums.get(name, []) + listed.get(name, []) for name in sums | listed}
        )
        for name, content in files.items():
            self._put(name, content, overwrite=name in listed)
        for name in gone:
            (self.folder / name).unlink(missing_ok=True)
        self._write_list({name: listed[name] for name in listed if name not in gone} | sums)
        return [self.folder / name for name in files]

    def _free(self, name: str, listed: Mapping[str, list[str]]) -> bool:
        path = self.folder / name
        if path.is_symlink():
            return False
        if path.is_file():
            return name in listed and _checksum(path.read_bytes()) in listed[name]
        return not path.exists()

    def _listed(self) -> dict[str, list[str]] | None:
        """Return the checksums of our files by name; None if the manifest is not ours."""
        path = self.folder / MANIFEST
        if not path.exists() and not path.is_symlink():
            return {}
        try:
            if path.is_symlink() or not path.is_file() or path.stat().st_size > LARGEST:
                return None
            content: Any = json.loads(path.read_text(encoding="utf-8"))
            if content["labelnext"] != self.kind:
                return None
            return {str(name): list(map(str, sums)) for name, sums in content["files"].items()}
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return None

    def _write_list(self, sums: Mapping[str, list[str]]) -> None:
        content = json.dumps({"labelnext": self.kind, "files": sums}, indent=1)
        self._put(MANIFEST, content.encode(), overwrite=True)

    def _put(self, name: str, content: bytes, *, overwrite: bool) -> None:
        with writing(str(self.folder / name), "make room, or name another folder"):
            write_whole(self.folder / name, content, overwrite=overwrite)


def _checksum(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
