"""The user's own training, in a process of its own: labels in, a pool of the trained model out."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import traceback
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from labelnext.loop._check import checked_metrics
from labelnext.pools import Pool, open_pool, write_pool
from labelnext.pools.disk import write_whole
from labelnext.pools.manifest import MANIFEST
from labelnext.pools.own import delete_pool
from labelnext.pools.source import digest_of
from labelnext.utils.given import shown
from labelnext.utils.libraries import imported
from labelnext.utils.text import one_line

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from labelnext.loop._events import Labels
    from labelnext.loop.model import Fitted

# A function is named so; anything else is a command.
FUNCTION = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")
# What a training script is told, by the environment.
LOOP, LABELS, POOL, METRICS = (
    f"LABELNEXT_{name}" for name in ("LOOP", "LABELS", "POOL", "METRICS")
)
WORK = re.compile(r"[0-9a-f]{12}")  # the folder of a training
TAIL = 4000  # bytes of what it has said last that are kept for an error


class TrainingError(RuntimeError):
    """The user's training did not succeed; the message has what it said last.

    Examples
    --------
    >>> from labelnext.loop.train import TrainingError
    >>> issubclass(TrainingError, RuntimeError)
    True
    """


def train(
    loop: Any,
    what: str,
    *,
    echo: Callable[[bytes], Any] | None = None,
    waiting: Callable[[str], Any] | None = None,
) -> Fitted:
    """
    Train the user's model on the labels of a loop, in a process of its own.

    It is done once for one state of the labels: what has succeeded is not done again.

    Parameters
    ----------
    loop : Loop
        The loop.
    what : str
        ``"module:function"``: a function that is given the loop and returns a `labelnext.Pool`
        with the ids of the loop, and metrics too if it likes, as ``(pool, {"accuracy": 0.9})``.
        Anything else is a command, such as ``"python train.py"``. The environment tells it
        where the loop is, LABELNEXT_LOOP; a file with labels, LABELNEXT_LABELS, in JSON Lines with
        id, content and label; the folder to write the pool to, LABELNEXT_POOL; and where metrics
        may be written as JSON, LABELNEXT_METRICS.
    echo : callable, default=None
        Called with what it prints, as it comes.
    waiting : callable, default=None
        Called with what is waited for, if a training on these labels goes on already, whose
        starter was killed: its pool is taken then. None refuses.

    Returns
    -------
    Fitted
        The pool, and what it reaches on the test set.

    Raises
    ------
    TrainingError
        If it fails, leaves no pool, or goes on in another process and `waiting` is None.

    Examples
    --------
    >>> import labelnext
    >>> from labelnext.loop.train import train
    >>> train(labelnext.open_loop("loop"), "mine:train")  # doctest: +SKIP
    """
    labels = loop.labels()
    said = digest_of(labels.ids, [str(each) for each in labels.y.tolist()], what)
    work = loop.folder / "training" / said[:12]
    work.mkdir(parents=True, exist_ok=True)
    pool = work / "pool"
    with _alone(work / "lock", waiting) as lock:
        if not (pool / MANIFEST).exists():
            _write_labels(loop, labels, work / "labels.jsonl")
            _run(loop, what, work, lock, echo)
        given = _metrics(work / "metrics.json")
        if not (pool / MANIFEST).exists():
            raise TrainingError(
                f"{what} succeeded and left no pool: return a labelnext.Pool from the function, or "
                f"write one to the folder that {POOL} names, with labelnext.write_pool."
            )
    opened = open_pool(pool)
    _forget(work)
    # Late: it brings scikit-learn, which most commands of a loop have no use for.
    from labelnext.loop.model import Fitted, measure_pool

    try:
        metrics = measure_pool(loop, opened) | given
    except ValueError as error:
        raise TrainingError(f"{what}: {error}") from None
    return Fitted(opened, metrics, labels, (f"Trained by {what}.",), f"--train {what}")


def check(what: str) -> None:
    """Refuse what cannot be found, without running it."""
    if FUNCTION.fullmatch(what):
        module = what.partition(":")[0]
        with suppress(ImportError, ValueError):
            if find_spec(module) is not None:
                return
        raise TrainingError(
            f"{what} cannot be imported: there is no module {module} here; give module:function of "
            "a file in this folder or of what is installed."
        )
    with suppress(ValueError):
        words = shlex.split(what)
        if words and shutil.which(words[0]):
            return
    raise TrainingError(
        f"{what} cannot be run: there is no such command; give module:function, or a command such "
        "as 'python train.py'."
    )


def _forget(work: Path) -> None:
    """Delete pools of earlier labels but the last one: each may be as large as the data."""
    others = [
        folder / "pool"
        for folder in work.parent.iterdir()
        if folder != work and WORK.fullmatch(folder.name) and (folder / "pool" / MANIFEST).is_file()
    ]
    with suppress(OSError):
        for pool in sorted(others, key=lambda pool: (pool / MANIFEST).stat().st_mtime)[:-1]:
            delete_pool(pool)


def _metrics(file: Path) -> dict[str, float]:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        told = {str(name): float(value) for name, value in found.items()}
        checked_metrics(told)
        return told
    except FileNotFoundError:
        return {}
    except (ValueError, TypeError, AttributeError) as error:
        raise TrainingError(
            f"{file}: expected metrics as JSON, such as {{'accuracy': 0.9}}: {one_line(error)}; "
            "correct it, or delete it."
        ) from None


@contextmanager
def _alone(path: Path, waiting: Callable[[str], Any] | None) -> Iterator[int]:
    """Hold a lock that the training holds, too, so that it is known to go on if we are killed."""
    number = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        if fcntl is not None:
            try:
                fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                busy = (
                    "the training on these labels goes on in another process (what it says is in "
                    f"{path.parent / 'train.log'})"
                )
                if waiting is None:
                    raise TrainingError(f"T{busy[1:]}; wait for it, or end it.") from None
                waiting(f"{busy}; waiting for it")
                fcntl.flock(number, fcntl.LOCK_EX)
        yield number
    finally:
        os.close(number)


def _run(loop: Any, what: str, work: Path, lock: int, echo: Callable[[bytes], Any] | None) -> None:
    own = [sys.executable, "-m", "labelnext.loop.train", what]
    env = {
        **os.environ,
        "PYTHONUNBUFFERED": "1",
        LOOP: str(loop.folder),
        LABELS: str(work / "labels.jsonl"),
        POOL: str(work / "pool"),
        METRICS: str(work / "metrics.json"),
    }
    try:
        process = subprocess.Popen(
            own if FUNCTION.fullmatch(what) else shlex.split(what),
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=(lock,),
        )
    except (OSError, IndexError, ValueError) as error:
        raise TrainingError(
            f"{what} cannot be run: {one_line(error)}; give module:function, or a command such as "
            "'python train.py'."
        ) from None
    tail = b""
    try:
        assert process.stdout is not None
        with (work / "train.log").open("ab") as log:
            while chunk := os.read(process.stdout.fileno(), 1 << 16):
                log.write(chunk)
                log.flush()
                tail = (tail + chunk)[-TAIL:]
                if echo is not None:
                    echo(chunk)
        code = process.wait()
    except BaseException:
        process.terminate()  # an interrupted training starts again, or goes on by itself
        process.wait()
        raise
    finally:
        if process.stdout is not None:
            process.stdout.close()
    if code:
        lines = [line.strip() for line in tail.decode(errors="replace").splitlines()]
        kept = [line for line in lines if line][-1 if b"Traceback" in tail else -3 :]
        last = " | ".join(kept) or "it said nothing"
        ended = f"ended with {code}" if code > 0 else f"was killed by signal {-code}"
        # What was shown as it came is not said again.
        told = ", see above" if echo is not None and kept else f": {one_line(last)}"
        raise TrainingError(
            f"{what} {ended}{told} (all of it is in {work / 'train.log'}). Labels and rounds are "
            "as they were; correct it, and run the same again."
        )


def _write_labels(loop: Any, labels: Labels, file: Path) -> None:
    """Write the labels that may be trained on, with what they are of."""
    samples = loop.samples()
    root = samples.root
    lines = []
    for row in labels.labeled.tolist():
        content = samples.contents[row]
        record = {
            "id": samples.ids[row],
            "content": content if root is None else str(root / content),
            "label": labels.y[row],
        }
        lines.append(json.dumps(record, ensure_ascii=False))
    write_whole(file, "".join(f"{line}\n" for line in lines).encode(), overwrite=True)


def _main(what: str) -> None:
    """Call the user's function, in the process of its own."""
    from labelnext.loop import open_loop

    try:
        function = imported("function", what)
    except ValueError as error:
        sys.exit(str(error))
    loop = open_loop(os.environ[LOOP])
    try:
        found = function(loop)
    except Exception as error:
        frames = error.__traceback__
        # From the user's own code on: who has called it says nothing.
        traceback.print_exception(type(error), error, frames and frames.tb_next)
        sys.exit(1)
    pool, metrics = found if isinstance(found, tuple) and len(found) == 2 else (found, None)
    try:
        if isinstance(pool, Pool):
            write_pool(os.environ[POOL], pool, overwrite=True)
        elif pool is not None:
            raise TypeError("it must return a labelnext.Pool, or (pool, metrics)")
        if metrics is not None:
            content = json.dumps({name: float(value) for name, value in metrics.items()})
            write_whole(os.environ[METRICS], content.encode(), overwrite=True)
    except (TypeError, ValueError, AttributeError, OSError) as error:
        sys.exit(f"{what} returned {shown(found)}: {one_line(error)}.")


if __name__ == "__main__":
    _main(sys.argv[1])
