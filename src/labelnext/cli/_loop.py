"""``labelnext loop``: rounds with people, from samples to labels."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from labelnext.cli._errors import (
    InputError,
    check_output,
    in_our_words,
    input_errors,
    keep_apart,
    one_line,
)
from labelnext.cli._pool import Option, class_names, open_files, with_options
from labelnext.cli._terminal import counting, say, tell, terminal, working
from labelnext.utils.text import printable

if TYPE_CHECKING:
    from rich.table import Table

    from labelnext.loop import Loop
    from labelnext.loop.model import Fitted

HELP = (
    "Have people label: from samples to rounds of labels.\n\n"
    "A loop is a folder that keeps samples, rounds, and who said what. Stop, or kill, whatever you "
    "like at any time: the same command goes on from there.\n\n"
    "[bold]Examples[/]\n\n"
    "[green]labelnext loop init reviews.csv --text body --labels good,bad --test 200[/]\n\n"
    "[green]labelnext loop label[/]   (the page, in a browser)\n\n"
    "[green]labelnext loop next -k 100[/]\n\n"
    "[green]labelnext loop export labels.csv[/]"
)
FILE = "loop.sqlite"
FORMATS = ("label-studio", "csv", "jsonl", "prodigy")
BESIDE = "LABELNEXT_LOOP_RUN"  # the process that a page is served beside
PAUSE = 0.5  # seconds between two looks at whether people are ready


class Task(StrEnum):
    """What a label is."""

    MULTICLASS = "multiclass"
    MULTILABEL = "multilabel"
    REGRESSION = "regression"


class Rule(StrEnum):
    """What makes a label of several people's."""

    MAJORITY = "majority"
    UNANIMOUS = "unanimous"
    ADJUDICATED = "adjudicated"


def _strategy_names() -> list[str]:
    from labelnext.strategies import names

    return names()


WHERE = "Which loop"
FOLDER: Option = (
    *("--loop", "FOLDER", Path),
    "The loop's folder. Without, the current folder if it is a loop, else loop.",
)
LOOP: dict[str, tuple[Option, ...]] = {WHERE: (FOLDER,)}
ENCODER: Option = (
    *("--encoder", "NAME", str),
    "What makes features of samples: tfidf, wordllama, model2vec:NAME, sentence-transformers:NAME, "
    "efficientnet, timm:NAME, plain, columns, or module:function of yours. Without, what the loop "
    "has, else the best that is installed and needs no network.",
)
CHOICE: tuple[Option, ...] = (
    ("-k", "N", int, "How many samples to choose.", {"default": 100}),
    (
        *("--strategy", "NAME", str),
        "How: one of [bold]labelnext strategies[/]. Without, BADGE for a model of yours, and for "
        "features that stay as they are what the guide 'Which strategy?' says.",
        {"autocompletion": _strategy_names},
    ),
    ("--pool", "SOURCE", str, "What your model says of the samples: a pool with their ids."),
    (
        *("--model", "module:name", str),
        "A classifier of yours, fitted on the loop's features in place of the default.",
    ),
    (
        *("--train", "WHAT", str),
        "Your training, in a process of its own: module:function, or a command in quotes.",
    ),
    ENCODER,
    (
        *("--callback", "module:name", str),
        "Your function, called after each training with the loop, the number of the round and its "
        "metrics: for MLflow, W&B, or a message.",
    ),
    (
        *("--random", "SHARE", float, "The share of the batch that is drawn at random."),
        {"default": 0.1},
    ),
    ("--overlap", "SHARE", float, "The share that two people label; without, what init said."),
    ("--seed", "N", int, "The same seed chooses the same batch; without, one is drawn."),
)
PAGE: tuple[Option, ...] = (
    ("--people", "NAMES", str, "Who labels, as ann,bo: each gets an address of their own."),
    ("--host", "ADDRESS", str, "The address to listen on.", {"default": "127.0.0.1"}),
    (
        *("--port", "N", int, "The port; 0 for any that is free."),
        {"default": 0, "min": 0, "max": 65535},
    ),
    ("--no-browser", "", bool, "Open no browser.", {"default": False}),
)
INIT: dict[str, tuple[Option, ...]] = {
    "What is in it": (
        ("--text", "COLUMN", str, "The column with texts."),
        ("--image", "COLUMN", str, "The column with paths of pictures."),
        ("--audio", "COLUMN", str, "The column with paths of sounds."),
        ("--html", "COLUMN", str, "The column with HTML."),
        ("--columns", "NAMES", str, "The columns that make a row, as width,height,..."),
        ("--id", "COLUMN", str, "The column with ids, or row for the numbers of the rows."),
        ("--group", "COLUMN", str, "The column that says what a sample belongs to."),
    ),
    "What is asked": (
        ("--labels", "NAMES", str, "The names of the classes, as good,bad or a file."),
        ("--task", "NAME", Task, "One class, several, or a number.", {"default": Task.MULTICLASS}),
        ("--test", "N", int, "How many are drawn for the test set.", {"default": 0}),
        ("--overlap", "SHARE", float, "The share that two people label.", {"default": 0.0}),
        ("--guidelines", "FILE", Path, "Shown beside the samples: Markdown."),
        ("--seed", "N", int, "The same seed draws the same test set.", {"default": 0}),
    ),
    WHERE: (
        ("--loop", "FOLDER", Path, "The folder to make.", {"default": Path("loop")}),
        (
            *("--features", "", bool, "Compute the features now, not before the first choice."),
            {"default": False},
        ),
        ENCODER,
    ),
}


