"""Without torch, labelnext works, and says how to get what needs it."""

import subprocess
import sys

HEAVY = ["torch", "skorch", "transformers", "numba", "pandas", "pyarrow"]


def _run(code):
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)


def test_nothing_heavy_is_imported_before_it_is_called():
    # scikit-learn itself imports pandas, and that pyarrow, where it finds them.
    _run(
        "import sys, sklearn.base; before = set(sys.modules)\n"
        "import labelnext, labelnext.networks; labelnext.extract; labelnext.networks.find_head\n"
        f"new = (set(sys.modules) - before) & set({HEAVY}); assert not new, new"
    )


def test_the_extra_is_named():
    for call in ("labelnext.extract", "networks.proba_and_features", "networks.find_head"):
        run = _run(
            "import sys\n"
            "class Blocked:\n"
            "    def find_spec(self, name, path=None, target=None):\n"
            "        if name == 'torch': raise ModuleNotFoundError('blocked', name=name)\n"
            "sys.meta_path.insert(0, Blocked())\n"
            "import labelnext; from labelnext import networks\n"
            f"try: {call}(None, None)\n"
            "except ImportError as error: print(error)"
        )
        assert 'needs torch, which is not installed: pip install "labelnext[torch]"' in run.stdout
        assert call.removeprefix("labelnext.") in run.stdout
