"""Nothing that comes from files, names or paths steers the terminal, or is taken for markup."""

import io
import json
import os
import subprocess
import sys

import numpy as np
import pytest
from typer.testing import CliRunner

from labelnext.cli import app
from labelnext.utils.names import printable

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


@pytest.mark.parametrize("text", ODD)
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
def test_errors(folder, run, monkeypatch, text, arguments, colours):
    if colours:
        monkeypatch.setenv("FORCE_COLOR", "1")
    result = run(*(word.replace("{}", text) for word in arguments.split()))
    assert result.exit_code == 2, result.output
    assert not steers(result.output)
    assert "labelnext: " in result.stderr


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


class TestStandardOutput:
    """Closed, full, or of another encoding: one line."""

    def test_all_in_one_shell(self, folder):
        """Some processes at once: each takes a second to start."""
        run = f"{sys.executable} -m labelnext"
        select = f"{run} select pool.npz -k 3"
        script = "\n".join([
            f"({select} > /dev/full) 2> full; echo $? >> codes",
            f"({select} >&-) 2> closed; echo $? >> codes",
            f"(PYTHONIOENCODING=ascii {select} --ids é.txt > ascii.csv) 2> ascii; echo $? >> codes",
            f"({run} strategies > /dev/full) 2> table; echo $? >> codes",
            f"(PYTHONIOENCODING=ascii {run} select --help > help) 2> helped; echo $? >> codes",
        ])  # fmt: skip
        (folder / "é.txt").write_text("\n".join(f"é{row}" for row in range(40)))
        subprocess.run(["bash", "-c", script], cwd=folder, check=True)
        assert (folder / "codes").read_text().split() == ["2", "2", "0", "2", "0"]
        assert (folder / "full").read_text() == (
            "labelnext: standard output: No space left on device; write to another place\n"
        )
        assert (folder / "closed").read_text() == (
            "labelnext: standard output is closed; name a file with --output\n"
        )
        assert "é" in (folder / "ascii.csv").read_text(encoding="utf-8")
        assert (folder / "table").read_text().count("\n") == 1
        assert (folder / "ascii").read_text() == (folder / "helped").read_text() == ""

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
            ("select pool.npz -k 2 --no-bias --strategy random", "--no-bias is for BADGE alone"),
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


def test_bias_is_for_badge_alone_because_no_other_looks_at_it(arrays):
    import labelnext
    from labelnext import strategies

    plain, biased = (labelnext.Pool(*arrays, bias=bias) for bias in (False, True))
    for about in strategies.about():
        if about.name != "badge" and {*about.needs} <= {"proba", "features"}:
            one, other = (
                labelnext.select(pool, 5, strategy=about.name, random_state=0).indices
                for pool in (plain, biased)
            )
            assert np.array_equal(one, other), about.name