@with_options(INIT)
def init(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SAMPLES",
            show_default=False,
            help="A .csv, .tsv, .parquet, .jsonl or .json file; a folder of pictures, sounds, "
            "texts, or Parquet files; or what Hugging Face's save_to_disk wrote.",
        ),
    ],
    **options: Any,
) -> None:
    """Make a loop of samples."""
    asked = SimpleNamespace(**options)
    with loop_errors():
        from labelnext.loop import Loop, samples
        from labelnext.loop.encode import encode, find

        given = {name: options[name] for name in ("text", "image", "audio", "html", "id", "group")}
        columns = None if asked.columns is None else _names(asked.columns)
        found = samples.read(source, **given, columns=columns)
        labels = class_names(asked.labels)
        if asked.encoder is not None:
            _own_code()
            find(asked.encoder, found)
        keep_apart({"--loop": asked.loop / FILE}, [source])
        loop = Loop.create(
            asked.loop,
            found,
            classes=None if labels is None else [str(name) for name in labels],
            task=asked.task.value,
            test=asked.test,
            random_state=asked.seed,
            guidelines=None if asked.guidelines is None else asked.guidelines.read_text("utf-8"),
            overlap=asked.overlap,
        )
        _tell(f"{found!r}, in the loop {asked.loop}.")
        if asked.test:
            _tell(f"Test set: {loop.progress()['test']:,} of them, drawn at random; asked first.")
        missing = found.missing()
        if missing:
            _tell(f"{len(missing):,} files are not there, the first is {missing[0]}; skip them.")
        if asked.features or asked.encoder is not None:
            with counting(terminal(), "Features") as progress:
                done = encode(
                    found, loop.folder / "features", encoder=asked.encoder, progress=progress
                )
            _tell(f"Features: {done.said}.")
    here = "" if asked.loop == Path("loop") else f" --loop {asked.loop}"
    _tell(f"Next: labelnext loop label{here}")


@with_options({WHERE: (FOLDER,), "The page": PAGE, "What is chosen": CHOICE})
def label(**options: Any) -> None:
    """Label on a page in the browser; Ctrl-C stops it, and nothing is lost."""
    asked = SimpleNamespace(**options)
    with loop_errors():
        _check_choice(asked)
        loop = _open(asked.loop)
        _end_with(os.environ.get(BESIDE))
        from labelnext.loop.server import serve

        if not _waits(loop):
            _step(loop, asked)
        people = None if asked.people is None else _names(asked.people)
        names = ("strategy", "pool", "model", "train", "encoder", "callback")
        more = [part for n in names if options[n] is not None for part in (f"--{n}", options[n])]
        serve(
            loop,
            host=asked.host,
            port=asked.port,
            open_browser=not asked.no_browser,
            people=people,
            train=[*_command("next", loop), "-k", str(asked.k), *more],
        )


