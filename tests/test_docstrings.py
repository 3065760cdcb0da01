"""Every public docstring is complete numpydoc: the standard that `make lint` cannot see."""

import importlib
import inspect

import pytest
from numpydoc.validate import validate

PACKAGES = [
    "labelnext",
    "labelnext.classifier",
    "labelnext.datasets",
    "labelnext.experiment",
    "labelnext.loop",
    "labelnext.cluster",
    "labelnext.engine",
    "labelnext.estimators",
    "labelnext.networks",
    "labelnext.page",
    "labelnext.pool",
    "labelnext.samples",
    "labelnext.sampling",
    "labelnext.pools",
    "labelnext.strategies",
    "labelnext.tools",
    "labelnext.utils",
    "labelnext.visualization",
]

# Not asked of each docstring: an extended summary, links and, of one method, an example.
NOT_ASKED = {"ES01", "SA01", "EX01"}
# A method or property without parameters says in its first line what it returns.
NOT_ASKED_OF_METHODS = {"RT01", "PR01", "YD01"}


def _public_objects():
    for package in PACKAGES:
        module = importlib.import_module(package)
        for name in module.__all__:
            obj = getattr(module, name)
            if not (inspect.isclass(obj) or inspect.isfunction(obj)):
                continue
            yield f"{package}.{name}", NOT_ASKED
            if inspect.isclass(obj):
                for method, member in vars(obj).items():
                    # A docstring is written once: an override may leave it to the base.
                    if member.__doc__ is None and any(hasattr(b, method) for b in obj.__bases__):
                        continue
                    if not method.startswith("_") and (
                        inspect.isfunction(member) or isinstance(member, property)
                    ):
                        yield f"{package}.{name}.{method}", NOT_ASKED | NOT_ASKED_OF_METHODS


PUBLIC = dict(_public_objects())


@pytest.mark.parametrize("name", PUBLIC)
def test_docstring_is_complete(name):
    errors = [
        f"{code}: {text}" for code, text in validate(name)["errors"] if code not in PUBLIC[name]
    ]
    assert errors == []


@pytest.mark.parametrize(
    "name", [name for name in PUBLIC if name.split(".")[-1][0].isupper() and name.count(".") < 3]
)
def test_public_classes_have_an_example(name):
    codes = {code for code, _ in validate(name)["errors"]}
    obj = getattr(importlib.import_module(name.rpartition(".")[0]), name.rpartition(".")[2])
    if not inspect.isabstract(obj) and not issubclass(obj, tuple):
        assert "EX01" not in codes
