"""What went wrong, in one line and in the command's words; and what is found before the work."""

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from labelnext.utils.text import one_line

PICTURES = (".png", ".pdf", ".svg")
# What a folder that is read may hold, so that a new one would be read with the others.
READ = (".parquet", ".npy", ".npz")


class InputError(Exception):
    """A mistake of the user's: shown as one line, without a traceback, exit code 2."""


# What the library calls the command's options in its messages.
_PARTS = ("proba", "features", "ids", "groups", "labels")
_WORDS = ("classes", "task", "strategy", "bias", "resume", "overwrite")
# These are nothing but options wherever they stand.
_PLAIN = (
    "memory_limit",
    "max_per_group",
    "condition_on_labeled",
    "random_state",
    "exclude_ids",
    "num_shards",
    "num_cpus",
    "num_gpus",
    "rows_per_shard",
)
_NAMES = "|".join((*_PARTS, *_WORDS, *_PLAIN))
# And how the command spells those that it has another word for.
_SPELT = {"random_state": "seed", "exclude_ids": "exclude", "overwrite": "force"}
# Advice for Python alone has other words here.
_ADVICE = {
    r"; this pool has [^:]*: make it with (.* and )?last_layer=.*": "; give a pool folder that has "
    "it, or choose in Python, with labelnext.select",
    r"\bmake it with (?=proba|features)": "give ",
    r"\bmake it with bias=False\b": "give --no-bias",
    r"\bof shape \(n_members, (.*)\)$": r"of shape (n_members, \1), in an .npz file",
    r", or give the bytes as an integer$": "",
    r"\blabelnext\.write_pool\b": "labelnext convert",
    r"\bcluster=labelnext\.Ray\(\)": "--engine ray",
    r"^k must\b": "-k must",
    r"\ba smaller k\b": "a smaller -k",
    r"\bleave proba out\b": "leave --proba out, or name the features alone: --features FILE:NAME",
    r"; pass groups too$": "; give --groups SOURCE too",
}


def in_our_words(error: object) -> str:
    """Say what the library says with the command's options, in one line."""
    message = one_line(error)
    for pattern, words in _ADVICE.items():
        message = re.sub(pattern, words, message)
    # Calls that a user of Python would write: what they are called with is what matters.
    message = re.sub(
        rf"\b(?:labelnext\.)?(?:open_pool|Pool|select)\(((?:{_NAMES})=[^()]*)\)",
        lambda call: call[1].replace(",", ""),
        message,
    )
    # labelnext.extract(..., resume=True) is no command, and stays.
    message = re.sub(rf"(?<!\(\.\.\., )\b({_NAMES})=(\.\.\.|True|'[^']*'|[\w.]+)", _option, message)
    return re.sub(rf"(?<![-\w])({'|'.join(_PLAIN)})\b", lambda name: _spelt(name[1]), message)


def _option(found: re.Match[str]) -> str:
    name, value = found[1], found[2].strip("'")
    if value == "False":
        return _spelt(f"no-{name}")
    if value == "True" or (value == "..." and name not in _PARTS):
        return _spelt(name)
    return f"{_spelt(name)} {'SOURCE' if value == '...' else value}"


def _spelt(name: str) -> str:
    return "--" + _SPELT.get(name, name).replace("_", "-")


def _refusals() -> tuple[type[Exception], ...]:
    from labelnext.cluster import ShardLostError  # when one is raised: not for each --version

    return ValueError, TypeError, OSError, ImportError, ShardLostError


@contextmanager
def input_errors(ids: str = "ids") -> Iterator[None]:
    """Turn what the library refuses into one line; `ids` is the option that it calls so."""
    try:
        yield
    except _refusals() as error:
        message: object = error
        if isinstance(error, OSError) and error.strerror:
            message = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
        words = in_our_words(message)
        if ids != "ids":
            words = re.sub(r"^(--ids [^:]*|ids)(?=:| must)", f"--{ids}", words)
        raise InputError(words) from None


def check_output(path: Path, option: str, endings: Sequence[str], *, force: bool | None) -> None:
    """Find out before the work what would fail after it; None if there is no --force."""
    what = f"{option} {path}"
    if path.suffix.lower() not in endings:
        *most, last = endings
        ends = f"{', '.join(most)} or {last}" if most else last
        raise InputError(f"{what}: expected a name that ends in {ends}")
    check_file(path, what)
    if path.exists() and not force:
        raise _exists(what, force)


def check_file(path: Path, what: str) -> None:
    """Refuse a place where no file can be written."""
    from labelnext.pools.disk import check_place, writing

    check_folder(path.parent, what)
    with input_errors(), writing(what, "choose another place"):
        check_place(path)


def check_folder(folder: Path, what: str) -> None:
    """Refuse a folder that is not there or cannot be written to."""
    from labelnext.pools.disk import nearest

    if not os.path.isdir(folder):
        if not os.path.isdir(there := nearest(folder)):
            raise InputError(f"{what}: {there} is no folder; choose another place")
        raise InputError(f"{what}: there is no folder {folder}; create it first")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise InputError(f"{what}: the folder {folder} may not be written to; choose another")


def make_folder(folder: Path) -> None:
    """Make the folder that results go to."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = one_line(error.strerror or error).lower()
        raise InputError(f"--out {folder}: {reason}; choose another folder") from None
    check_folder(folder, f"--out {folder}")


def keep_apart(outputs: Mapping[str, object], inputs: Iterable[str | None]) -> None:
    """Refuse to write over what is read, or into it, however either is spelt, and with --force."""
    from labelnext.pools.files import local_path, scheme_of

    read = {
        os.path.realpath(local)
        for given in filter(None, inputs)
        for part in (given, given.rpartition(":")[0])
        if part and scheme_of(part) in (None, "file")
        if os.path.lexists(local := local_path(part))
    }
    wrote: dict[str, str] = {}
    for option, path in outputs.items():
        if path is None or scheme_of(str(path)) not in (None, "file"):
            continue
        real = os.path.realpath(local_path(str(path)))
        there = os.path.exists(real)
        for other in read:
            # A link of the file system, to the same bytes, has another path.
            same = real == other or (there and os.path.samefile(real, other))
            kinds = (*READ, ".json") if there else READ
            adds = option == "OUT" or Path(real).suffix.lower() in kinds
            inside = _is_in(real, other) and adds
            if same or inside or _is_in(other, real):
                raise InputError(
                    f"{option} {path}: {other} is read from there; choose another folder or name, "
                    "so that nothing of yours is lost"
                )
        if real in wrote:
            raise InputError(f"{option} {path}: {wrote[real]} is written there; name another file")
        wrote[real] = option


def _is_in(path: str, folder: str) -> bool:
    return Path(folder) in Path(path).parents


def write(path: Path, content: bytes, *, force: bool | None) -> None:
    """Write a file that appears whole or not at all."""
    from labelnext.pools.disk import write_whole, writing

    try:
        with writing(str(path), "choose another place"):
            write_whole(path, content, overwrite=bool(force))
    except FileExistsError:
        raise _exists(path, force) from None
    except OSError as error:
        reason = one_line(error.strerror or error)
        if not reason.startswith("Cannot write"):
            reason = f"Cannot write {path}: {reason.lower()}; choose another place"
        raise InputError(reason) from None


def _exists(what: object, force: bool | None) -> InputError:
    advice = "choose another name" if force is None else "add --force to replace it"
    return InputError(f"{what}: exists already; {advice}")