@with_options({**LOOP, "What is chosen": CHOICE})
def next_(**options: Any) -> None:
    """Train on what is labelled, and choose what is labelled next."""
    asked = SimpleNamespace(**options)
    with loop_errors():
        _check_choice(asked)
        loop = _open(asked.loop)
        waits = _waits(loop)
        _step(loop, asked)
        if waits:
            say(f"{waits:,} answers of earlier rounds are missing still; they are asked for first")


@with_options(
    {
        **LOOP,
        "What is chosen": CHOICE,
        "How it goes on": (
            ("--rounds", "N", int, "Stop after so many rounds; without, when all is labelled."),
            (
                *("--no-page", "", bool, "Serve no page: labels come from elsewhere."),
                {"default": False},
            ),
            *PAGE,
        ),
    }
)
def run(**options: Any) -> None:
    """Label, train, choose, again and again; whenever it is stopped, it goes on from there."""
    asked = SimpleNamespace(**options)
    if asked.rounds is not None and asked.rounds < 1:
        raise InputError(f"--rounds {asked.rounds}: there must be at least one")
    page = None
    try:
        with loop_errors():
            _check_choice(asked)
            loop = _open(asked.loop)
            while True:
                if not _waits(loop) and not _step(loop, asked, most=asked.rounds):
                    break
                if page is None and not asked.no_page:
                    page = _serve_beside(loop, asked)
                while _waits(loop):
                    if page is not None and page.poll() is not None:
                        raise InputError("the page has ended; see above, and run the same again")
                    time.sleep(PAUSE)
            _tell("Done. Labels: labelnext loop export labels.csv")
    except KeyboardInterrupt:
        say("stopped; the same command goes on from here")
        raise
    finally:
        if page is not None:
            page.terminate()
            page.wait()


@with_options({**LOOP, "How to show it": (("--json", "", bool, "As JSON.", {"default": False}),)})
def status(**options: Any) -> None:
    """Say where the loop stands: rounds, labels, and who is at work."""
    asked = SimpleNamespace(**options)
    with loop_errors():
        loop = _open(asked.loop)
        at, rounds, metrics = loop.progress(), loop.rounds(), loop.metrics()
    if asked.json:
        found = {"progress": at, "rounds": rounds, "metrics": metrics}
        typer.echo(json.dumps(found, ensure_ascii=False, indent=1))
        return
    from rich.console import Console

    _tell(
        f"{at['samples'] - at['test']:,} samples, {at['labeled']:,} labelled; test set "
        f"{at['test']:,}, {at['test_labeled']:,} labelled."
    )
    if rounds:
        Console().print(_rounds(rounds, metrics))
    for each in at["people"]:
        _tell(f"{each['annotator']}: {each['events']:,} decisions, holds {each['holds']:,}")
    missing = at["missing_in_all"]
    _tell(
        f"{missing:,} answers missing: labelnext loop label"
        if missing
        else "Nothing is asked for: labelnext loop next"
    )


@with_options({**LOOP, "What": (("--round", "N", int, "Which; without, the first open one."),)})
def close(**options: Any) -> None:
    """Close a round: nobody is asked for what is left of it."""
    asked = SimpleNamespace(**options)
    with loop_errors():
        closed = _open(asked.loop).close(round=asked.round)
    _tell(f"Round {closed} is closed. Next: labelnext loop next")


@with_options(
    {
        **LOOP,
        "What to write": (
            (
                *("--rule", "NAME", Rule, "What makes a label where several people label."),
                {"default": Rule.MAJORITY},
            ),
            ("--no-content", "", bool, "Leave texts, paths and rows out.", {"default": False}),
            (
                *("--safe-formulas", "", bool),
                "For spreadsheets: put an apostrophe before cells of a .csv that begin with =, +, "
                "- or @, which changes them.",
                {"default": False},
            ),
            ("--force", "", bool, "Replace a file that exists.", {"default": False}),
        ),
    }
)
def export(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", show_default=False, help="Where to: .csv, .jsonl or .parquet."
        ),
    ],
    **options: Any,
) -> None:
    """Write the labels to a file, with who said what and in which round."""
    asked = SimpleNamespace(**options)
    with loop_errors():
        from labelnext.loop.export import FORMATS
        from labelnext.loop.export import export as write

        check_output(file, "FILE", FORMATS, force=asked.force)
        loop = _open(asked.loop)
        keep_apart({"FILE": file}, [str(loop.folder / FILE)])
        content = not asked.no_content
        n = write(
            loop,
            file,
            rule=asked.rule.value,
            content=content,
            safe_formulas=asked.safe_formulas,
            overwrite=asked.force,
        )
    _tell(f"Written: {file} ({n:,} samples)")


