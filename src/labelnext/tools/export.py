"""Labels out: one row for each sample that somebody has answered, as CSV, JSON Lines or Parquet."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from labelnext.pools.disk import write_whole, writing
from labelnext.utils.text import as_csv

if TYPE_CHECKING:
    from collections.abc import Container

    from labelnext.loop import Rule

FORMATS = (".csv", ".jsonl", ".parquet")
# What one person says of a sample; None is "cannot tell".
VOTES = ("label", "import", "cannot-tell")
# What a spreadsheet takes for the beginning of a formula.
FORMULAS = ("=", "+", "-", "@", "\t", "\r")


def export(
    loop: Any,
    path: str | os.PathLike[str],
    *,
    rule: Rule = "majority",
    content: bool = True,
    safe_formulas: bool = False,
    overwrite: bool = False,
) -> int:
    """
    Write the labels of a loop to a file that pandas, spreadsheets and Hugging Face load.

    There is a row for each sample that somebody has answered: its id, split, label and whether it
    is finished, how many people it still wants; who has said what; its round, place and kind of
    pick; when the last answer came, and what is shown of it. Where people do not agree, or cannot
    tell, the label is empty. ``datasets.load_dataset("csv", data_files="labels.csv")`` loads it.

    Parameters
    ----------
    loop : Loop
        The loop.
    path : str or path-like
        The file: .csv, .jsonl or .parquet. Parquet also has the number of the class, which
        Hugging Face's ``datasets`` knows as a ClassLabel with the loop's names.
    rule : {"majority", "unanimous", "adjudicated"}, default="majority"
        What makes a label where several people have said something.
    content : bool, default=True
        Whether the text, path or row goes along.
    safe_formulas : bool, default=False
        Whether cells of a .csv that a spreadsheet would take for formulas get an apostrophe first,
        which changes them.
    overwrite : bool, default=False
        Whether to replace a file that is there.

    Returns
    -------
    int
        How many rows were written.

    Raises
    ------
    ValueError
        If the name ends in none of these, or `safe_formulas` is asked for of another format.
    FileExistsError
        If the file is there and `overwrite` is not asked for.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from labelnext.loop import Loop
    >>> from labelnext.tools.export import export
    >>> folder = tempfile.TemporaryDirectory()
    >>> loop = Loop.create(folder.name + "/loop", ["Well made", "Broke"], classes=["good", "bad"])
    >>> _ = loop.add_labels(["1"], ["bad"], annotator="ann", source="memory")
    >>> export(loop, folder.name + "/labels.csv", content=False)
    1
    >>> print(pathlib.Path(folder.name, "labels.csv").read_text())
    id,label,split,...
    1,bad,pool,...
    >>> folder.cleanup()
    """
    ending = os.path.splitext(os.fspath(path))[1].lower()
    if ending not in FORMATS:
        raise ValueError(f"{os.fspath(path)}: expected a name that ends in {', '.join(FORMATS)}.")
    if safe_formulas and ending != ".csv":
        raise ValueError("safe_formulas is for .csv files alone; leave it out.")
    columns = table_of(loop, rule=rule, content=content)
    for names in (loop.classes or (), loop.samples().ids) if safe_formulas else ():
        known = {*names}
        for same in (name for name in names if safe(name) != name and safe(name) in known):
            raise ValueError(
                f"safe_formulas would make of {same!r} {safe(same)!r}, which there is, too; leave "
                "it out."
            )
    if ending == ".parquet":
        written = _parquet(columns, loop)
    elif ending == ".jsonl":
        rows = zip(*columns.values(), strict=True)
        lines = (
            json.dumps(dict(zip(columns, row, strict=True)), ensure_ascii=False) for row in rows
        )
        written = "".join(f"{line}\n" for line in lines).encode()
    else:
        cells = {name: [_cell(value) for value in values] for name, values in columns.items()}
        if safe_formulas:
            cells = {name: [safe(text) for text in texts] for name, texts in cells.items()}
        written = as_csv(cells)
    with writing(str(path), "make room, or choose another place."):
        write_whole(path, written, overwrite=overwrite)
    return len(columns["id"])


def table_of(loop: Any, *, rule: Rule = "majority", content: bool = True) -> dict[str, list[Any]]:
    """
    Return labels as columns: a row for each sample that somebody has answered.

    Parameters
    ----------
    loop : Loop
        The loop.
    rule, content : optional
        As for `export`.

    Returns
    -------
    dict
        Lists of one length by the names of the columns.

    Examples
    --------
    >>> import tempfile
    >>> from labelnext.loop import Loop
    >>> from labelnext.tools.export import table_of
    >>> folder = tempfile.TemporaryDirectory()
    >>> loop = Loop.create(folder.name + "/loop", ["Well made", "Broke"], classes=["good", "bad"])
    >>> _ = loop.add_labels(["1"], ["bad"], annotator="ann", source="memory")
    >>> table_of(loop)["label"]
    ['bad']
    >>> folder.cleanup()
    """
    labels, samples = loop.labels(rule, split="all"), loop.samples()
    votes, last = _votes(loop)
    picks: dict[str, dict[str, Any]] = {}
    testing = set()
    for number in (each["number"] for each in loop.rounds()):
        for pick in loop.picks(number):
            picks[pick["id"]] = {**pick, "round": number}
            testing |= {pick["id"]} if pick["kind"] == "test" else set()
    rows = [row for row, name in enumerate(samples.ids) if name in votes]
    ids = [samples.ids[row] for row in rows]
    found = [picks.get(name, {}) for name in ids]
    columns: dict[str, list[Any]] = {
        "id": ids,
        "label": [_plain(labels.y[row]) for row in rows],
        "split": ["test" if name in testing else "pool" for name in ids],
        "finished": [pick.get("need", 0) == 0 for pick in found],
        "annotators": [sorted(votes[name]) for name in ids],
        "votes": [[votes[name][who] for who in sorted(votes[name])] for name in ids],
        "round": [pick.get("round") for pick in found],
        "rank": [pick.get("rank") for pick in found],
        "pick": [pick.get("kind") for pick in found],
        "time": [datetime.fromtimestamp(last[name], UTC).isoformat("T", "seconds") for name in ids],
    }
    if content:
        columns[samples.kind] = [samples.contents[row] for row in rows]
    return columns


def _votes(loop: Any) -> tuple[dict[str, dict[str, Any]], dict[str, float]]:
    """Return what each person says of each sample that is answered, and when the last was said."""
    votes: dict[str, dict[str, Any]] = {}
    last: dict[str, float] = {}
    events = [event for event in loop.events() if not event.undone]
    for event in events:
        if event.action not in (*VOTES, "skip", "adjudicate"):
            continue
        said = votes.setdefault(event.sample, {})
        if event.action == "skip":  # which takes back what the person has said before
            said.pop(event.annotator, None)
            continue
        last[event.sample] = event.at
        if event.action in VOTES:
            said[event.annotator] = event.value
    decided = {event.sample for event in events if event.action == "adjudicate"}
    return {name: said for name, said in votes.items() if said or name in decided}, last


def _plain(value: Any) -> Any:
    """Return a label as JSON has it."""
    if isinstance(value, list) or value is None:
        return value
    return None if value != value else value if isinstance(value, str) else float(value)  # noqa: PLR0124


def _cell(value: Any) -> Any:
    """Return a value as a cell of CSV: lists as JSON."""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list) else value


def safe(value: Any) -> Any:
    """Return a cell that a spreadsheet takes for no formula.

    >>> safe("=SUM(A1)"), safe("fine"), safe(-1.5)
    ("'=SUM(A1)", 'fine', -1.5)
    """
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULAS) else value


def as_it_was(text: str, known: Container[str]) -> str:
    """Return what `safe` was given, of names that are known.

    >>> as_it_was("'=SUM(A1)", ["=SUM(A1)"]), as_it_was("'d", ["d"])
    ('=SUM(A1)', "'d")
    """
    plain = text.removeprefix("'")
    return plain if text not in known and plain in known and safe(plain) == text else text


def _parquet(columns: dict[str, list[Any]], loop: Any) -> bytes:
    """Lay out Parquet, which says to Hugging Face what the classes are."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    # A vote is a text whatever it says: a list of several kinds is no column.
    votes = [
        [each if each is None or isinstance(each, str) else json.dumps(each) for each in row]
        for row in columns["votes"]
    ]
    texts, number = pa.list_(pa.string()), pa.int64()
    kinds = {"annotators": texts, "votes": texts, "round": number, "rank": number}
    kinds["label"] = {"multiclass": pa.string(), "multilabel": texts}.get(loop.task, pa.float64())
    kinds["finished"] = pa.bool_()
    arrays = {
        name: pa.array(votes if name == "votes" else values, kinds.get(name, pa.string()))
        for name, values in columns.items()
    }
    table = pa.table(arrays)
    if loop.task == "multiclass":
        place = {name: at for at, name in enumerate(loop.classes)}
        numbers = pa.array([place.get(label) for label in columns["label"]], number)
        table = table.append_column("class", numbers)
        features = {name: _hugging_face(table.field(name).type) for name in table.column_names}
        features["class"] = {"names": loop.classes, "_type": "ClassLabel"}
        said = json.dumps({"info": {"features": features}})
        table = table.replace_schema_metadata({"huggingface": said})
    out = pa.BufferOutputStream()
    pq.write_table(table, out)
    return out.getvalue().to_pybytes()  # type: ignore[no-any-return]


def _hugging_face(kind: Any) -> Any:
    import pyarrow as pa

    if pa.types.is_list(kind):
        return [_hugging_face(kind.value_type)]  # which old and new versions read
    return {"dtype": str(kind), "_type": "Value"}
