"""The command as a shell starts it."""

import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import typer

import labelnext

SCRIPT = Path(sys.executable).with_name("labelnext")


def shell(*arguments, cwd):
    return subprocess.run(
        [str(argument) for argument in arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("start", [(SCRIPT,), (sys.executable, "-m", "labelnext")])
def test_version(tmp_path, start):
    done = shell(*start, "--version", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, f"labelnext {labelnext.__version__}\n")


def test_select_in_a_shell(folder):
    done = shell(SCRIPT, "select", "pool.parquet", "-k", 4, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert len(done.stdout.splitlines()) == 5


def test_a_mistake_in_a_shell(folder):
    done = shell(SCRIPT, "select", "pool.parquet", "-k", 400, cwd=folder)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "labelnext: -k 400: only 40 samples are left to choose from (40 in the pool, 0 excluded); "
        "ask for at most 40\n"
    )


def test_help_comes_without_heavy_imports(tmp_path):
    code = (
        "import sys; from labelnext.cli import app\n"
        "try: app(['--help'])\n"
        "except SystemExit as end: assert not end.code\n"
        "heavy = {'matplotlib', 'numpy', 'pyarrow', 'sklearn', 'pandas', 'polars', 'torch'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)\n"
    )
    done = shell(sys.executable, "-c", code, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "[]\n")
    assert "select" in done.stdout
    assert "demo" in done.stdout


def test_help_and_no_command_are_the_same(run):
    assert run().exit_code == 0
    assert run().stdout.strip() == run("--help").stdout.strip()
    assert "Examples" in run("select", "--help").stdout
    assert "-h" in run("demo", "-h").stdout


def test_the_module_in_this_process(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["labelnext", "--version"])
    with pytest.raises(SystemExit) as end:
        runpy.run_module("labelnext", run_name="__main__")
    assert end.value.code == 0
    assert capsys.readouterr().out == f"labelnext {labelnext.__version__}\n"


@pytest.mark.parametrize("reason", [KeyboardInterrupt, typer.Abort])
def test_ctrl_c_is_no_traceback(run, monkeypatch, folder, reason):
    def interrupt(*_args, **_kwargs):
        raise reason

    monkeypatch.setattr("labelnext.select", interrupt)
    result = run("select", "pool.parquet", "-k", 3)
    assert result.exit_code == 130
    assert result.stdout == ""


def test_errors_of_ours_are_not_hidden(run, monkeypatch, folder):
    def fail(*_args, **_kwargs):
        raise ZeroDivisionError

    monkeypatch.setattr("labelnext.select", fail)
    with pytest.raises(ZeroDivisionError):
        run("select", "pool.parquet", "-k", 3)
