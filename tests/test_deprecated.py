"""Packages renamed since 0.1 can still be imported by their old names, with a warning."""

import importlib

import pytest

import labelnext

OLD = {
    "gradients": ("engine", "as_gradients"),
    "models": ("estimators", "SklearnClassifier"),
    "storage": ("pools", "open_source"),
    "testing": ("strategies", "check_query_strategy"),
}


@pytest.mark.parametrize("old", OLD)
def test_renamed_packages_warn(old):
    new, name = OLD[old]
    thing = getattr(importlib.import_module(f"labelnext.{new}"), name)
    message = rf"labelnext\.{old} is labelnext\.{new} since version 0\.2; .* goes with 0\.3"
    with pytest.warns(FutureWarning, match=message) as warned:
        exec(f"from labelnext.{old} import {name}", scope := {})
    assert scope[name] is thing
    assert warned[0].filename == "<string>"  # where the old name stands
    with pytest.warns(FutureWarning, match=message):
        assert getattr(getattr(labelnext, old), name) is thing


def test_nothing_warns_that_asks_for_no_old_name():
    assert not hasattr(labelnext.storage, "__path__")
    assert "storage" not in dir(labelnext)
    with pytest.raises(AttributeError, match="no attribute 'stroage'"):
        labelnext.stroage  # noqa: B018
