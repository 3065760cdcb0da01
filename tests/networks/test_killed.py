"""Processes that extract to a folder are killed: nothing is lost, nothing taken for whole."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import killed_extraction as killed
from clusters import slow_but
from labelnext.networks import proba_and_features
from labelnext.pools import open_source

PROGRAM = Path(__file__).parents[1] / "killed_extraction.py"


@pytest.mark.parametrize("seed", slow_but(range(3), 0))
def test_killed_at_any_moment_it_goes_on_where_it_was(tmp_path, seed):
    done = subprocess.run(
        [sys.executable, str(PROGRAM), str(tmp_path), "12", str(seed)],
        stdout=subprocess.PIPE,
        check=True,
    )
    rounds = json.loads(done.stdout)
    for before in rounds:
        # No sample of a shard that was finished is read again, but the few that are compared, and
        # no finished shard is lost.
        there = before["there"]
        rows = {row for shard in there for row in range(16 * shard, 16 * shard + 16)}
        few = {row for shard in there[:1] + there[-1:] for row in range(16 * shard, 16 * shard + 4)}
        assert rows & set(before["reads"]) <= few
        assert set(before["there"]) <= set(before["finished"])
        # Without its manifest nobody takes it for a pool, and with it all is there.
        assert (before["opened"] == killed.N) == before["manifest"]
        assert before["manifest"] <= (before["finished"] == [*range(15)])
    *cut_off, last = rounds
    assert sum(before["killed"] for before in cut_off) >= 2
    assert any(0 < len(before["finished"]) < 15 for before in cut_off)
    assert last["code"] == 0
    assert last["opened"] == killed.N
    source = open_source(tmp_path / "pool")
    source.verify()
    assert not [p for p in (tmp_path / "pool").iterdir() if p.name.startswith(".")]
    expected = proba_and_features(killed.network(), killed.X, batch_size=4, dtype="float16")
    for part, values in zip(("proba", "features"), expected, strict=True):
        assert np.array_equal(source.read(part, 0, killed.N), values.numpy())
    assert source.ids().tolist() == [*range(killed.N, 2 * killed.N)]