@with_options(
    {
        **LOOP,
        "Where to put it": (
            ("--force", "", bool, "Replace a file that exists.", {"default": False}),
        ),
    }
)
def report(
    file: Annotated[
        Path, typer.Argument(metavar="[FILE]", show_default=False, help="Where to, .html.")
    ] = Path("loop.html"),
    **options: Any,
) -> None:
    """Write a page of what the labels say: curves, labels saved, agreement, when to stop."""
    asked = SimpleNamespace(**options)
    with loop_errors():
        check_output(file, "FILE", [".html"], force=asked.force)
        _open(asked.loop).report(file, overwrite=asked.force)
    _tell(f"Written: {file}")


TOOL: tuple[Option, ...] = (
    ("--media", "PREFIX", str, "What comes before paths of files to make addresses of them."),
    ("--guesses", "", bool, "Show what the model guesses, which biases.", {"default": False}),
    ("--project", "N", int, "Label Studio: the project; without, the one of this loop."),
    ("--token", "TEXT", str, "Label Studio: the token; better in LABEL_STUDIO_API_KEY."),
    ("--control", "NAME", str, "Label Studio: the control with the label, where it has several."),
)
TARGET = typer.Argument(
    metavar="[TOOL] TARGET",
    show_default=False,
    help="label-studio and its address, or a file: .csv, .jsonl or .json (Label Studio). Before a "
    "file its format, if its ending does not say it: csv, jsonl, label-studio or prodigy.",
)


@with_options(
    {
        **LOOP,
        "What to send": (
            ("--round", "N", int, "Which round; without, all that are not closed."),
            ("--force", "", bool, "Replace a file that exists.", {"default": False}),
            *TOOL,
        ),
    }
)
def push(target: Annotated[list[str], TARGET], **options: Any) -> None:
    """Ask people in a labelling tool; what is there already is not sent again."""
    asked = SimpleNamespace(**options)
    with loop_errors():
        loop = _open(asked.loop)
        tool = _tool(target, asked)
        if isinstance(place := getattr(tool, "path", None), Path):
            keep_apart({"TARGET": place}, [str(loop.folder / FILE)])
            n = tool.push(loop, asked.round, overwrite=asked.force)
        else:
            n = tool.push(loop, asked.round)
    _tell(f"{n:,} samples: {target[-1]}. Then: labelnext loop pull {' '.join(target)}")


@with_options(
    {
        **LOOP,
        "What to bring": (
            ("--annotator", "NAME", str, "Whose labels a file has, where it does not say so."),
            *TOOL,
        ),
    }
)
def pull(target: Annotated[list[str], TARGET], **options: Any) -> None:
    """Bring labels from a labelling tool; the same ones twice are written once."""
    asked = SimpleNamespace(**options)
    with loop_errors():
        loop = _open(asked.loop)
        n = _tool(target, asked).pull(loop)
    _tell(f"{n:,} new answers.")


def _tool(target: list[str], asked: Any) -> Any:
    """Return the labelling tool that is meant."""
    from labelnext.loop.tools import File, LabelStudio

    *kind, place = target
    shared = {"media": asked.media, "guesses": asked.guesses, "label": asked.control}
    if len(kind) > 1 or (kind and kind[0] not in FORMATS):
        raise InputError(
            f"{' '.join(target)}: expected a target, or a tool and a target; tools are "
            f"{', '.join(FORMATS)}"
        )
    if place.startswith(("http://", "https://")):
        if kind not in ([], ["label-studio"]):
            raise InputError(f"{kind[0]} {place}: only Label Studio has an address")
        return LabelStudio(place, asked.project, token=asked.token, **shared)
    for name in ("project", "token"):
        if getattr(asked, name) is not None:
            raise InputError(f"--{name} is for Label Studio's address; leave it out for a file")
    annotator = getattr(asked, "annotator", None)
    return File(place, kind[0] if kind else None, annotator=annotator, **shared)


