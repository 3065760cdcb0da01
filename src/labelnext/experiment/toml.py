"""Experiments in TOML files."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from labelnext.experiment._catalog import check_known, find_data, find_model, find_strategy
from labelnext.experiment._experiment import Experiment
from labelnext.experiment._records import Budget
from labelnext.utils.text import one_line

EXAMPLE = """\
# An experiment: every strategy in every setting at every seed.
# Run it, and run it again whenever it was stopped:  labelnext simulate {name} --out results

# digits, letter, satellite, shuttle, fashion-mnist, newsgroups, or a file of your own with the
# arrays X and y: {{ use = "file", name = "mine", file = "mine.npz" }}
data = ["digits", {{ use = "letter", samples = 6000 }}]

# logistic, mlp, forest, naive-bayes, neighbours; with parameters of scikit-learn:
# {{ use = "mlp", hidden_layer_sizes = [128] }}
models = ["logistic"]

# Any name that "labelnext strategies" lists, or margin, entropy, least-confident; with parameters:
# {{ use = "max-herding", radius = 0.5 }}; your own are "module:Class", which needs --allow-imports.
# The first is the one to look at.
strategies = ["badge", "margin", "random"]

# How many labels at the start, how many a batch buys, and how many batches.
budgets = [{{ start = 50, batch = 50, rounds = 8 }}]

seeds = 5            # how many, or a list; ten or more for results to rely on
levels = []          # accuracies for which to count labels, such as [0.8, 0.9]
"""
EXAMPLES = {"data": "digits", "models": "logistic", "strategies": "badge"}
REQUIRED = (*EXAMPLES, "budgets")
OPTIONAL = ("seeds", "test_size", "levels", "reference")


def read_experiment(path: str | Path, *, allow_imports: bool = False) -> Experiment:
    """Read an experiment from a TOML file.

    Its keys are the parameters of `Experiment`. Data, models and strategies are names or tables:
    ``use`` is what to use, ``name`` what the results are to call it, and all else are parameters.
    ``labelnext simulate --example`` writes such a file.

    A ``use = "module:name"`` runs the code of that module. Of a file that you were sent, look
    what it names before you allow that.

    Parameters
    ----------
    path : str or Path
        The file.
    allow_imports : bool, default=False
        Whether the file may name classes and functions of any module, as ``module:name``.

    Returns
    -------
    Experiment
        The experiment.

    Raises
    ------
    ValueError
        If the file is no TOML, a key is missing or not known, or a value makes no sense.
    OSError
        If the file cannot be read.

    Examples
    --------
    >>> from pathlib import Path
    >>> from labelnext.experiment import read_experiment
    >>> path = Path(getfixture("tmp_path"), "experiment.toml")
    >>> size = path.write_text('''
    ... data = ["digits"]
    ... models = ["logistic"]
    ... strategies = ["badge", { use = "margin", name = "smallest margin" }]
    ... budgets = [{ start = 20, batch = 10, rounds = 5 }]
    ... ''')
    >>> list(read_experiment(path).strategies)
    ['badge', 'smallest margin']
    """
    path = Path(path)
    try:
        if path.exists() and not path.is_file():
            raise OSError("it is no ordinary file")
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise type(error)(f"Cannot read {path}: {error.strerror or error}.") from error
    # UnicodeDecodeError and numbers of thousands of digits are ValueErrors, too.
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not a TOML file: {one_line(error)}.") from error
    check_known("key", content, (*REQUIRED, *OPTIONAL), str(path))
    for key in REQUIRED:
        if key not in content:
            raise ValueError(f"{path}: {key} is missing; it needs {', '.join(REQUIRED)}.")
    kinds = {"data": find_data, "models": find_model, "strategies": find_strategy}
    try:
        parts: dict[str, Any] = {
            key: _named(key, content[key], find, path.parent, allow_imports=allow_imports)
            for key, find in kinds.items()
        }
        return Experiment(
            **parts,
            budgets=[_budget(table) for table in _listed(content["budgets"])],
            **{key: content[key] for key in OPTIONAL if key in content},
        )
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _named(
    key: str, value: Any, find: Callable[..., Any], folder: Path, *, allow_imports: bool
) -> dict[str, Any]:
    """Make what names and tables stand for, under the names that results will have."""
    found: dict[str, Any] = {}
    for item in _listed(value):
        options = {"use": item} if isinstance(item, str) else item
        if not isinstance(options, dict):
            raise ValueError(
                f'{key} must be names such as "{EXAMPLES[key]}", or tables, got {item!r}.'
            )
        if "use" not in options:
            raise ValueError(f"a table needs the key use, which says what to use, got {item}.")
        # TOML has lists only; scikit-learn wants some of its parameters as tuples.
        options = {name: tuple(v) if isinstance(v, list) else v for name, v in options.items()}
        use = options.pop("use")
        name = options.pop("name", use)
        for word, text in (("use", use), ("name", name), ("file", options.get("file", ""))):
            if not isinstance(text, str):
                raise ValueError(f"{key}: {word} must be a text in quotes, got {text!r}.")
        if name in found:
            raise ValueError(f"{name!r} is there twice; give one of them a name = of its own.")
        if ":" in use and not allow_imports:
            module = use.partition(":")[0]
            raise ValueError(
                f"{key}: {use!r} would import {module} and run its code. If you trust this file "
                "and that module, say so with allow_imports=True."
            )
        if key == "data" and "file" in options:
            # As seen from the file that names it.
            options["file"] = str(folder / options["file"])
        found[name] = find(use, options)
    return found


def _budget(table: Any) -> Budget:
    if not isinstance(table, dict):
        raise ValueError(f"a budget is a table of start, batch and rounds, got {table!r}.")
    check_known("key", table, Budget._fields, "budgets")
    for key in Budget._fields:
        if key not in table:
            raise ValueError(f"budgets: {key} is missing; a budget has start, batch and rounds.")
    return Budget(**table)
