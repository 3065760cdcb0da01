"""Optional libraries."""

import math

import pytest

from labelnext.utils.libraries import require


def test_what_is_installed_is_imported():
    assert require("math", extra="none", what="a test") is math


def test_what_is_missing_is_said_with_its_extra():
    with pytest.raises(ImportError, match=r'a test needs nonesuch.*"labelnext\[more\]"') as caught:
        require("nonesuch", extra="more", what="a test")
    assert caught.value.name == "nonesuch"


def test_what_is_broken_says_itself_why(tmp_path, monkeypatch):
    (tmp_path / "broken_library.py").write_text("import nonesuch_within")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="nonesuch_within"):
        require("broken_library", extra="more", what="a test")
