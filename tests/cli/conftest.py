"""A small pool in files, and the command in this process."""

import re

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import typer
from tests.test_messages import DOUBLED
from typer.testing import CliRunner

from labelnext.cli import app

N, N_CLASSES, N_FEATURES = 40, 3, 5
# How the library spells what the command spells otherwise.
PYTHON = re.compile(
    r"\b(proba|features|ids|groups|labels|classes|task|strategy|bias|resume|overwrite|last_layer|"
    r"cluster|exclude|encoder|text|image|audio|html|id|group|columns)="
    r"|memory_limit|max_per_group|condition_on_labeled|random_state|exclude_ids|num_shards|num_cpus"
    r"|num_gpus|open_pool|write_pool|Pool\("
)


@pytest.fixture
def arrays():
    rng = np.random.default_rng(0)
    proba = rng.dirichlet(np.ones(N_CLASSES), N)
    features = rng.normal(size=(N, N_FEATURES)).astype(np.float32)
    return proba, features


@pytest.fixture
def ids():
    return [f"img-{row:03d}" for row in range(N)]


@pytest.fixture
def folder(tmp_path, monkeypatch, arrays, ids):
    """A working folder with the same pool in every format."""
    monkeypatch.chdir(tmp_path)
    proba, features = arrays
    np.save("probs.npy", proba)
    np.save("emb.npy", features)
    np.savez("pool.npz", proba=proba, embedding=features, id=np.array(ids))
    (tmp_path / "ids.txt").write_text("\n".join(ids) + "\n")
    pq.write_table(table(ids, proba, features), "pool.parquet", write_page_checksum=True)
    return tmp_path


def table(ids, proba, features):
    """Ids, lists of any length and lists of one fixed length."""
    fixed = pa.FixedSizeListArray.from_arrays(pa.array(features.ravel()), features.shape[1])
    return pa.table({"id": ids, "proba": proba.tolist(), "embedding": fixed})


@pytest.fixture
def run():
    """Run the command; its exceptions other than exits are not swallowed."""

    def _run(*arguments):
        return CliRunner().invoke(app, [str(a) for a in arguments], catch_exceptions=False)

    return _run


def _options(said):
    return set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", said))


def _known(commands, arguments):
    """Return the options of the command that arguments begin with, as labelnext loop init."""
    command = None
    for argument in arguments:
        if argument not in commands:
            break
        command = commands[argument]
        commands = getattr(command, "commands", {})
    params = command.params if command is not None else []
    return {name for param in params for name in (*param.opts, *param.secondary_opts)}


@pytest.fixture
def complaint(run):
    """Run the command, and return the one line with which it refuses, in the command's words."""

    commands = typer.main.get_command(app).commands

    def _complaint(*arguments):
        result = run(*arguments)
        assert result.exit_code == 2, result.output
        assert result.stdout == ""
        assert result.stderr.startswith("labelnext: ")
        assert result.stderr.count("\n") == 1
        assert result.stderr.endswith("\n")
        assert DOUBLED.search(result.stderr) is None, result.stderr
        said = re.sub(r"/tmp/\S*", "", result.stderr)  # folders are named after tests
        said = said.replace("labelnext.extract(..., resume=True)", "")  # is no command
        assert PYTHON.search(said) is None, said
        for advice in re.findall("`labelnext ([^`]*)`", said):  # another command, its own options
            assert _options(advice) <= _known(commands, advice.split()), said
        said = re.sub("`labelnext [^`]*`", "", said)
        typed = {str(argument).partition("=")[0] for argument in arguments}
        assert _options(said) <= _known(commands, arguments) | typed | {"--help"}, said
        return result.stderr

    return _complaint
