"""A small pool in files, and the command in this process."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from labelnext.cli import app

N, N_CLASSES, N_FEATURES = 40, 3, 5


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


@pytest.fixture
def complaint(run):
    """Run the command, and return the one line with which it refuses."""

    def _complaint(*arguments):
        result = run(*arguments)
        assert result.exit_code == 2, result.output
        assert result.stdout == ""
        assert result.stderr.startswith("labelnext: ")
        assert result.stderr.count("\n") == 1
        assert result.stderr.endswith("\n")
        return result.stderr

    return _complaint
