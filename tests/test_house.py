"""The house: no file imports in a circle, and what begins with an underscore stays in its folder.

That imports go only downward is import-linter's to check (`make lint`). Imports in functions and
those for type checkers count here like any other.
"""

import ast
from pathlib import Path

import pytest

import labelnext

ROOT = Path(labelnext.__file__).parent
MODULES = {
    ".".join(("labelnext", *file.relative_to(ROOT).with_suffix("").parts)).removesuffix(
        ".__init__"
    ): file
    for file in sorted(ROOT.rglob("*.py"))
}


def imports_of(name, source, modules):
    """The modules of ours that a file imports, those of the packages it is in left out."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module:
            whole = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {one if one in modules else node.module for one in whole}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return {m for m in found & set(modules) if m != name and not name.startswith(f"{m}.")}


def circles(imports):
    """Sets of modules of which each can be reached from each."""

    def reached(start):
        seen, todo = set(), [start]
        while todo:
            for module in imports[todo.pop()] - seen:
                seen.add(module)
                todo.append(module)
        return seen

    reach = {module: reached(module) for module in imports}
    return {
        frozenset(m for m in reach[module] if module in reach[m])
        for module in imports
        if module in reach[module]
    }


def strangers(imports):
    """Imports of a private module of another folder."""
    return [
        (name, target)
        for name, targets in imports.items()
        for target in targets
        if target.rpartition(".")[2].startswith("_")
        and not f"{name}.".startswith(folder_of(target))
    ]


def folder_of(module):
    return f"{module.rpartition('.')[0]}."


@pytest.fixture(scope="module")
def imports():
    return {
        name: imports_of(name, file.read_text(encoding="utf-8"), MODULES)
        for name, file in MODULES.items()
    }


def test_no_circle_of_files(imports):
    assert circles(imports) == set()


def test_private_modules_stay_in_their_folder(imports):
    own = "labelnext._version"  # the package's own, which its __init__ shows
    assert [pair for pair in strangers(imports) if pair[1] != own] == []


def test_the_checks_find_what_they_are_for():
    sources = {
        "labelnext.a._x": "def f():\n    from labelnext.b import y",
        "labelnext.b.y": "from labelnext.a import _x",
        "labelnext.b": "",
    }
    found = {name: imports_of(name, source, sources) for name, source in sources.items()}
    assert circles(found) == {frozenset({"labelnext.a._x", "labelnext.b.y"})}
    assert strangers(found) == [("labelnext.b.y", "labelnext.a._x")]
