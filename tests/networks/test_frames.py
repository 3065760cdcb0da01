"""What has an index is read by position: row i of a pool is the i-th sample of the data."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from torch import nn
from torch.utils.data import (
    BatchSampler,
    ConcatDataset,
    DataLoader,
    Dataset,
    SequentialSampler,
    StackDataset,
    Subset,
)

import nets
from labelnext.networks import extract, proba_and_features
from labelnext.pools import open_source

X = nets.rows()
# Labels that are rows too, and those of other samples.
INDEX = [3, 1, 0, 2, 10, 9, 8, 4, 5, 6, 7]
FRAME = pd.DataFrame(X.numpy(), index=INDEX, columns=[*"abcdef"])
ROWS = pd.Series([*X.numpy()], index=INDEX)
SAMPLES = pd.Series([{"x": x, "labels": 0} for x in X], index=INDEX)
LABELS = pd.Series(np.arange(nets.N), index=INDEX)
TOKENS = pd.DataFrame({"x": [row.tolist() for row in X], "label": 0, "text": "…"}, index=INDEX)


class OwnLoader(DataLoader):
    """Nobody knows what it does."""


class Pairs(Dataset):
    """Items that are series themselves."""

    def __len__(self):
        return nets.N

    def __getitem__(self, i):
        return FRAME.iloc[i], LABELS.iloc[i]


DATA = {
    "frame": FRAME,
    "frame of polars": pl.from_pandas(FRAME.reset_index(drop=True)),
    "frame of numbers of several types": FRAME.astype({"a": "float64", "c": "Float32"}),
    "series of arrays": ROWS,
    "series of tensors": pd.Series([*X], index=INDEX),
    "series of arrays of polars": pl.Series([row.tolist() for row in X]),
    "series of samples": SAMPLES,
    "frame of lists": TOKENS,
    "frame of lists of polars": pl.from_pandas(TOKENS.reset_index(drop=True)),
    "dict of frames": {"x": FRAME, "labels": LABELS},
    "dict of a series and a tensor": {"x": ROWS, "labels": torch.zeros(nets.N)},
    "list of series": [FRAME.iloc[i] for i in range(nets.N)],
    "list of pairs of series": [(FRAME.iloc[i], LABELS.iloc[i]) for i in range(nets.N)],
    "list of dicts of series": [{"x": FRAME.iloc[i]} for i in range(nets.N)],
    "items of series": Pairs(),
    "part": Subset(ROWS, range(nets.N)),
    "part of a part": Subset(Subset(ROWS, range(nets.N)), range(nets.N)),
    "parts": ConcatDataset([ROWS.iloc[:4], ROWS.iloc[4:]]),
    "stacked": StackDataset(ROWS, LABELS),
    "stacked by name": StackDataset(x=ROWS, labels=LABELS),
    "loader": DataLoader(ROWS, batch_size=4),
    "loader with a worker": DataLoader(ROWS, batch_size=4, num_workers=1),
    "loader of a part": DataLoader(Subset(ROWS, range(nets.N)), batch_size=4),
    "loader with a batch sampler": DataLoader(
        ROWS, batch_sampler=BatchSampler(SequentialSampler(ROWS), 4, False)
    ),
    "loader of items of series": DataLoader(
        Pairs(), batch_size=4, collate_fn=lambda pairs: np.stack([x for x, _ in pairs])
    ),
}  # fmt: skip


@pytest.mark.one_of(2)
@pytest.mark.parametrize("kind", DATA)
@pytest.mark.parametrize("in_files", [False, True], ids=["", "files"])
def test_rows_come_by_position(tmp_path, kind, in_files):
    model = nets.make("mlp")[0]
    expected = [tensor.numpy() for tensor in proba_and_features(model, X)]
    if in_files:
        extract(
            model, DATA[kind], **nets.cut(DATA[kind], 4), out=tmp_path / "pool", rows_per_shard=8
        )
        (tmp_path / "pool" / "pool.json").unlink()
        # Of a part of the samples the positions are those of the whole.
        for file in (tmp_path / "pool" / "shard-00001").iterdir():
            file.unlink()
        (tmp_path / "pool" / "shard-00001").rmdir()
        extract(model, DATA[kind], **nets.cut(DATA[kind], 4), out=tmp_path / "pool", resume=True)
        source = open_source(tmp_path / "pool")
        ours = [source.read(part, 0, nets.N) for part in ("proba", "features")]
    else:
        ours = [
            tensor.numpy()
            for tensor in proba_and_features(model, DATA[kind], **nets.cut(DATA[kind], 4))
        ]
    for values, those in zip(ours, expected, strict=True):
        np.testing.assert_allclose(values, those, rtol=1e-5, atol=1e-6)


def test_a_series_of_numbers_is_one_number_a_sample():
    class Embeds(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding = nn.Embedding(nets.N, 5)
            self.fc = nn.Linear(5, 3)

        def forward(self, ids):
            return self.fc(self.embedding(ids))

    model = Embeds()
    for ids in (LABELS, pl.Series(range(nets.N)), {"ids": LABELS}, LABELS.astype("Int64")):
        features = proba_and_features(model, ids, batch_size=4)[1]
        assert torch.equal(features, model.embedding.weight.detach())


def test_a_loader_of_ones_own_over_an_index_is_refused():
    for data in (OwnLoader(ROWS, batch_size=4), OwnLoader(Subset(ROWS, range(nets.N)))):
        with pytest.raises(ValueError, match=r"by its index.*tolist"):
            extract(nets.Mlp(), data)
    with pytest.raises(ValueError, match="by its index"):
        extract(nets.Mlp(), DataLoader(ROWS, worker_init_fn=len, num_workers=1))


def test_frames_of_what_are_no_numbers():
    with pytest.raises(ValueError, match="logits of sample 0 are NaN"):
        extract(nets.Mlp(), FRAME.assign(b=pd.array([None, *range(10)], dtype="Int64")))
    with pytest.raises(TypeError, match=r"must hold numbers.*'x'"):
        extract(nets.Mlp(), {"x": pd.Series(["a"] * nets.N)})
    with pytest.raises(ValueError, match="data holds no samples"):
        extract(nets.Mlp(), FRAME.iloc[:0])
    with pytest.raises(ValueError, match="data holds no samples"):
        extract(nets.Mlp(), ROWS.iloc[:0])


def test_frames_are_not_changed():
    class InPlace(nets.Mlp):
        def forward(self, x):
            return super().forward(x.mul_(0.5))

    frame = FRAME.copy()
    extract(InPlace(), frame)
    extract(InPlace(), pd.Series([*frame.to_numpy()]))
    pd.testing.assert_frame_equal(frame, FRAME)
