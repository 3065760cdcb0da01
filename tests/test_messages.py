"""What is said to people: no mark twice, whatever is put into a message."""

import ast
import re
from itertools import pairwise

import pytest
from tests.test_house import ROOT

from labelnext.utils.text import did_you_mean, one_line

DOUBLED = re.compile(
    r"""(?<=[\w'"=)\]}⟦⟧])(?<!et al)(\?[.;,:]|\.\.|\.{4,}|;[.;,]|,[;,]|\.[;:,])(?=\s|$)"""
)
COUNTED = {
    *("ids", "rows", "samples", "picks", "labels", "names", "columns", "classes", "members"),
    *("shards", "files", "features", "entries", "cells", "bytes", "candidates", "elements", "runs"),
}
HOLE = "⟦⟧"  # stands for what is put into a text


def messages(tree):
    """The texts of a file but docstrings, each f-string with what is put into it."""
    inside = {id(part) for each in ast.walk(tree) if isinstance(each, ast.JoinedStr)
              for part in ast.walk(each) if part is not each}  # fmt: skip
    inside |= {id(each.value) for each in ast.walk(tree) if isinstance(each, ast.Expr)}
    for node in ast.walk(tree):
        if id(node) in inside:
            continue
        if isinstance(node, ast.JoinedStr):
            holes = [part.value for part in node.values if isinstance(part, ast.FormattedValue)]
            parts = (p.value if isinstance(p, ast.Constant) else HOLE for p in node.values)
            yield node.lineno, "".join(parts), holes
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value, []


def faults(source):
    """Lines with a mark twice, or where what is put in may bring a mark of its own."""
    tree, found = ast.parse(source), []
    either = [node for node in ast.walk(tree) if isinstance(node, ast.BoolOp)]
    chosen = {id(each) for node in either for v in node.values[:-1] for each in ast.walk(v)}
    for node in ast.walk(tree):
        name = getattr(getattr(node, "func", None), "id", None)
        if name == "did_you_mean" and id(node) not in chosen:
            found.append((node.lineno, "did_you_mean(...) without an `or` for where none is near"))
    for line, text, holes in messages(tree):
        if " " in text and DOUBLED.search(text):
            found.append((line, text))
        for hole, after in zip(holes, text.split(HOLE)[1:], strict=True):
            if getattr(hole, "id", None) == "error" and after[:1] in (*".;",):
                found.append((line, "{error} may end with a mark: take one_line(error)"))
    return found


def counts(source):
    """Lines in which a number stands before a word in the plural, whatever the number is."""
    for node in ast.walk(ast.parse(source)):
        parts = getattr(node, "values", []) if isinstance(node, ast.JoinedStr) else []
        for hole, after in pairwise(parts):
            spec = ast.unparse(getattr(hole, "format_spec", None) or ast.Constant(""))
            if "','" not in spec or ast.unparse(hole.value).isupper():
                continue
            words = str(getattr(after, "value", "")).split(" ")[1:2]
            if words and re.sub(r"\W+$", "", words[0]) in COUNTED:
                yield node.lineno, ast.unparse(hole.value), words[0]


@pytest.mark.parametrize(
    "file",
    sorted(
        each
        for part in ("cli", "pools", "networks", "loop", "report")
        for each in (ROOT / part).rglob("*.py")
    ),
    ids=lambda f: f.stem,
)
def test_one_is_not_said_as_many(file):
    """`counted` says "1 id is", "2 ids are"."""
    assert list(counts(file.read_text("utf-8"))) == []


def test_counts_are_found():
    assert list(counts('f"{len(twice):,} ids are there"')) == [(1, "len(twice)", "ids")]
    assert list(counts('f"has {n:,} rows; {MOST:,} rows and {n:,} of these"')) == [
        (1, "n", "rows;")
    ]


@pytest.mark.parametrize("file", sorted(ROOT.rglob("*.py")), ids=lambda f: f.stem)
def test_no_mark_is_there_twice(file):
    assert faults(file.read_text("utf-8")) == []


@pytest.mark.parametrize(
    "source",
    [
        'raise ValueError(f"no {name!r}{did_you_mean(name, names)}.")',
        'raise ValueError(f"it failed: {error}.")',
        'raise ValueError("give its name: label=....")',
        'raise ValueError("what is it?; say so.")',
        'raise ValueError(f"{a} is bad;. do it")',
    ],
)
def test_faults_are_found(source):
    assert faults(source)


def test_the_marks_of_an_offer_and_of_an_error():
    assert did_you_mean("emebdding", ["embedding"]).endswith("?")
    assert did_you_mean("e\u0301", ["\u00e9"]).endswith(".")
    assert one_line(ValueError("It is\n bad.")) == "It is bad"
