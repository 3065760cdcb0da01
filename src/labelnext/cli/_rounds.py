"""What the commands of a loop do: open it, train, close what is answered, choose the next."""

import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labelnext.cli._errors import InputError, in_our_words, input_errors
from labelnext.cli._pool import open_files
from labelnext.cli._terminal import counting, say, tell, terminal, working
from labelnext.utils.text import counted, one_line

if TYPE_CHECKING:
    from labelnext.loop import Loop
    from labelnext.loop.model import Fitted

FILE = "loop.sqlite"

BESIDE = "LABELNEXT_LOOP_RUN"  # the process that a page is served beside

# What the library calls options of these commands, and what Python's users are told to do.
_OWN = "text|image|audio|html|id|group|columns|encoder|test|overlap|people|host|port|round"

_ADVICE = {
    rf"\b({_OWN})='([^']*)'": r"--\1 \2",
    rf"\b({_OWN})=": r"--\1",
    rf"^({_OWN}|random|model|callback|annotator)\b(?= must| ')": r"--\1",
    r"(?<=: )classes(?= has \d| \[)": "--classes",
    r"\bso people must name\b": "so --people must name",
    r"^classes\b|(?<=leave )classes(?= out)": "--labels",
    r"\b(?:the classes must be named, as in )--classes \['good', 'bad'\]": "--labels good,bad",
    r"the classes must be named, as in classes=\['good', 'bad'\]": "give --labels good,bad",
    r"\bloop\.next\(\)": "`labelnext loop next`",
    r"\bloop\.rounds\(\)": "`labelnext loop status`",
    r"\blabelnext\.loop\.Loop\.create\(folder, samples\)": "`labelnext loop init SAMPLES`",
    r", or the samples themselves$": "",
    r"\bloop\.change\(root=\.\.\.\)": "`labelnext loop change --files FOLDER`",
    r"\bloop\.change\(--classes\)": "`labelnext loop change --labels NAMES`",
    r"\bname another folder\b": "name another folder with --loop",
    r"^safe_formulas\b": "--safe-formulas",
    r"\b(token|project)=\.{3,4}": r"--\1",
    r"^format must be one of": "a file's format is one of",
    r"\bopen the loop with labelnext\.open_loop\(.*\), or choose another folder": "go on with it, "
    "or name another folder with --loop",
    r": give --proba SOURCE of the model$": "; label some samples first, or give what your model "
    "says with --pool",
    r": give --features SOURCE, .*": "; give a pool that has them with --pool",
    r": give --proba SOURCE of shape .*": "; give a pool of theirs with --pool",
    r"; name it with --proba SOURCE.*": "; make a pool folder of it with `labelnext convert`",
}


@contextmanager
def loop_errors() -> Iterator[None]:
    """Turn what a loop refuses into one line of the command's words."""
    from labelnext.loop import LoopError
    from labelnext.loop.train import TrainingError

    try:
        try:
            with input_errors():
                yield
        except LoopError as error:
            raise InputError(in_our_words(error)) from None
    except TrainingError as error:  # of code of the user's: as Python says it
        raise InputError(one_line(error)) from None
    except InputError as error:
        message = str(error)
        for pattern, words in _ADVICE.items():
            message = re.sub(pattern, words, message)
        raise InputError(message) from None


def same_loop(folder: Path | None) -> str:
    """Return what a next command must be given to find the same loop."""
    return "" if folder in (None, Path("loop")) else f" --loop {shlex.quote(str(folder))}"


def open_here(folder: Path | None) -> "Loop":
    from labelnext.loop import open_loop

    own_code()
    if folder is None:
        folder = Path() if Path(FILE).exists() else Path("loop")
        if not (folder / FILE).exists():
            raise InputError(
                "there is no loop here; make one with `labelnext loop init SAMPLES`, or name its "
                "folder with --loop"
            )
    return open_loop(folder)


def own_code() -> None:
    """Let what the user has written here be imported, as from a script."""
    # After all else, so that no name hides an installed package's.
    if (here := os.getcwd()) not in sys.path:
        sys.path.append(here)


