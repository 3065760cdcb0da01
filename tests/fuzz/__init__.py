"""Files that somebody was sent: any bytes are read, or refused with one error of ours.

A target is a function that uses the files in a folder as a user would, and some files to begin
with, whole or crafted: `target` puts it into the table TARGETS. The files are edited, byte by byte
and, where they are JSON, value by value. The rule, which `check` holds it to: the function comes
through, or raises one error of labelnext with a message; it never raises anything else, never
hangs, and never takes more than MEMORY.

Each module `of_*.py` of this folder has targets. The suite runs the files as they
are and a few edits of each; `python -m tests.fuzz --seconds 60` as many as there is time for.
"""

import importlib
import io
import json
import signal
import traceback
import tracemalloc
import zipfile
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import hypothesis.strategies as st

import labelnext

MODULES = sorted(path.stem for path in Path(__file__).parent.glob("of_*.py"))
MEMORY = 1 << 27
SECONDS = 20
# Errors with a message that users are promised; what derives from them is ours, or not meant.
PROMISED = (ValueError, TypeError, OSError, FileNotFoundError, PermissionError, FileExistsError)

Seeds = Mapping[str, Mapping[str, bytes]]
"""The names of seeds, and of each its files: their paths below a folder, and their bytes."""


@dataclass(frozen=True)
class Target:
    """A reader of files: the files it begins with, and how they are used."""

    seeds: Callable[[], Seeds]
    use: Callable[[Path], object]
    pack: Callable[[Mapping[str, bytes]], Mapping[str, bytes]] = dict
    """What is done to the files when they are edited, before they are written."""


TARGETS: dict[str, Target] = {}


def target(name, seeds, pack=dict):
    """Put a function into the table of targets."""

    def put(use):
        TARGETS[name] = Target(seeds, use, pack)
        return use

    return put


def zipped(files):
    """Pack what is edited as the members of archives: ``NAME.npz/MEMBER``."""
    out, members = {}, {}
    for path, content in files.items():
        archive, slash, member = path.partition(".npz/")
        if slash:
            members.setdefault(f"{archive}.npz", []).append((member, content))
        else:
            out[path] = content
    for path, inside in members.items():
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            for member, content in inside:
                archive.writestr(member, content)
        out[path] = buffer.getvalue()
    return out


def written(folder, files):
    """Write files into a folder."""
    for path, content in files.items():
        place = Path(folder, path)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)


class BrokenError(AssertionError):
    """The rule does not hold."""


def check(use, folder):
    """Hold one use of a folder's files to the rule; return the error that it was refused with."""
    tracing = tracemalloc.is_tracing()
    tracemalloc.start()
    try:
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        refused = _refused(use, folder)
        taken = tracemalloc.get_traced_memory()[1] - before
    finally:
        if not tracing:  # all that comes after it would take three times as long
            tracemalloc.stop()
    if taken > MEMORY:
        raise BrokenError(f"It took {taken >> 20} MB ({refused}).")
    return refused


def _refused(use, folder):
    """Return the error that a use is refused with, if it is one of ours."""
    try:
        with _at_most(SECONDS):
            use(folder)
    except BrokenError:
        raise
    except Exception as error:
        _check_error(error)
        return error
    return None


def _check_error(error):
    said = f"{type(error).__name__}: {error}"
    ours = type(error).__module__.startswith("labelnext")
    frames = traceback.extract_tb(error.__traceback__)
    if not ours and type(error) not in PROMISED:
        raise BrokenError(f"No error of ours: {said}") from error
    if not frames[-1].filename.startswith(str(Path(labelnext.__file__).parent)):
        raise BrokenError(f"Not said by us: {said}") from error
    if len(str(error)) < 20 or "\n" in str(error).strip():
        raise BrokenError(f"No message of one line: {said}") from error
    if len(str(error)) > 2000:
        raise BrokenError(f"A message of {len(str(error)):,} characters: {said[:300]}") from error


@contextmanager
def _at_most(seconds):
    def stop(*_):
        raise BrokenError(f"It hung for {seconds} seconds.")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


NUMBERS = [0, 1, 2, 7, 127, 128, 255, 1 << 15, 1 << 16, 1 << 31, (1 << 31) - 1, 1 << 32]
ODD = [
    *(None, True, False, -1, 0, 1, 2, 0.5, 1e400, -(2**63), 2**63, 2**64, 10**400),
    *("", "x", "../..", "\0", "\ud800", "O", "|O", "<f8", "V8", "[('a', 'f8')]", "é" * 3),
    *([], {}, [1], [-1], [2**40, 2**40], [[]], {"a": 1}, ["a", 1]),
]


def _edited_bytes(draw, content):
    place = draw(st.integers(0, len(content)))
    length = draw(st.sampled_from([0, 1, 1, 2, 4, 8, 64]))
    kinds = ["bit", "number", "bytes", "digit", "cut", "delete", "twice"]
    match draw(st.sampled_from(kinds)):
        case "bit" if content:
            place = min(place, len(content) - 1)
            flipped = content[place] ^ (1 << draw(st.integers(0, 7)))
            new = bytes([flipped])
            length = 1
        case "number":
            size = draw(st.sampled_from([1, 2, 4, 8]))
            number = draw(st.sampled_from(NUMBERS)) * draw(st.sampled_from([1, -1]))
            new = (number % (1 << (8 * size))).to_bytes(size, "little")
            length = size
        case "digit":
            new = str(draw(st.sampled_from(NUMBERS))).encode()
        case "cut":
            new, length = b"", len(content)
        case "delete":
            new = b""
        case "twice":
            new = content[place : place + length] * 2
        case _:
            new = draw(st.binary(min_size=1, max_size=8))
    return content[:place] + new + content[place + length :]


def paths(value, path=()):
    """Go through all places of a JSON value."""
    yield path
    items = value.items() if isinstance(value, dict) else []
    items = enumerate(value) if isinstance(value, list) else items
    for key, inside in items:
        yield from paths(inside, (*path, key))


def _edited_json(draw, content):
    value = json.loads(content)
    path = draw(st.sampled_from(list(paths(value))))
    if not path:
        return json.dumps(draw(st.sampled_from(ODD))).encode()
    inside = value
    for key in path[:-1]:
        inside = inside[key]
    match draw(st.sampled_from(["change", "delete", "add"])):
        case "change":
            inside[path[-1]] = draw(st.sampled_from(ODD))
        case "delete":
            del inside[path[-1]]
        case _ if isinstance(inside, dict):
            inside[draw(st.sampled_from(["x", "", "shape", "dtype", "ids", "../x"]))] = draw(
                st.sampled_from(ODD)
            )
        case _:
            inside.append(draw(st.sampled_from([*ODD, *inside])))
    return json.dumps(value).encode()


@st.composite
def edited(draw, target):
    """Draw a seed of a target, with some edits."""
    seeds = target.seeds()
    files = dict(seeds[draw(st.sampled_from(sorted(seeds)))])
    for _ in range(draw(st.integers(1, 4))):
        if not files:
            break
        name = draw(st.sampled_from(sorted(files)))
        try:
            values = name.endswith(".json") and json.loads(files[name]) is not None
        except (ValueError, RecursionError):
            values = False
        if values and draw(st.booleans()):
            files[name] = _edited_json(draw, files[name])
        elif draw(st.integers(0, 30)) == 30:
            del files[name]
        else:
            files[name] = _edited_bytes(draw, files[name])
    return files


def load():
    """Return the table of targets, with those of all modules."""
    for module in MODULES:
        importlib.import_module(f"tests.fuzz.{module}")
    return TARGETS
