"""What in a folder is a pool's: nothing else is ever deleted, and what replaces it comes whole."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from labelnext.pools.disk import DRAFT, FULL, clear_drafts, draft, put_in_place, writing
from labelnext.pools.files import local_folder
from labelnext.pools.manifest import (
    LAST_LAYER,
    MANIFEST,
    SETTINGS,
    SHARD,
    read_head,
    read_shard,
    shard_number,
)


def folder_of(path: str | os.PathLike[str]) -> Path:
    """Return the folder that a path leads to, whether it is there or not; links are followed."""
    folder = Path(os.path.realpath(local_folder(path)))
    if os.path.lexists(folder) and not folder.is_dir():
        raise FileExistsError(f"{folder} is no folder; choose another path for the pool.")
    return folder


def refuse_other_files(folder: Path, *, to_delete: bool = False) -> bool:
    """Refuse a folder that holds something else than a pool; tell whether it holds one."""
    # Where nothing is to be deleted, hidden files may be there, and shards are not looked into.
    try:
        ours, foreign = _told_apart(folder, inside=to_delete)
    except FileNotFoundError:  # what was there a moment ago
        raise FileExistsError(
            f"{folder} is being replaced by another process; try again."
        ) from None
    if not to_delete:
        foreign = [path for path in foreign if not path.name.startswith(".")]
    if foreign:
        name = foreign[0].relative_to(folder)
        instead = f"move {name} elsewhere (nothing was deleted), or " if to_delete else ""
        raise FileExistsError(
            f"{folder} holds other files than those of a pool ({name}); {instead}choose a folder "
            "that is empty or not there."
        )
    return bool(ours)


def delete_pool(folder: Path) -> None:
    """Delete a pool, finished or not, and its folder if there is nothing else in it."""
    for path in _told_apart(folder, inside=True)[0]:
        if path.is_dir():
            _remove_if_empty(path)
        else:
            path.unlink()
    clear_pool_drafts(folder)
    _remove_if_empty(folder)


@contextmanager
def in_place_of(folder: Path) -> Iterator[Path]:
    """Have a folder to write a pool to, which in the end takes the place of what pool is there."""
    says = partial(writing, str(folder), "free some space; what was there is as it was.")
    with ExitStack() as stack:
        with says():
            if not folder.exists():
                folder.mkdir(parents=True, exist_ok=True)
                stack.callback(_remove_if_empty, folder)
            refuse_other_files(folder, to_delete=True)
            new = stack.enter_context(draft(folder, folder=True))
        try:
            yield new
        except OSError as error:
            if error.errno in FULL and str(new) in str(error):
                with says():
                    raise
            raise
        with says():
            refuse_other_files(folder, to_delete=True)
            put_in_place(new, folder)


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path | None]:
    """Have what `in_place_of` gives where a path holds a finished pool, None where it does not."""
    folder = folder_of(path)
    if not os.path.lexists(folder / MANIFEST):
        yield None
        return
    with in_place_of(folder) as new:
        try:
            yield new
        except Exception as error:
            error.add_note(
                f"{folder} is as it was, and nothing of this try is left to go on with; say "
                "overwrite=True again."
            )
            raise


def clear_pool_drafts(folder: Path) -> None:
    """Delete what killed writers have left in a pool's folder."""
    clear_drafts(folder, _is_name_of_ours)


def _told_apart(folder: Path, *, inside: bool) -> tuple[list[Path], list[Path]]:
    """Return what is a pool's in a folder, in the order to delete it, and what is not."""
    # Cut off anywhere in that order, what is left is known as a pool's and not gone on with.
    found = {path.name: path for path in sorted(folder.iterdir())}
    heads = {
        name: head
        for name in (MANIFEST, SETTINGS)
        if name in found and (head := _read(read_head, found[name])) is not None
    }
    ours = [found[name] for name in heads]
    if any("last_layer" in head for head in heads.values()) and LAST_LAYER in found:
        ours.insert(-1, found[LAST_LAYER])
    foreign = []
    for name, path in found.items():
        draft_name = DRAFT.fullmatch(name)
        if shard_number(name) is not None and path.is_dir() and not path.is_symlink():
            if inside:
                own, other = _told_apart_in_shard(path)
                ours += own
                foreign += other
            ours.append(path)
        elif path not in ours and not (draft_name and _is_name_of_ours(draft_name[1])):
            foreign.append(path)
    return ours, foreign


def _told_apart_in_shard(folder: Path) -> tuple[list[Path], list[Path]]:
    found = {path.name: path for path in sorted(folder.iterdir())}
    shard = _read(read_shard, found[SHARD]) if SHARD in found else None
    names = [] if shard is None else [f"{name}.npy" for name in shard.files] + [SHARD]
    ours = [found.pop(name) for name in names if name in found]
    return ours, list(found.values())


def _remove_if_empty(folder: Path) -> None:
    with suppress(OSError):
        folder.rmdir()


def _read(reader: Callable[[bytes, str], Any], path: Path) -> Any:
    """Return what a file of ours says, None of another."""
    with suppress(ValueError, RecursionError):
        if path.is_file() and not path.is_symlink():
            return reader(path.read_bytes(), str(path))
    return None


def _is_name_of_ours(name: str) -> bool:
    return name in (MANIFEST, SETTINGS, LAST_LAYER) or shard_number(name) is not None
