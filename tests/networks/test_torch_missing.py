"""Without torch, labelnext works, and says how to get what needs it."""

import subprocess
import sys

import pytest

import labelnext
import labelnext.networks

HEAVY = ["torch", "skorch", "transformers", "pandas", "pyarrow"]


def _run(code):
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)


def test_nothing_heavy_is_imported_before_it_is_called():
    # scikit-learn itself imports pandas, and that pyarrow, where it finds them.
    _run(
        "import sys, sklearn.base; before = set(sys.modules)\n"
        "import labelnext, labelnext.networks; labelnext.extract; labelnext.networks.find_head\n"
        f"new = (set(sys.modules) - before) & set({HEAVY}); assert not new, new"
    )


def test_labelnext_itself_imports_nothing_but_what_is_used():
    _run(
        "import sys, labelnext\n"
        "heavy = {'numpy', 'scipy', 'sklearn', 'pyarrow', 'matplotlib'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
        "import labelnext.cli  # as each call of the command\n"
        "assert heavy & set(sys.modules) <= {'numpy'}, heavy & set(sys.modules)\n"
        "assert {'Pool', 'select', 'open_loop', 'strategies'} <= set(dir(labelnext))\n"
        "from labelnext import *; Pool, Ray, select, extract, open_loop"
    )


@pytest.mark.parametrize(
    "call", [labelnext.extract, labelnext.networks.proba_and_features, labelnext.networks.find_head]
)
def test_the_extra_is_named(call, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)  # what Python says of a missing module
    with pytest.raises(ImportError, match=r'needs torch, .*pip install "labelnext\[torch\]"') as no:
        call(None, None)
    assert call.__name__ in str(no.value)