# What the library calls options of these commands, and what Python's users are told to do.
_OWN = "text|image|audio|html|id|group|columns|encoder|test|overlap|people|host|port|round"
_ADVICE = {
    rf"\b({_OWN})='([^']*)'": r"--\1 \2",
    rf"\b({_OWN})=": r"--\1",
    rf"^({_OWN}|random|model)\b(?= must| ')": r"--\1",
    r"\bso people must name\b": "so --people must name",
    r"^classes\b|(?<=leave )classes(?= out)": "--labels",
    r"\b(?:the classes must be named, as in )--classes \['good', 'bad'\]": "--labels good,bad",
    r"the classes must be named, as in classes=\['good', 'bad'\]": "give --labels good,bad",
    r"\bloop\.next\(\)": "`labelnext loop next`",
    r"\bloop\.rounds\(\)": "`labelnext loop status`",
    r"\blabelnext\.loop\.Loop\.create\(folder, samples\)": "`labelnext loop init SAMPLES`",
    r"\bname another folder\b": "name another folder with --loop",
    r"^safe_formulas\b": "--safe-formulas",
    r"\b(token|project)=\.{3,4}": r"--\1",
    r"^format must be one of": "a file's format is one of",
    r"\bopen the loop with labelnext\.open_loop\(.*\), or choose another folder": "go on with it, "
    "or name another folder with --loop",
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
        except (LoopError, TrainingError) as error:
            raise InputError(in_our_words(error)) from None
    except InputError as error:
        message = str(error)
        for pattern, words in _ADVICE.items():
            message = re.sub(pattern, words, message)
        raise InputError(message) from None


def _open(folder: Path | None) -> "Loop":
    from labelnext.loop import open_loop

    _own_code()
    if folder is None:
        folder = Path() if Path(FILE).exists() else Path("loop")
        if not (folder / FILE).exists():
            raise InputError(
                "there is no loop here; make one with `labelnext loop init SAMPLES`, or name its "
                "folder with --loop"
            )
    return open_loop(folder)


def _own_code() -> None:
    """Let what the user has written here be imported, as from a script."""
    # After all else, so that no name hides an installed package's.
    if (here := os.getcwd()) not in sys.path:
        sys.path.append(here)


def _check_choice(asked: Any) -> None:
    """Refuse before the work what would be refused after it."""
    from labelnext.strategies import find

    given = [name for name in ("pool", "model", "train") if getattr(asked, name) is not None]
    if len(given) > 1:
        raise InputError(f"--{given[0]} and --{given[1]}: give one of them")
    if asked.encoder is not None and given in (["pool"], ["train"]):
        raise InputError(f"--encoder makes no features with --{given[0]}; leave one out")
    if asked.k < 1:
        raise InputError(f"-k {asked.k}: choose at least one sample")
    for name in ("random", "overlap"):
        if (share := getattr(asked, name)) is not None and not 0 <= share <= 1:
            raise InputError(f"--{name} {share}: a share is from 0 to 1")
    if asked.seed is not None and asked.seed < 0:
        raise InputError(f"--seed {asked.seed}: a seed is 0 or more")
    if asked.strategy is not None:
        find(asked.strategy)


def _waits(loop: "Loop") -> int:
    """Return how many answers people are asked for now."""
    return int(loop.progress()["missing_in_all"])


def _step(loop: "Loop", asked: Any, most: int | None = None) -> bool:
    """Train on all labels, close what is answered, and choose the next; tell if there is one."""
    fitted = _fit(loop, asked)
    done = [each for each in loop.rounds() if not each["missing"]]
    if done and done[-1]["state"] != "trained":
        number = loop.close(fitted.metrics or None, round=done[-1]["number"])
        _call(asked.callback, loop, number, fitted.metrics)
    for line in fitted.said:
        _tell(line)
    if fitted.metrics:
        said = ", ".join(f"{name} {value:.3g}" for name, value in fitted.metrics.items())
        _tell(f"Test set: {said}.")
    chosen = sum(r["kind"] != "test" for r in loop.rounds())
    if most is not None and chosen >= most:
        return False
    return _choose(loop, fitted, asked)


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
            )
    except ValueError as error:
        if not str(error).startswith("Nothing is left"):
            raise
        _tell(f"{one_line(error)}.")
        return False
    at = loop.rounds()[-1]
    _tell(f"Round {at['number']}: {len(batch):,} samples chosen by {at['strategy']}.")
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
        nothing = dict.fromkeys(("proba", "features", "ids", "groups", "labels", "classes", "task"))
        pool = open_files(asked.pool, {**nothing, "bias": None})
        return model.Fitted(pool, model.measure_pool(loop, pool))
    if asked.train is not None and len(loop.labels().labeled):
        from labelnext.loop.train import train

        return train(loop, asked.train, echo=_echo, waiting=say)
    if asked.strategy == "random" and asked.model is None:
        return model.Fitted(model.without_features(loop), {})
    with counting(terminal(), "Features") as progress:
        labels = loop.labels()
        if asked.model is None or len({*map(str, labels.y[labels.labeled])}) < 2:
            return model.fit(loop, encoder=asked.encoder, progress=progress)
        from labelnext.loop.encode import encode

        folder = loop.folder / "features"
        encoded = encode(loop.samples(), folder, encoder=asked.encoder, progress=progress)
    return model.fit(loop, _fitted(asked.model, encoded.pool.features[labels.labeled], labels))


