"""Build the sdist and the wheel, and see that both are whole and work where nothing else is.

Run by `make dist`. The steps: build; render the README as PyPI does; compare what is in the files
with what git knows; install each in a bare environment and run the main job there; let mypy and
pyright check a user's file against the installed wheel.
"""

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DIST = ROOT / "dist"

# What the sdist holds beside the package: enough to test it, and to build the documentation.
FOLDERS = ("src", "native", "tests", "examples", "benchmarks", "docs")
FILES = (
    *("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "CITATION.cff", "LICENSE"),
    *("Makefile", "pyproject.toml", ".gitignore"),
)

# What a user with strict types writes: all of it has a type.
USER = """
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import labelnext
from labelnext.pool import Badge, QueryStrategy


def choose(proba: NDArray[np.float64], features: NDArray[np.float32]) -> list[str]:
    pool = labelnext.Pool(proba, features, ids=[str(i) for i in range(len(proba))])
    batch: labelnext.Batch = labelnext.select(pool, 3, strategy="badge", random_state=0)
    batch.save(Path("batch.csv"))
    strategy: QueryStrategy = Badge(random_state=0)
    labelnext.select(labelnext.open_pool("pool"), 3, strategy=strategy, cluster=labelnext.Ray())
    return [str(one) for one in np.asarray(batch.ids)]
"""


def run(*command, **options):
    print("+", " ".join(str(part) for part in command), flush=True)
    return subprocess.run([str(part) for part in command], check=True, **options)


def build():
    shutil.rmtree(DIST, ignore_errors=True)
    run(sys.executable, "-m", "build", "--outdir", DIST, ROOT)
    (sdist,), (wheel,) = DIST.glob("*.tar.gz"), DIST.glob("*.whl")
    return sdist, wheel


def tracked():
    """The files of this clone, or of this unpacked sdist."""
    if (ROOT / ".git").exists():
        names = run(
            "git", "-C", ROOT, "ls-files", "-co", "--exclude-standard", stdout=-1, text=True
        )
        return {name for name in names.stdout.splitlines() if (ROOT / name).is_file()}
    return {str(p.relative_to(ROOT)) for p in ROOT.rglob("*") if p.is_file()}


def check_contents(sdist, wheel):
    ours = tracked()
    expected = {n for n in ours if n in FILES or n.partition("/")[0] in FOLDERS}
    with tarfile.open(sdist) as archive:
        held = {m.name.partition("/")[2] for m in archive.getmembers() if m.isfile()}
    same("sdist", held - {"PKG-INFO"}, expected)

    package = {n.removeprefix("src/") for n in ours if n.startswith("src/")}
    assert "labelnext/py.typed" in package
    with zipfile.ZipFile(wheel) as archive:
        held = set(archive.namelist())
    # What is compiled from native/: one file, and nothing of how it was made.
    built = {n for n in held if n.startswith("labelnext/engine/_kernels.")} - package
    assert len(built) == 1, f"The wheel should have one extension, not {built or 'none'}."
    about = f"{'-'.join(wheel.name.split('-')[:2])}.dist-info"
    names = ("METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE")
    same("wheel", held, package | built | {f"{about}/{name}" for name in names})


def same(what, held, expected):
    missing, more = sorted(expected - held), sorted(held - expected)
    if missing or more:
        sys.exit(
            f"The {what} lacks {missing or 'nothing'}, and should not have {more or 'nothing'}."
        )


def check_installed(path):
    """Install a file in a bare environment, and run the main job away from the clone."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        run(sys.executable, "-m", "venv", folder / "env")
        python, bin_ = folder / "env/bin/python", folder / "env/bin"
        run(python, "-m", "pip", "install", "--quiet", path)
        run(python, "-m", "pip", "check")
        env = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "VIRTUAL_ENV"))}
        options = {"cwd": folder, "env": env}
        run(python, "-W", "error", ROOT / ".ci/main_job.py", "pool", **options)
        for command in (
            ["select", "pool", "-k", "5", "-o", "batch.csv", "--plot", "batch.png"],
            ["strategies"],
            ["demo", "--seeds", "2", "--out", "demo"],
        ):
            run(bin_ / "labelnext", *command, **options, stdout=subprocess.DEVNULL)
        assert (folder / "batch.csv").is_file()
        assert (folder / "demo/learning-curves.png").is_file()
        if path.suffix == ".whl":
            check_types(folder, python, options)


def check_types(folder, python, options):
    (folder / "user.py").write_text(USER)
    run(python, "-m", "pip", "install", "--quiet", "mypy", "pyright")
    run(python, "-m", "mypy", "--strict", "user.py", **options)
    if shutil.which("node"):
        run(python, "-m", "pyright", "--pythonpath", python, "user.py", **options)
    elif os.environ.get("CI"):
        sys.exit("pyright needs node: apt install nodejs npm")
    else:
        print("NOT RUN: pyright, which needs node")


if __name__ == "__main__":
    built = build()
    run(sys.executable, "-m", "twine", "check", "--strict", *built)
    check_contents(*built)
    for path in reversed(built):
        check_installed(path)
    print("sdist and wheel are whole, and work in a bare environment")
