"""Run the quick tests with the versions of Python and of libraries that pyproject.toml allows.

Run by `make matrix`; `make matrix ROWS="lowest 3.14"` runs rows whose names begin so. A row is an
environment of its own in .matrix, made by uv. What can't be had here, an interpreter or a library,
is said, aloud, in the table at the end. A row that only warns never fails the run.
"""

import os
import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
WORK = ROOT / ".matrix"
UV = WORK / "uv"

# A row that takes longer hangs: nothing waits for it.
MOST_SECONDS = 600

TOOLS = ["pytest", "pytest-xdist", "pytest-timeout", "hypothesis", "fsspec"]
# What touches other libraries most; with the lowest and the newest of all, what computes as well.
EDGES = (
    *("tests/pools", "tests/estimators", "tests/experiment", "tests/cli", "tests/utils"),
    *("tests/visualization", "tests/datasets", "tests/samples", "tests/loop", "tests/report"),
    *("tests/tools", "tests/page", "tests/test_tutorial.py"),
)
TESTS = (*EDGES, "tests/sampling", "tests/engine", "tests/strategies")
LARGE = (
    *("torch", "triton", "skorch", "transformers", "ray", "moto", "polars", "rdata"),
    *("playwright", "axe_playwright_python"),
)
NO_PAGE = ("starlette", "uvicorn")


@dataclass(frozen=True)
class Row:
    """One environment: `extras` of ours, `more` requirements, and what it does without."""

    name: str
    python: str
    extras: str = ""
    more: tuple[str, ...] = ()
    without: tuple[str, ...] = LARGE
    lowest: bool = False
    uv: tuple[str, ...] = ()
    tests: tuple[str, ...] = EDGES
    warns: bool = False


ROWS = [
    Row(
        "lowest",
        "3.11",
        "pandas,zarr,label",
        lowest=True,
        without=(*LARGE, "skactiveml"),
        tests=TESTS,
    ),
    Row("3.12 pandas 2", "3.12", "zarr,label", ("pandas<3", "scikit-activeml==1.0.1")),
    Row("3.13 no pandas", "3.13", "zarr", without=(*LARGE, *NO_PAGE, "pandas", "skactiveml")),
    Row(
        "3.14 pandas 3",
        "3.14",
        "pandas,zarr,label",
        ("pandas>=3", "scikit-activeml==1.0.1"),
        tests=TESTS,
    ),
    Row("3.14 no GIL", "3.14t", "pandas,zarr", without=(*LARGE, *NO_PAGE, "skactiveml")),
    # The builds of PyTorch on PyPI bring CUDA: of the oldest one, its own tests alone.
    Row(
        *("oldest torch", "3.11", "pandas,zarr"),
        more=("torch==2.2.0", "skorch==1.1.0", "numpy<2"),
        without=("torch-2.9", "transformers", "ray", "moto", "polars", "rdata", "skactiveml"),
        tests=("tests/networks", "tests/estimators", "tests/engine/test_torch.py"),
    ),
    Row(
        *("pre-releases", "3.13", "pandas,zarr,label"),
        without=(*LARGE, "skactiveml"),
        uv=("--prerelease", "allow"),
        warns=True,
    ),
]


class NotToBeHadError(Exception):
    """This machine can't have what a row needs."""


def run(command, *, check=True, **options):
    command = [str(part) for part in command]
    return subprocess.run(command, check=check, text=True, timeout=MOST_SECONDS, **options)


def works(python, version):
    """Whether it is that version. (A shim of pyenv may be there and start nothing.)"""
    code = (
        "import sys, sysconfig, venv; free = bool(sysconfig.get_config_var('Py_GIL_DISABLED')); "
        f"sys.exit('%d.%d' % sys.version_info[:2] + 't' * free != '{version}')"
    )
    try:
        return (
            subprocess.run([python, "-c", code], capture_output=True, check=False).returncode == 0
        )
    except OSError:
        return False


def interpreter(version):
    """Return the command to begin with to be where that Python is, and its name there."""
    found = shutil.which(f"python{version}")
    if found and works(found, version):
        return [], found
    if shutil.which("pyenv"):
        listed = run(["pyenv", "versions", "--bare"], stdout=subprocess.PIPE).stdout.split()
        for one in reversed(listed):
            if not one.startswith(version.removesuffix("t")):
                continue
            prefix = run(["pyenv", "prefix", one], stdout=subprocess.PIPE).stdout.strip()
            if works(f"{prefix}/bin/python", version):
                return [], f"{prefix}/bin/python"
    return debian(version), f"python{version}"


