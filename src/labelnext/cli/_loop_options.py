"""The options of ``labelnext loop``, in tables."""

from enum import StrEnum
from pathlib import Path

import typer

from labelnext.cli._pool import Option


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
        *("--classes", "NAMES", str),
        "The names of --pool's classes in the order of its columns, where it does not say them, "
        "as good,bad or a file.",
    ),
    (
        *("--model", "module:name", str),
        "A classifier of yours, fitted on the loop's features in place of the default.",
    ),
    (
        *("--train", "WHAT", str),
        "Your training, in a process of its own: module:function, or a command in quotes.",
    ),
    (
        *("--model-name", "NAME", str),
        "What the model is called: each has a learning curve of its own. Without, default, --pool, "
        "or the --model or --train.",
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
    (
        "--people",
        "NAMES",
        str,
        "Who labels, as ann,bo: each gets an address of their own. Without, as the last time.",
    ),
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

CHANGE: tuple[Option, ...] = (
    ("--files", "FOLDER", Path, "The folder that pictures or sounds have moved to."),
    ("--labels", "NAMES", str, "All classes from now on, as good,bad,unsure or a file."),
    ("--guidelines", "FILE", Path, "Shown beside the samples from now on: Markdown."),
)

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
    "file its format, if its ending does not say it: csv, jsonl, label-studio, prodigy, "
    "cvat or argilla.",
)