def _fitted(name: str, features: Any, labels: Any) -> Any:
    """Fit a classifier of the user's on the loop's features."""
    import numpy as np

    from labelnext.utils.libraries import imported

    found = imported("model", name)
    try:
        classifier = found if hasattr(found, "fit") and not isinstance(found, type) else found()
        return classifier.fit(features, np.array(labels.y[labels.labeled].tolist()))
    except Exception as error:  # whatever the code of a user's raises
        raise InputError(
            f"--model {name} could not be fitted: {type(error).__name__}: {one_line(error)}"
        ) from None


def _serve_beside(loop: "Loop", asked: Any) -> "subprocess.Popen[bytes]":
    """Serve the page in a process of its own, beside the training."""
    names = ("people", "host", "port", "train")
    more = [f"--{name}={value}" for name in names if (value := getattr(asked, name)) is not None]
    more += ["--no-browser"] if asked.no_browser else []
    env = {**os.environ, BESIDE: str(os.getpid())}
    return subprocess.Popen([*_command("label", loop), *more], env=env)


def _end_with(parent: str | None) -> None:
    """End this process when the one that it serves beside is gone, killed even."""

    def watch() -> None:
        while str(os.getppid()) == parent:
            time.sleep(1)
        os.kill(os.getpid(), signal.SIGTERM)

    if parent is not None:
        threading.Thread(target=watch, daemon=True).start()


def _command(name: str, loop: "Loop") -> list[str]:
    return [sys.executable, "-m", "labelnext", "loop", name, "--loop", str(loop.folder)]


def _echo(chunk: bytes) -> None:
    if sys.stderr is not None:
        sys.stderr.write(chunk.decode(errors="replace"))
        sys.stderr.flush()


def _rounds(rounds: list[dict[str, Any]], metrics: list[dict[str, Any]]) -> "Table":
    from rich.table import Table

    tests = {m["round"]: m for m in reversed(metrics) if m["split"] == "test"}
    measure = next((m["name"] for m in tests.values()), "accuracy")
    table = Table()
    for name in ("round", "by", "state", "picks", "labelled", "missing", measure):
        words = name in ("by", "state")
        table.add_column(name, justify="left" if words else "right", no_wrap=words)
    for each in rounds:
        found = tests.get(each["number"])
        table.add_row(
            str(each["number"]),
            printable(each["strategy"] or each["kind"]),
            each["state"],
            *(f"{each[name]:,}" for name in ("picks", "labeled", "missing")),
            "" if found is None or found["value"] is None else f"{found['value']:.3g}",
        )
    return table


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",")]


def _tell(text: str) -> None:
    from rich.console import Console

    tell(Console(), text)


COMMANDS: dict[str, Callable[..., None]] = {
    "init": init,
    "label": label,
    "next": next_,
    "status": status,
    "report": report,
    "close": close,
    "export": export,
    "push": push,
    "pull": pull,
    "run": run,
}
app = typer.Typer(help=HELP, rich_markup_mode="rich", no_args_is_help=True)
for _name, _function in COMMANDS.items():
    app.command(_name)(_function)