def check_choice(asked: Any) -> None:
    """Refuse before the work what would be refused after it."""
    from labelnext.strategies import find

    given = [name for name in ("pool", "model", "train") if getattr(asked, name) is not None]
    if len(given) > 1:
        raise InputError(f"--{given[0]} and --{given[1]}: give one of them")
    if asked.encoder is not None and given in (["pool"], ["train"]):
        raise InputError(f"--encoder makes no features with --{given[0]}; leave one out")
    if asked.classes is not None and asked.pool is None:
        raise InputError("--classes names the columns of --pool; leave it out, or give --pool")
    if asked.model_name is not None and not asked.model_name.strip():
        raise InputError("--model-name must not be empty")
    if asked.k < 1:
        raise InputError(f"-k {asked.k}: choose at least one sample")
    for name in ("random", "overlap"):
        if (share := getattr(asked, name)) is not None and not 0 <= share <= 1:
            raise InputError(f"--{name} {share}: a share is from 0 to 1")
    if asked.seed is not None and asked.seed < 0:
        raise InputError(f"--seed {asked.seed}: a seed is 0 or more")
    if asked.strategy is not None:
        find(asked.strategy)


def check_own_code(asked: Any) -> None:
    """Refuse before the work code of the user's that cannot be had, or is no classifier."""
    from labelnext.utils.libraries import imported

    if asked.model is not None:
        model = imported("model", asked.model)
        if not hasattr(model, "fit") and (isinstance(model, type) or not callable(model)):
            raise InputError(f"--model {asked.model} has no fit; name a classifier")
        if hasattr(model, "fit") and not hasattr(model, "predict_proba"):
            raise InputError(f"--model {asked.model} has no predict_proba; take a classifier with")
    if asked.train is not None:
        from labelnext.loop.train import check

        check(asked.train)
    if asked.callback is not None and not callable(imported("callback", asked.callback)):
        raise InputError(f"--callback {asked.callback} cannot be called; name a function")


def waits(loop: "Loop") -> int:
    """Return how many answers people are asked for now."""
    return int(loop.progress()["missing_in_all"])


def step(loop: "Loop", asked: Any, most: int | None = None) -> bool:
    """Train on all labels, close what is answered, and choose the next; tell if there is one."""
    fitted = _fit(loop, asked)
    if asked.model_name is not None:
        fitted = replace(fitted, model=asked.model_name)
    rounds, before = loop.rounds(), _told(loop)
    if done := [each["number"] for each in rounds if not (each["missing"] or each["closed_at"])]:
        loop.close(round=done[-1])
    if rounds:
        number = loop.score(fitted.metrics, fitted.labels, model=fitted.model)
        learned = bool(done) or len(fitted.labels.labeled) > 0
        if _told(loop) != before if fitted.metrics else learned:
            _call(asked.callback, loop, number, fitted.metrics)
    for line in fitted.said:
        tell_out(line)
    if fitted.metrics:
        said = ", ".join(f"{name} {value:.3g}" for name, value in fitted.metrics.items())
        tell_out(f"Test set: {said}.")
    chosen = sum(r["kind"] != "test" for r in loop.rounds())
    if most is not None and chosen >= most:
        return False
    return _choose(loop, fitted, asked)


def _told(loop: "Loop") -> set[tuple[Any, ...]]:
    """Return what the loop was told of models, in no order."""
    return {tuple(each.values()) for each in loop.metrics()}


def _choose(loop: "Loop", fitted: "Fitted", asked: Any) -> bool:
    from labelnext.loop.model import strategy_for

    own = asked.pool or (asked.train and "proba" in fitted.pool.source.parts)
    strategy = asked.strategy or (None if own else strategy_for(fitted.pool))
    try:
        with working(terminal(), "Choosing ..."):
            batch = loop.next(
                fitted.pool,
                asked.k,
                strategy=strategy,
                random=asked.random,
                overlap=asked.overlap,
                random_state=asked.seed,
                model=fitted.model,
            )
    except ValueError as error:
        if not str(error).startswith("Nothing is left"):
            raise
        tell_out(f"{one_line(error)}.")
        return False
    at = loop.rounds()[-1]
    fewer = "" if len(batch) == asked.k else f", all that are left (-k {asked.k:,} asked for more)"
    n = counted(len(batch), "sample")
    tell_out(f"Round {at['number']}: {n} chosen by {at['strategy']}{fewer}.")
    return True


def _call(name: str | None, loop: "Loop", number: int, metrics: dict[str, float]) -> None:
    """Call a function of the user's; what it does wrong stops nothing."""
    from labelnext.utils.libraries import imported

    if name is None:
        return
    try:
        imported("callback", name)(loop, number, dict(metrics))
    except Exception as error:  # whatever the code of a user's raises
        say(f"warning: --callback {name}: {type(error).__name__}: {one_line(error)}")


