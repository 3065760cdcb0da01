"""Nothing that comes from files, names or paths steers the terminal, or is taken for markup."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from labelnext.cli import _demo, _simulate, app
from labelnext.utils.text import printable

STEERING = ["\x1b[2J", "\x9b2J", "\u202egnp.exe", "\x07", "\x85", "\u2066a\u2069"]
MARKUP = ["[red]a[/red]", "[/x]", "[link=http://a]b[/link]", ":smile:", "[bold"]
ODD = [*STEERING, *MARKUP]


def steers(text):
    """Tell whether anything in a text but its colours steers a terminal."""
    import re

    left = re.sub(r"\x1b\[(\?25[lh]|[0-9;]*[mK]|1A|2K|\d*A)|[\r\n]", "", text)
    return any(letter in left for letter in "\x1b\x9b\x07\x85\u202e\u2066\u2069")


@pytest.mark.parametrize("letter", ["é", "‖", "你", "👩\u200d🔬", "ن\u200cم", "a\u00a0b", "a b"])
def test_what_is_harmless_stays(letter):
    assert printable(letter) == letter


@pytest.mark.parametrize("text", STEERING)
def test_what_steers_is_shown(text):
    assert not steers(printable(text))
    assert printable(printable(text)) == printable(text)


@pytest.fixture
def odd(folder, arrays):
    """Ids, groups and names of classes that steer or mark up."""
    (folder / "ids.json").write_text(json.dumps([*ODD, *map(str, range(40 - len(ODD)))]))
    (folder / "groups.json").write_text(json.dumps((ODD * 4)[:40]))
    (folder / "names.json").write_text(json.dumps(ODD[5:8]))
    return ["select", "pool.npz", "-k", 40, "--ids", "ids.json", "--groups", "groups.json",
            "--classes", "names.json"]  # fmt: skip


def test_the_summary(odd, run, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "200")
    for name in ("[red]b[/x].csv", "\x1b[2Jb.csv"):
        os.makedirs(os.path.dirname(name) or ".", exist_ok=True)
        result = run(*odd, "-o", name)
        assert result.exit_code == 0, result.output
        assert not steers(result.stderr)
        assert name.replace("\x1b", "\\x1b") in result.stderr.replace("\n", "")
        assert os.path.exists(name)


@pytest.mark.parametrize(
    "arguments",
    [
        "select {}.npz -k 2",
        "select pool.npz -k 2 --strategy {}",
        "select pool.npz -k 2 -o {}",
        "select pool.npz -k 2 -x {}.txt",
        "select pool.npz -k {}",
        "select pool.npz -k 2 --{}",
        "{}",
        "convert pool.npz ids.txt/{}",
    ],
)
@pytest.mark.parametrize("colours", [False, True])
def test_errors(folder, run, monkeypatch, arguments, colours):
    if colours:
        monkeypatch.setenv("FORCE_COLOR", "1")
    for text in ODD:
        result = run(*(word.replace("{}", text) for word in arguments.split()))
        assert result.exit_code == 2, result.output
        assert not steers(result.output), text
        assert "labelnext: " in result.stderr


@pytest.mark.parametrize("text", STEERING)
def test_what_simulate_and_demo_print(folder, run, capsys, text):
    results = SimpleNamespace(
        budgets=[1],
        rounds=[1, 2],
        accuracy={"badge": 1},
        seeds=[0],
        tables=lambda: {"summary": {"strategy": [text], "accuracy": [0.5]}},
        failures=[SimpleNamespace(strategy=text, setting=text, seed=1, error=f"Error: {text}")],
        labels_needed=lambda level: {"badge": 3},
    )
    _simulate._print(results, [Path(f"out{text}")], 1.0)
    said = capsys.readouterr().out
    assert said.count(printable(text)) == 5
    _demo._print(results, Path(f"out{text}"), 1.0)
    assert not steers(said + capsys.readouterr().out)
    assert not steers(run("simulate", f"{text}.toml", "--example").output)


def test_a_terminal_that_gets_the_batch(odd, folder, monkeypatch):
    class Terminal(io.TextIOWrapper):
        def isatty(self):
            return True

    screen = Terminal(io.BytesIO(), encoding="utf-8")
    monkeypatch.setattr(sys, "stdout", screen)
    with pytest.raises(SystemExit) as done:
        app([str(word) for word in odd])
    assert not done.value.code
    screen.flush()
    assert not steers(screen.buffer.getvalue().decode())
    # A file gets what there is.
    result = CliRunner().invoke(app, [str(word) for word in odd])
    assert "\x1b[2J" in result.stdout


class Full(io.RawIOBase):
    """A device without room, until it is closed."""

    def writable(self):
        return True

    def write(self, content):
        if sys.stdout is not None and not isinstance(sys.stdout, io.StringIO):
            raise OSError(28, "No space left on device")
        return len(content)


class TestStandardOutput:
    """Closed, full, or of another encoding: one line."""

    @pytest.fixture
    def said(self, folder, monkeypatch, capsys):
        """Run the command with another standard output; return its code and what it says."""

        def run_with(stdout, *arguments):
            monkeypatch.setattr(sys, "stdout", stdout)
            with pytest.raises(SystemExit) as done:
                app([str(word) for word in arguments])
            return done.value.code, capsys.readouterr().err

        return run_with

    @pytest.mark.parametrize("arguments", [["select", "pool.npz", "-k", 3], ["strategies"]])
    def test_full(self, said, arguments, monkeypatch):
        # Of its own, so that nobody tries once more to write what is left.
        full = io.TextIOWrapper(io.BufferedWriter(Full()), encoding="utf-8")
        line = "labelnext: standard output: No space left on device; write to another place\n"
        assert said(full, *arguments) == (2, line)
        monkeypatch.setattr(Full, "write", lambda _, content: len(content))
        full.close()  # what is left of it

    def test_closed(self, said):
        line = "labelnext: standard output is closed; name a file with --output\n"
        assert said(None, "select", "pool.npz", "-k", 3) == (2, line)
        assert said(None, "strategies") == (0, "")

    def test_of_another_encoding(self, said, folder):
        (folder / "é.txt").write_text("\n".join(f"é{row}" for row in range(40)), encoding="utf-8")
        ascii_only = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
        assert said(ascii_only, "select", "pool.npz", "-k", 3, "--ids", "é.txt") == (0, "")
        assert ",é" in ascii_only.buffer.getvalue().decode()
        assert said(ascii_only, "select", "--help") == (0, "")

    @pytest.mark.slow
    def test_full_in_a_shell(self, folder):
        command = f"{sys.executable} -m labelnext strategies > /dev/full"
        done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
        assert done.returncode == 2
        assert done.stderr.count("\n") == 1

    def test_a_reader_that_has_enough(self, folder, run, monkeypatch):
        def broken(_):
            raise BrokenPipeError(32, "Broken pipe")

        monkeypatch.setattr("labelnext.cli._select.to_stdout", broken)
        result = run("select", "pool.npz", "-k", 3)
        assert (result.exit_code, result.stderr) == (1, "")


class TestWords:
    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            ("select pool.npz -k 2 --force true", "--force take no value"),
            ("select -k 2 --force true -p probs.npy -f emb.npy", "take no value: leave 'true' out"),
            ("select pool.npz -k 2 -x ids.md", "--exclude ids.md: expected a file"),
            ("select pool.npz -k 2 -x probs.npy", "must hold ids"),
            ("select -p probs.npy -k 2", "badge needs features"),
            ("select emb.npy -k 2 --strategy power-margin", "power-margin needs probabilities"),
            ("select pool.npz -k 2 --bias --strategy core-set", "--bias is for BADGE alone"),
            ("convert pool.npz made --force true", "leave 'true' out"),
        ],
    )
    def test_errors(self, folder, complaint, arguments, words):
        assert words in complaint(*arguments.split())

    @pytest.mark.parametrize("command", ["select", "convert", "strategies"])
    def test_options_that_take_no_value_show_none(self, run, command):
        lines = run(command, "--help").stdout.splitlines()
        assert [line for line in lines if "bool" in line and "--help" not in line] == []

    def test_threads(self, folder, complaint, monkeypatch):
        monkeypatch.setenv("LABELNEXT_NUM_THREADS", "abc")
        assert "LABELNEXT_NUM_THREADS must be" in complaint("select", "pool.npz", "-k", 2)


@pytest.mark.slow
def test_bash_completes_commands_options_strategies_and_choices(tmp_path):
    name = tmp_path / "labelnext"
    name.write_text(f'#!/bin/sh\nexec {sys.executable} -m labelnext "$@"\n')
    name.chmod(0o755)
    script = """
    source <(labelnext --show-completion bash)
    complete -p labelnext > /dev/null || exit 1
    try() {
        COMP_WORDS=("$@"); COMP_CWORD=$(($#-1))
        _labelnext_completion labelnext; echo ${COMPREPLY[@]}
    }
    try labelnext sel
    try labelnext select --strategy ma
    try labelnext select --max
    try labelnext convert --task mult
    """
    path = f"{tmp_path}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", script],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PATH": path, "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "select", "max-herding", "--max-per-group", "multiclass multilabel"
    ]  # fmt: skip


def test_a_pool_with_a_bias_has_a_way_to_other_strategies(folder, run, complaint):
    assert run("convert", "pool.npz", "made", "--bias").exit_code == 0
    select = ["select", "made", "-k", 2, "--strategy", "core-set"]
    words = complaint(*select)
    assert "core-set looks at features without the 1 of a bias" in words
    assert "give --no-bias, or choose --strategy badge" in words
    assert run(*select, "--no-bias").exit_code == 0
