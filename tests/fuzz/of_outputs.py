"""What labelnext itself writes and reads again: checkpoints and batches."""

import json

import numpy as np
from tests.fuzz import target

import labelnext
from labelnext.pools import read_values
from labelnext.sampling import file_of
from labelnext.sampling._checkpoint import _checksum

RNG = np.random.default_rng(0)
POOL = labelnext.Pool(RNG.dirichlet(np.ones(3), 40), RNG.normal(size=(40, 4)))
BATCH = labelnext.Batch(
    np.arange(6), ids=np.array([f"i{row}" for row in range(6)], dtype=object), d2=np.ones(6)
)


def checkpoints(folder=None):
    import tempfile
    from pathlib import Path

    with tempfile.TemporaryDirectory() as name:
        path = Path(name, "run.json")
        labelnext.select(POOL, 5, exclude=[1], random_state=0, checkpoint=path)
        content = path.read_bytes()
    return {"whole": {"run.json": content}, "empty": {"run.json": b""}}


def signed(files):
    """Give an edited checkpoint the right checksum, as somebody would who means harm."""
    try:
        content = json.loads(files["run.json"])
        content.pop("checksum", None)
        content["checksum"] = _checksum(content)
        return {"run.json": json.dumps(content).encode()}
    except (KeyError, ValueError, AttributeError, RecursionError, TypeError):
        return files


@target("checkpoint", checkpoints, signed)
def go_on(folder):
    for k in (3, 20):
        batch = labelnext.select(
            POOL, k, exclude=[1], random_state=0, checkpoint=folder / "run.json"
        )
        assert len({*batch.indices.tolist()} - {1}) == k
        assert np.isfinite(batch.potentials).all()


def batches():
    columns = BATCH.to_lists()
    names = ("csv", "json", "jsonl", "parquet")
    return {f"whole {name}": {f"batch.{name}": file_of(columns, f".{name}")} for name in names} | {
        "return": {"batch.csv": b'row,id\n1,"a\rb"\n'},
        "no end": {"batch.csv": b'row,id\n1,"a'},
    }


@target("batch", batches)
def read_batch(folder):
    for path in folder.iterdir():
        for name in ("", ":row"):
            values = read_values(f"{path}{name}")
            assert isinstance(values, list)