def debian(version):
    """Put Debian unstable, which has the newest Python, into a folder; return how to be in it."""
    if os.geteuid() or not all(map(shutil.which, ("apt-get", "unshare", "chroot"))):
        raise NotToBeHadError(f"no python{version}, and not root on Debian to get it")
    if not shutil.which("debootstrap"):
        run(["apt-get", "install", "-qq", "-y", "--no-install-recommends", "debootstrap"])
    folder = WORK / f"debian-{version}"
    if not (folder / f"usr/bin/python{version}").exists():
        shutil.rmtree(folder, ignore_errors=True)
        packages = f"--include=python{version}-venv,python{version}-dev,g++,ca-certificates"
        try:
            run(["debootstrap", "--variant=minbase", packages, "sid", folder], stdout=-3)
        except subprocess.CalledProcessError:
            raise NotToBeHadError(f"no python{version} on this machine, nor in Debian") from None
    shutil.copy("/etc/ssl/certs/ca-certificates.crt", folder / "etc/ssl/certs/")
    # The mounts are seen by this command alone, and end with it.
    enter = (
        f"mkdir -p '{folder}{ROOT}' && mount --bind '{ROOT}' '{folder}{ROOT}' && "
        f"mount -t proc proc '{folder}/proc' && mount -t tmpfs tmp '{folder}/dev/shm' && "
        f'exec chroot \'{folder}\' sh -c \'cd "{ROOT}" && exec "$@"\' sh "$@"'
    )
    return ["unshare", "--mount", "sh", "-c", enter, "sh"]


def prepare(row):
    """Make the environment of a row; return how to be there, and its interpreter."""
    there, python = interpreter(row.python)
    env = WORK / re.sub(r"\W+", "-", row.name)
    shutil.rmtree(env, ignore_errors=True)
    run([*there, UV, "venv", "--quiet", "--python", python, env])
    ours = f".[{row.extras}]"
    # The lowest versions are those of what pyproject.toml names; the tools stay new.
    pins = []
    if row.lowest:
        pins = ["--constraint", env / "lowest.txt"]
        extras = [f"--extra={one}" for one in row.extras.split(",")]
        lowest = ["--resolution", "lowest-direct", "--python", env / "bin/python", "--quiet"]
        run([UV, "pip", "compile", "pyproject.toml", *extras, *lowest, "-o", env / "lowest.txt"])
    install = [UV, "pip", "install", "--quiet", "--python", env / "bin/python", *row.uv, *pins]
    # What is cached of ours may be of older code: uv looks at pyproject.toml alone.
    run([*there, *install, "--refresh-package", "labelnext", ours, *row.more, *TOOLS])
    run([*there, UV, "pip", "check", "--python", env / "bin/python"])
    return there, env / "bin/python"


def try_row(row):
    """Return what became of a row, and what was seen of it."""
    try:
        there, python = prepare(row)
    except NotToBeHadError as error:
        return "NOT RUN", str(error)
    except subprocess.CalledProcessError:
        return "NOT RUN" if row.warns else "FAILED", "its libraries do not install together"
    environment = os.environ | {"CI": "true", "LABELNEXT_TESTS_WITHOUT": " ".join(row.without)}
    environment |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    versions = run(
        [*there, UV, "pip", "list", "--python", python], stdout=subprocess.PIPE
    ).stdout.split()
    shown = ("numpy", "scipy", "scikit-learn", "pyarrow", "pandas", "matplotlib")
    seen = " ".join(f"{a} {b}" for a, b in pairwise(versions) if a in shown)
    # Old and new versions together warn of one another: of others' deprecations.
    calm = ["-W", "ignore::DeprecationWarning"] if row.lowest or row.uv else []
    # Zarr 3.1 of its own texts.
    calm += ["-W", "ignore:The codec:UserWarning"] if row.lowest else []
    # Torch before 2.3 of its own modules.
    calm += ["-W", "ignore:Lazy modules:UserWarning"] if "torch==2.2.0" in row.more else []
    options = [*calm, "-q", "-n", "auto", "-m", "not slow and not gpu", "-p", "no:cacheprovider"]
    # The chosen folders are tested as installed, not from src.
    tests = run(
        [*there, python, "-m", "pytest", *options, *row.tests],
        env=environment,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        check=False,
    )
    counts = re.findall(r"^.*\b\d+ passed.*$", tests.stdout, flags=re.M)
    if tests.returncode:
        print(tests.stdout, flush=True)
    result = "passed" if tests.returncode == 0 else "WARNING" if row.warns else "FAILED"
    return result, f"{counts[-1].strip(' =') if counts else 'no test ran'}; {seen}"


def main(names):
    WORK.mkdir(exist_ok=True)
    from uv import find_uv_bin

    shutil.copy(find_uv_bin(), UV)
    os.environ["UV_CACHE_DIR"] = str(WORK / "cache")
    table = []
    for row in ROWS:
        if names and not row.name.startswith(tuple(names)):
            continue
        begun = time.monotonic()
        print(f"== {row.name}: Python {row.python}", flush=True)
        try:
            result, seen = try_row(row)
        except (subprocess.SubprocessError, OSError) as error:
            result = "WARNING" if row.warns else "FAILED"
            seen = f"not done: {error}"[:300]
        table.append((result, row.name, f"{time.monotonic() - begun:.0f} s", seen))
        print(*table[-1], sep="  ", flush=True)
    print("\nresult   row               time   what was seen")
    for result, name, seconds, seen in table:
        print(f"{result:8} {name:16} {seconds:>6}   {seen}")
    sys.exit(any(result == "FAILED" for result, *_ in table) or not table)


if __name__ == "__main__":
    main(sys.argv[1:])