def _fit(loop: "Loop", asked: Any) -> "Fitted":
    """Have what a model says of the samples, by whatever the user has asked for."""
    from labelnext.loop import model

    if asked.pool is not None:
        nothing = dict.fromkeys(("proba", "features", "ids", "groups", "labels", "task", "bias"))
        try:
            pool = open_files(asked.pool, {**nothing, "classes": asked.classes})
        except InputError as error:
            named = str(error).startswith(asked.pool or "?")
            raise InputError(f"--pool {'' if named else asked.pool + ': '}{error}") from None
        if pool.ids is None:
            given = shlex.quote(asked.pool)
            raise InputError(
                f"--pool {asked.pool} has no ids, so its rows cannot be told; list the ids of its "
                "rows in their order in a file, make a pool of both with `labelnext convert "
                f"{given} pool/ --ids ids.txt`, and give --pool pool/"
            )
        # Each round's may have a place of its own: they are taken for one model's.
        return model.Fitted(pool, model.measure_pool(loop, pool), loop.labels(), model="--pool")
    if asked.train is not None:
        from labelnext.loop.train import train

        if len(loop.labels().labeled):
            return train(loop, asked.train, echo=_echo, waiting=say)
        say(f"no labels yet, so --train {asked.train} waits for the next round")
    measured = len(loop.labels(split="test").labeled)
    if asked.strategy == "random" and asked.model is None and not measured:
        return model.Fitted(model.without_features(loop), {}, loop.labels())
    with counting(terminal(), "Features") as progress:
        labels = loop.labels()
        if asked.model is None or len({*map(str, labels.y[labels.labeled])}) < 2:
            return model.fit(loop, encoder=asked.encoder, progress=progress)
        from labelnext.samples.encode import encode

        folder = loop.folder / "features"
        encoded = encode(loop.samples(), folder, encoder=asked.encoder, progress=progress)
    fitted = model.fit(loop, _fitted(asked.model, encoded.pool.features[labels.labeled], labels))
    return replace(fitted, model=f"--model {asked.model}")


def _fitted(name: str, features: Any, labels: Any) -> Any:
    """Fit a classifier of the user's on the loop's features."""
    import numpy as np

    from labelnext.utils.libraries import imported

    found = imported("model", name)
    try:
        classifier = found if hasattr(found, "fit") and not isinstance(found, type) else found()
        fitted = classifier.fit(features, np.array(labels.y[labels.labeled].tolist()))
    except Exception as error:  # whatever the code of a user's raises
        raise InputError(
            f"--model {name} could not be fitted: {type(error).__name__}: {one_line(error)}"
        ) from None
    if not hasattr(fitted, "predict_proba"):
        raise InputError(f"--model {name} has no predict_proba once it is fitted; take another")
    return fitted


def serve_beside(loop: "Loop", asked: Any) -> "subprocess.Popen[bytes]":
    """Serve the page in a process of its own, beside the training."""
    names = ("people", "host", "port", "train", "model_name")
    given = {name.replace("_", "-"): getattr(asked, name) for name in names}
    more = [f"--{name}={value}" for name, value in given.items() if value is not None]
    more += ["--no-browser"] if asked.no_browser else []
    env = {**os.environ, BESIDE: str(os.getpid())}
    return subprocess.Popen([*command("label", loop), *more], env=env)


def end_with(parent: str | None) -> None:
    """End this process when the one that it serves beside is gone, killed even."""

    def watch() -> None:
        while str(os.getppid()) == parent:
            time.sleep(1)
        os.kill(os.getpid(), signal.SIGTERM)

    if parent is not None:
        threading.Thread(target=watch, daemon=True).start()


def command(name: str, loop: "Loop") -> list[str]:
    return [sys.executable, "-m", "labelnext", "loop", name, "--loop", str(loop.folder)]


def _echo(chunk: bytes) -> None:
    if sys.stderr is not None:
        sys.stderr.write(chunk.decode(errors="replace"))
        sys.stderr.flush()


def names_of(text: str) -> list[str]:
    return [name.strip() for name in text.split(",")]


def tell_out(text: str) -> None:
    from rich.console import Console

    tell(Console(), text)
